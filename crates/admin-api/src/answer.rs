//! What comes back from commands, for programs and for people.

use std::fmt;

use freehold_federation::Diagnosis;
use freehold_tenancy::{Control, Report, TenantFacts, TenantState};
use ruma_common::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{self, InvitationFacts, RegistrationToken};
use crate::files::{FileReport, WithheldLine, write_withheld};
use crate::fsck::CheckReport;
use crate::people::{UserDetails, UserSummary};
use crate::records::Records;
use crate::room::{RepairReport, RoomDetails};
use crate::status::StatusReport;
use crate::whole::BackupMade;

/// What a command gives back: JSON for programs, [`Display`](fmt::Display) for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// What the owner of a tenant publishes.
    Records(Records),
    /// What was seen of a tenant's domain.
    Report(Report),
    /// How a server is reached.
    Diagnosis(Diagnosis),
    /// A backup was made.
    Backup(BackupMade),
    /// What a check of everything found.
    Check(CheckReport),
    /// A room.
    Room(RoomDetails),
    /// What a repair of a room changes.
    Repair(RepairReport),
    /// How the process is.
    Status(StatusReport),
    /// A tenant.
    Tenant(TenantDetails),
    /// Tenants.
    Tenants {
        /// In the order in which they came.
        tenants: Vec<TenantSummary>,
        /// How many there are in all.
        total: usize,
    },
    /// A signing key takes over.
    KeyRotated {
        /// The tenant.
        server_name: String,
        /// The id of the key.
        key_id: String,
        /// From when it signs, in milliseconds since the Unix epoch.
        signs_from_ts: i64,
        /// Until when those before it are valid, in milliseconds since the Unix epoch.
        others_until_ts: i64,
    },
    /// A key is published as an old one.
    OldKey {
        /// The tenant.
        server_name: String,
        /// The id of the key.
        key_id: String,
        /// Until when it was in use, in milliseconds since the Unix epoch.
        expired_ts: i64,
    },
    /// A policy.
    Policy {
        /// The tenant's name.
        server_name: String,
        /// The document, without secrets.
        policy: Value,
    },
    /// What administrators did.
    Audit {
        /// The newest first.
        acts: Vec<AuditLine>,
    },
    /// A new operator token.
    Token {
        /// Its text, which is shown only now.
        token: String,
        /// What it is for.
        label: String,
    },
    /// The operator tokens.
    Tokens {
        /// What they are for, and when they were made.
        tokens: Vec<TokenLine>,
    },
    /// A registration token.
    RegistrationToken {
        /// The token.
        registration_token: RegistrationToken,
    },
    /// Registration tokens.
    RegistrationTokens {
        /// In the order of their texts.
        registration_tokens: Vec<RegistrationToken>,
    },
    /// An invitation.
    Invitation {
        /// The invitation.
        invitation: InvitationFacts,
    },
    /// Invitations.
    Invitations {
        /// Those that were used, and those that can be.
        invitations: Vec<InvitationFacts>,
    },
    /// A user.
    User {
        /// The user.
        user: UserDetails,
    },
    /// Users.
    Users {
        /// In the order in which they came.
        users: Vec<UserSummary>,
    },
    /// A user has a new password.
    Credentials {
        /// The user.
        user_id: OwnedUserId,
        /// The password, which is shown only now; nothing if it was given.
        password: Option<String>,
    },
    /// Accounts were brought from another server.
    Imported {
        /// How many were made.
        accounts_made: usize,
        /// How many were there and have another password.
        passwords_changed: usize,
    },
    /// A file.
    File {
        /// The file.
        file: FileReport,
    },
    /// Bytes that are withheld.
    Withheld {
        /// In the order of their hashes.
        withheld: Vec<WithheldLine>,
    },
    /// Bytes are withheld from all, or no longer.
    Blocked {
        /// The SHA-256 of the bytes.
        sha256: String,
        /// Whether they are.
        blocked: bool,
        /// Whether that is new.
        changed: bool,
    },
    /// Messages were forgotten.
    Forgotten {
        /// How many.
        messages_forgotten: usize,
        /// Whether what was forgotten, now and before, is in no file of the store any more.
        files_erased: bool,
    },
    /// Tokens or invitations were taken back.
    Removed {
        /// How many.
        removed: usize,
    },
}

