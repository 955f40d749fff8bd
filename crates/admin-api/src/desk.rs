//! Where commands are carried out, on a running server and on a stopped one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_accounts::Accounts;
use freehold_federation::limits::DOCTOR_TENANTS;
use freehold_federation::{Doctor, Ingest, TakeError};
use freehold_keyring::OldKey;
use freehold_media::Media;
use freehold_rooms::{ActionError, Rooms};
use freehold_signing::{KeyId, VerifyingKey};
use freehold_store::tables::rooms::Membership;
use freehold_store::{Batch, BoxFuture, Clock, Store, Tenant, TenantNumber};
use freehold_tenancy::{
    Act, Change, Control, Haste, NewFacts, NewKey, NewTenant, OldHostnames, Outside, Tenancy, TenantState,
};
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::{Value, json};

use crate::answer::{Answer, AuditLine, TenantDetails, TenantSummary, TokenLine};
use crate::authority::Authority;
use crate::command::{Command, OldKeyText};
use crate::entry;
use crate::files::Files;
use crate::fsck::{self, Extent};
use crate::people;
use crate::records::Records;
use crate::refusal::Refusal;
use crate::room::RepairReport;
use crate::status::Status;
use crate::whole;

/// Carries out commands.
#[derive(Clone)]
pub struct Desk {
    tenancy: Tenancy,
    accounts: Accounts,
    outside: Arc<dyn Outside>,
    clock: Arc<dyn Clock>,
    doctor: Doctor,
    ingest: Ingest,
    store: Store,
    data: PathBuf,
    media: Media,
    rooms: Rooms,
    status: Option<Arc<dyn Status>>,
}

/// The most rows that one command gives back.
const LIMIT_MAX: usize = 100_000;

impl Desk {
    /// A desk over the tenants of a process and their accounts, and the store, data directory, media and rooms in which
    /// everything is kept. Proofs of control are looked for `outside`, other servers by the doctor, and lost events by `ingest`.
    pub fn new(
        (tenancy, accounts): (Tenancy, Accounts),
        (outside, doctor, ingest): (Arc<dyn Outside>, Doctor, Ingest),
        clock: Arc<dyn Clock>,
        (store, data): (Store, PathBuf),
        (media, rooms): (Media, Rooms),
    ) -> Self {
        Desk { tenancy, accounts, outside, doctor, ingest, clock, store, data, media, rooms, status: None }
    }

    /// The same desk, which can also say how the process is.
    pub fn with_status(self, status: Arc<dyn Status>) -> Self {
        Desk { status: Some(status), ..self }
    }