/// A tenant in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// Its number.
    pub number: u32,
    /// Its name in Matrix.
    pub server_name: String,
    /// What it may do.
    pub state: TenantState,
    /// The hostname that is published.
    pub hostname: String,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDetails {
    /// Its number.
    pub number: u32,
    /// Its name in Matrix.
    pub server_name: String,
    /// What it may do.
    pub state: TenantState,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ts: i64,
    /// When it was added, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// Why control of its domain is believed.
    pub control: Control,
    /// Where it is reached; the first is published.
    pub hostnames: Vec<String>,
    /// How to reach the owner.
    pub owner: Option<String>,
    /// When control of the domain was last proved, in milliseconds since the Unix epoch.
    pub proved_ts: Option<i64>,
    /// Why control of the domain was not proved when it was last looked at.
    pub proof_failure: Option<String>,
}

impl From<TenantFacts> for TenantDetails {
    fn from(facts: TenantFacts) -> Self {
        let TenantFacts { tenant, row, proof } = facts;
        let (proved_ts, proof_failure) = proof.map_or((None, None), |proof| (proof.proved_ts, proof.failure));
        TenantDetails {
            number: tenant.number().0,
            server_name: row.server_name.to_string(),
            state: row.state,
            since_ts: row.since_ts,
            created_ts: row.created_ts,
            control: row.control,
            hostnames: row.hostnames,
            owner: row.owner,
            proved_ts,
            proof_failure,
        }
    }
}

/// An administrative act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// Who: `operator`, `schedule`, or a user id.
    pub by: String,
    /// What.
    pub act: String,
    /// With which arguments.
    pub details: Value,
}

/// An operator token, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// What it is for.
    pub label: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Records(records) => records.fmt(f),
            Answer::Report(report) => report.fmt(f),
            Answer::Diagnosis(diagnosis) => diagnosis.fmt(f),
            Answer::Backup(backup) => backup.fmt(f),
            Answer::Room(room) => room.fmt(f),
            Answer::Repair(report) => report.fmt(f),
            Answer::Status(report) => report.fmt(f),
            Answer::Check(report) => report.fmt(f),
            Answer::Tenant(tenant) => tenant.fmt(f),
            Answer::Tenants { tenants, total } => write_tenants(f, tenants, *total),
            Answer::KeyRotated { server_name, key_id, signs_from_ts, others_until_ts } => {
                let (from, until) = (time(*signs_from_ts), time(*others_until_ts));
                write!(f, "{key_id} signs for {server_name} from {from}; ")?;
                write!(f, "keys before it are valid until {until} and stay published as old")
            }
            Answer::OldKey { server_name, key_id, expired_ts } => {
                write!(f, "{key_id} is published as a key of {server_name} until {}", time(*expired_ts))
            }
            Answer::Policy { policy, .. } => write!(f, "{policy:#}"),
            Answer::Audit { acts } if acts.is_empty() => f.write_str("nothing yet"),
            Answer::Audit { acts } => lines(f, acts, |f, act| {
                write!(f, "{}  {:<10} {:<16} {}", time(act.ts), act.by, act.act, act.details)
            }),
            Answer::Token { token, label } => {
                write!(f, "{token}\n\nThis token for `{label}` is not shown again.")
            }
            Answer::Tokens { tokens } if tokens.is_empty() => f.write_str("there are no tokens"),
            Answer::Tokens { tokens } => {
                lines(f, tokens, |f, token| write!(f, "{}  {}", time(token.created_ts), token.label))
            }
            Answer::RegistrationToken { registration_token } => registration_token.fmt(f),
            Answer::RegistrationTokens { registration_tokens } => {
                entry::list(f, registration_tokens, "there are no registration tokens")
            }
            Answer::Invitation { invitation } => invitation.fmt(f),
            Answer::Invitations { invitations } => entry::list(f, invitations, "there are no invitations"),
            Answer::User { user } => user.fmt(f),
            Answer::Users { users } => entry::list(f, users, "there are no users"),
            Answer::Credentials { user_id, password: Some(password) } => {
                write!(f, "{password}\n\nThis password of {user_id} is not shown again.")
            }
            Answer::Credentials { user_id, password: None } => {
                write!(f, "{user_id} has the password that was given")
            }
            Answer::Imported { accounts_made, passwords_changed } => {
                write!(f, "{accounts_made} accounts made, {passwords_changed} passwords changed")
            }
            Answer::File { file } => file.fmt(f),
            Answer::Withheld { withheld } => write_withheld(f, withheld),
            Answer::Blocked { sha256, blocked: true, .. } => write!(f, "{sha256} is blocked"),
            Answer::Blocked { sha256, .. } => write!(f, "{sha256} is not blocked"),
            Answer::Forgotten { messages_forgotten: count, files_erased } => {
                let files = if *files_erased { "no file" } else { "files" };
                write!(f, "{count} messages forgotten; what was forgotten is in {files} of the store")
            }
            Answer::Removed { removed } => write!(f, "{removed} removed"),
        }
    }
}