    /// The tenants.
    pub fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub fn perform<'a>(
        &'a self,
        command: Command,
        authority: &'a Authority,
    ) -> BoxFuture<'a, Result<Answer, Refusal>> {
        // Boxed, so that all that an operator can ask for is not compiled once more into the program.
        Box::pin(self.carry_out(command, authority))
    }

    async fn carry_out(&self, command: Command, authority: &Authority) -> Result<Answer, Refusal> {
        authority.check(&command)?;
        match command {
            command @ (Command::RegistrationTokenAdd { .. }
            | Command::RegistrationTokenList { .. }
            | Command::RegistrationTokenRemove { .. }
            | Command::InvitationAdd { .. }
            | Command::InvitationList { .. }
            | Command::InvitationRemove { .. }) => self.entry(command, authority).await,
            command @ (Command::UserList { .. }
            | Command::UserShow { .. }
            | Command::UserAdd { .. }
            | Command::UserResetPassword { .. }
            | Command::UserSuspend { .. }
            | Command::UserResume { .. }
            | Command::UserLock { .. }
            | Command::UserUnlock { .. }
            | Command::UserDeactivate { .. }
            | Command::UserImport { .. }) => {
                people::perform((&self.tenancy, &self.accounts), command, authority).await
            }
            command @ (Command::MediaShow { .. }
            | Command::MediaDelete { .. }
            | Command::MediaQuarantine { .. }
            | Command::MediaRelease { .. }
            | Command::MediaQuarantined { .. }
            | Command::MediaBlock { .. }
            | Command::MediaUnblock { .. }) => {
                let (store, media, tenancy) = (&self.store, &self.media, &self.tenancy);
                Files { store, media, tenancy, authority }.perform(command).await
            }
            other => self.perform_for_all(other, authority).await,
        }
    }

    /// Carries out what concerns a tenant as such.
    async fn perform_for_tenant(&self, command: Command, authority: &Authority) -> Result<Answer, Refusal> {
        match command {
            Command::TenantAdd { server_name, hostnames, owner, vouched } => {
                let new = NewTenant { server_name, hostnames, owner, vouched, policy: None };
                Ok(Answer::Tenant(self.tenancy.add(new, &authority.by()).await?.into()))
            }
            Command::TenantList { after, limit } => Ok(self.list(after, limit)),
            Command::TenantShow { server_name } => {
                let facts = self.tenancy.facts(&parse(&server_name)?).await?;
                Ok(Answer::Tenant(TenantDetails::from(facts)))
            }
            Command::TenantRecords { server_name } => {
                let facts = self.tenancy.facts(&parse(&server_name)?).await?;
                Ok(Answer::Records(Records::of(&facts)))
            }
            Command::TenantCheck { server_name } => {
                let server_name = parse(&server_name)?;
                let report = self.tenancy.prove(&server_name, &*self.outside, &authority.by()).await?;
                Ok(Answer::Report(report))
            }
            Command::TenantSet { server_name, hostnames, drop_old, owner } => {
                let old_hostnames = if drop_old { OldHostnames::Dropped } else { OldHostnames::Kept };
                let new = NewFacts { hostnames, old_hostnames, owner };
                self.settle(&server_name, new, authority).await
            }
            Command::TenantRotateKey { server_name, at_once } => {
                self.rotate_key(server_name, at_once, authority).await
            }
            Command::TenantAddOldKey { server_name, key } => {
                self.add_old_key(server_name, key, authority).await
            }
            Command::TenantVouch { server_name } => self.change(&server_name, Change::Vouch, authority).await,
            Command::TenantSuspend { server_name } => {
                self.change(&server_name, Change::Suspend, authority).await
            }
            Command::TenantResume { server_name } => {
                self.change(&server_name, Change::Resume, authority).await
            }
            Command::TenantRemove { server_name } => {
                self.change(&server_name, Change::Remove, authority).await
            }
            Command::TenantPolicy { server_name, set } => self.policy(&server_name, set, authority).await,
            _ => Err(Refusal::new("M_UNRECOGNIZED", "unknown command")),
        }
    }

    /// Carries out what concerns the whole process, or is only read.
    async fn perform_for_all(&self, command: Command, authority: &Authority) -> Result<Answer, Refusal> {
        match command {
            Command::Audit { server_name, limit } => self.audit(server_name.as_deref(), limit).await,
            Command::TokenAdd { label } => self.add_token(label, authority).await,
            Command::TokenList {} => self.tokens().await,
            Command::TokenRemove { label } => {
                let removed = self.tenancy.remove_operator_tokens(&label, &authority.by()).await?;
                Ok(Answer::Removed { removed })
            }
            Command::Doctor { server_name, tenants, all } => {
                let most = if all || !tenants.is_empty() { usize::MAX } else { DOCTOR_TENANTS };
                self.examine(&server_name, &tenants, most).await
            }
            Command::RoomShow { room_id } => self.show_room(&room_id).await,
            Command::RoomRepair { room_id, apply: false, via } => self.plan_repair(&room_id, &via).await,
            Command::RoomRepair { room_id, apply: true, via } => {
                self.repair_room(&room_id, &via, authority).await
            }
            Command::Backup { directory } => self.back_up(&directory, authority).await,
            Command::Status {} => {
                Ok(Answer::Status(self.status.as_ref().map(|status| status.status()).unwrap_or_default()))
            }
            Command::Fsck { media, deep } => self.check(Extent { media, deep }).await,
            Command::Forget {} => self.forget(authority).await,
            about_tenant => self.perform_for_tenant(about_tenant, authority).await,
        }
    }

    async fn show_room(&self, room_id: &str) -> Result<Answer, Refusal> {
        let picture = self.ingest.rooms().picture(&parse_room(room_id)?).await;
        Ok(Answer::Room(picture.map_err(|error| not_repaired(error.into()))?.into()))
    }

    async fn plan_repair(&self, room_id: &str, via: &[String]) -> Result<Answer, Refusal> {
        let planned = self.ingest.plan_repair(&parse_room(room_id)?, &parse_all(via)?).await;
        let planned = planned.map_err(not_repaired)?;
        Ok(Answer::Repair(RepairReport::planned(room_id.to_owned(), planned)))
    }

    async fn repair_room(
        &self,
        room_id: &str,
        via: &[String],
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let (by, details) = (authority.by(), json!({ "room_id": room_id, "via": via }));
        let room = parse_room(room_id)?;
        let tenants = self.tenants_in(&room).await.map_err(|error| not_repaired(error.into()))?;
        let record = |batch: &mut Batch| {
            for tenant in std::iter::once(None).chain(tenants.into_iter().map(Some)) {
                let act = Act { by: &by, name: "room/repair", details: details.clone() };
                self.tenancy.record(batch, tenant, &act);
            }
        };
        let done = self.ingest.repair(&room, &parse_all(via)?, record).await;
        let done = done.map_err(not_repaired)?;
        Ok(Answer::Repair(RepairReport::applied(room_id.to_owned(), done)))
    }

    /// The tenants of which somebody is in a room.
    async fn tenants_in(&self, room_id: &RoomId) -> Result<BTreeSet<TenantNumber>, ActionError> {
        let reader = self.rooms.reader()?;
        let Some(room) = reader.room_number(room_id).await? else { return Ok(BTreeSet::new()) };
        let members = reader.local_members(room).await?.into_iter();
        let joined = members.filter(|(.., membership)| *membership == Membership::Join);
        Ok(joined.map(|(tenant, ..)| tenant).collect())
    }

    async fn back_up(&self, directory: &Path, authority: &Authority) -> Result<Answer, Refusal> {
        let made = whole::back_up(&self.store, &self.data, directory).await.map_err(Refusal::failed)?;
        self.record(("backup", json!({ "directory": directory })), authority).await?;
        Ok(Answer::Backup(made))
    }

    /// Writes down what was done to the whole process without anything else that would be durable together with it.
    async fn record(
        &self,
        (name, details): (&'static str, Value),
        authority: &Authority,
    ) -> Result<(), Refusal> {
        let mut batch = Batch::new();
        self.tenancy.record(&mut batch, None, &Act { by: &authority.by(), name, details });
        self.store.commit(batch).await.map(|_| ()).map_err(Refusal::internal)
    }

    async fn check(&self, extent: Extent) -> Result<Answer, Refusal> {
        let checked = fsck::check(&self.store, (&self.media, &self.rooms), extent).await;
        checked.map(Answer::Check).map_err(Refusal::internal)
    }

    /// Goes through all messages at once, where upkeep takes its time.
    async fn forget(&self, authority: &Authority) -> Result<Answer, Refusal> {
        let mut messages_forgotten = 0;
        let mut round = self.rooms.message_garbage();
        while let Some(forgotten) = round.step().await.map_err(Refusal::internal)? {
            messages_forgotten += forgotten;
        }
        let files_erased = self.rooms.erase_forgotten().await.map_err(Refusal::internal)?;
        let details = json!({ "messages_forgotten": messages_forgotten, "files_erased": files_erased });
        self.record(("forget", details), authority).await?;
        Ok(Answer::Forgotten { messages_forgotten, files_erased })
    }

    async fn tokens(&self) -> Result<Answer, Refusal> {
        let tokens = self.tenancy.operator_tokens().await?.into_iter();
        let line = |row: freehold_store::tables::tenancy::OperatorTokenRow| TokenLine {
            label: row.label,
            created_ts: row.created_ts,
        };
        Ok(Answer::Tokens { tokens: tokens.map(line).collect() })
    }

    /// What concerns who may come in.
    async fn entry(&self, command: Command, authority: &Authority) -> Result<Answer, Refusal> {
        let server_name = command.tenant().unwrap_or_default().to_owned();
        let tenant = self.tenancy.facts(&parse(&server_name)?).await?.tenant;
        let accounts = &self.accounts;
        match command {
            Command::RegistrationTokenAdd { wanted, .. } => {
                entry::add_token((accounts, &*self.clock), &tenant, wanted, authority).await
            }
            Command::RegistrationTokenRemove { token, .. } => {
                entry::remove_token(accounts, &tenant, &token, authority).await
            }
            Command::InvitationAdd { by, .. } => entry::invite(accounts, &tenant, by, authority).await,
            Command::InvitationList { .. } => entry::invitations(accounts, &tenant, authority).await,
            Command::InvitationRemove { code, .. } => {
                entry::take_back(accounts, &tenant, &code, authority).await
            }
            _ => entry::tokens(accounts, &tenant).await,
        }
    }

    async fn examine(&self, server_name: &str, named: &[String], most: usize) -> Result<Answer, Refusal> {
        let server_name = parse(server_name)?;
        let mut tenants: Vec<Tenant> = Vec::new();
        for name in named {
            tenants.push(self.tenancy.facts(&parse(name)?).await?.tenant);
        }
        if named.is_empty() {
            let active = |found: &freehold_tenancy::Found| {
                found.state == TenantState::Active && found.tenant.server_name() != server_name
            };
            let all = self.tenancy.list(TenantNumber(0), usize::MAX).into_iter().filter(active);
            tenants.extend(all.map(|found| found.tenant));
        }
        Ok(Answer::Diagnosis(self.doctor.examine(&server_name, &tenants, most).await))
    }

    fn list(&self, after: u32, limit: usize) -> Answer {
        let found = self.tenancy.list(TenantNumber(after), limit.min(LIMIT_MAX)).into_iter();
        let tenants = found
            .map(|found| TenantSummary {
                number: found.tenant.number().0,
                server_name: found.tenant.server_name().to_string(),
                state: found.state,
                hostname: self.tenancy.hostnames(&found.tenant).into_iter().next().unwrap_or_default(),
            })
            .collect();
        Answer::Tenants { tenants, total: self.tenancy.count() }
    }

    async fn change(
        &self,
        server_name: &str,
        change: Change,
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let facts = self.tenancy.change(&parse(server_name)?, change, &authority.by()).await?;
        Ok(Answer::Tenant(facts.into()))
    }

    /// What its domain publishes may not name a new hostname yet: control is looked at again.
    async fn settle(
        &self,
        server_name: &str,
        new: NewFacts,
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let (server_name, by) = (parse(server_name)?, authority.by());
        let moves = !new.hostnames.is_empty();
        let facts = self.tenancy.settle(&server_name, new, &by).await?;
        if !moves || facts.row.control != Control::Proved {
            return Ok(Answer::Tenant(facts.into()));
        }
        self.tenancy.prove(&server_name, &*self.outside, &by).await?;
        Ok(Answer::Tenant(self.tenancy.facts(&server_name).await?.into()))
    }

    async fn rotate_key(
        &self,
        server_name: String,
        at_once: bool,
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let haste = if at_once { Haste::AtOnce } else { Haste::InTime };
        let key = self.tenancy.rotate_key(&parse(&server_name)?, haste, &authority.by()).await?;
        let NewKey { key_id, signs_from_ts, others_until_ts } = key;
        Ok(Answer::KeyRotated { server_name, key_id, signs_from_ts, others_until_ts })
    }

    async fn add_old_key(
        &self,
        server_name: String,
        OldKeyText { key_id, key, expired_ts }: OldKeyText,
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let old = OldKey {
            key_id: KeyId::parse(&key_id).map_err(Refusal::invalid)?,
            key: VerifyingKey::from_base64(&key).map_err(Refusal::invalid)?,
            expired_ts,
        };
        self.tenancy.publish_old_key(&parse(&server_name)?, &old, &authority.by()).await?;
        Ok(Answer::OldKey { server_name, key_id, expired_ts })
    }

    async fn policy(
        &self,
        server_name: &str,
        set: Option<Value>,
        authority: &Authority,
    ) -> Result<Answer, Refusal> {
        let tenant = self.tenancy.facts(&parse(server_name)?).await?.tenant;
        let policy = match set {
            Some(patch) => self.tenancy.change_policy(&tenant, &patch, &authority.by()).await?,
            None => self.tenancy.policy(&tenant).await?,
        };
        Ok(Answer::Policy { server_name: server_name.to_owned(), policy: policy.without_secrets() })
    }

    async fn audit(&self, server_name: Option<&str>, limit: usize) -> Result<Answer, Refusal> {
        let number = match server_name {
            Some(name) => Some(self.tenancy.facts(&parse(name)?).await?.tenant.number()),
            None => None,
        };
        let rows = self.tenancy.audit(number, limit.min(LIMIT_MAX)).await?.into_iter();
        let acts = rows
            .map(|row| AuditLine {
                ts: row.ts,
                by: row.by,
                act: row.act,
                details: serde_json::from_str(&row.details).unwrap_or(Value::Null),
            })
            .collect();
        Ok(Answer::Audit { acts })
    }

    async fn add_token(&self, label: String, authority: &Authority) -> Result<Answer, Refusal> {
        let made = self.tenancy.new_operator_token(&label, &authority.by()).await?;
        let token = made.ok_or_else(|| Refusal::new("M_UNKNOWN", "the random number generator failed"))?;
        Ok(Answer::Token { token: token.reveal().to_owned(), label })
    }
}

fn parse_room(room_id: &str) -> Result<OwnedRoomId, Refusal> {
    RoomId::parse(room_id).map_err(|_| Refusal::invalid(format_args!("`{room_id}` is not a room id")))
}

fn parse_all(server_names: &[String]) -> Result<Vec<OwnedServerName>, Refusal> {
    server_names.iter().map(|server_name| parse(server_name)).collect()
}

fn not_repaired(error: TakeError) -> Refusal {
    match error {
        TakeError::UnknownRoom | TakeError::Here(ActionError::UnknownRoom(_)) => {
            Refusal::not_found("no such room is known here")
        }
        error => Refusal::internal(error),
    }
}

pub(crate) fn parse(server_name: &str) -> Result<OwnedServerName, Refusal> {
    ServerName::parse(server_name)
        .map_err(|_| Refusal::invalid(format_args!("`{server_name}` is not a server name")))
}