impl fmt::Display for TenantDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.server_name)?;
        writeln!(f, "  state     {} since {}", word(self.state), time(self.since_ts))?;
        writeln!(f, "  control   {}", control(self.control))?;
        if let Some(proved_ts) = self.proved_ts {
            writeln!(f, "  proved    {}", time(proved_ts))?;
        }
        if let Some(failure) = &self.proof_failure {
            writeln!(f, "  not seen  {failure}")?;
        }
        writeln!(f, "  added     {}", time(self.created_ts))?;
        write!(f, "  reached   {}", self.hostnames.join(", "))?;
        match &self.owner {
            Some(owner) => write!(f, "\n  owner     {owner}"),
            None => Ok(()),
        }
    }
}

fn write_tenants(f: &mut fmt::Formatter<'_>, tenants: &[TenantSummary], total: usize) -> fmt::Result {
    if tenants.is_empty() {
        return f.write_str("there are no tenants");
    }
    let width = tenants.iter().map(|tenant| tenant.server_name.len()).max().unwrap_or_default();
    lines(f, tenants, |f, tenant| {
        let state = word(tenant.state);
        write!(f, "{:>6}  {:width$}  {state:<9}  {}", tenant.number, tenant.server_name, tenant.hostname)
    })?;
    if tenants.len() < total { write!(f, "\n{} of {total}", tenants.len()) } else { Ok(()) }
}

pub(crate) fn lines<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str("\n")?;
        }
        one(f, item)?;
    }
    Ok(())
}

/// A state, as people read it.
pub(crate) fn word(state: TenantState) -> &'static str {
    match state {
        TenantState::Pending => "pending",
        TenantState::Active => "active",
        TenantState::Suspended => "suspended",
        TenantState::Leaving => "leaving",
        TenantState::Departed => "departed",
    }
}

fn control(control: Control) -> &'static str {
    match control {
        Control::Proved => "to be proved by what the domain publishes",
        Control::Vouched => "the operator vouches for it",
        Control::Development => "development tenant, for this machine only",
    }
}

/// Milliseconds since the Unix epoch as `2026-01-31 23:59:59Z`.
///
/// Days are counted from 1 March of the year 0, as in
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
pub(crate) fn time(ts: i64) -> String {
    let (days, second) = (ts.div_euclid(86_400_000), ts.rem_euclid(86_400_000) / 1000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        for (ts, expected) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399_999, "2000-02-28 23:59:59Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_798_761_599_000, "2026-12-31 23:59:59Z"),
            (-1, "1969-12-31 23:59:59Z"),
        ] {
            assert_eq!(time(ts), expected);
        }
    }
}
