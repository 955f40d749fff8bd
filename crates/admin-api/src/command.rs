//! What can be asked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::WantedToken;
use crate::people::{ImportLine, Secret, WantedAccount};

/// A command, as operators give it; over HTTP the name is the path and the arguments are the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "arguments")]
pub enum Command {
    /// Adds a tenant.
    #[serde(rename = "tenant/add")]
    TenantAdd {
        /// Its name in Matrix.
        server_name: String,
        /// Where it is reached; without any, below the base domain.
        #[serde(default)]
        hostnames: Vec<String>,
        /// How to reach the owner.
        #[serde(default)]
        owner: Option<String>,
        /// Whether the operator vouches for the owner's control of the domain.
        #[serde(default)]
        vouched: bool,
    },
    /// Lists tenants in the order in which they came.
    #[serde(rename = "tenant/list")]
    TenantList {
        /// After the tenant of this number.
        #[serde(default)]
        after: u32,
        /// How many at most.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Shows a tenant.
    #[serde(rename = "tenant/show")]
    TenantShow {
        /// Its name.
        server_name: String,
    },
    /// Prints what the owner publishes.
    #[serde(rename = "tenant/records")]
    TenantRecords {
        /// Its name.
        server_name: String,
    },
    /// Looks whether the tenant controls its domain, and says record by record what is seen.
    #[serde(rename = "tenant/check")]
    TenantCheck {
        /// Its name.
        server_name: String,
    },
    /// Vouches for the owner's control of the domain.
    #[serde(rename = "tenant/vouch")]
    TenantVouch {
        /// Its name.
        server_name: String,
    },
    /// Stops a tenant.
    #[serde(rename = "tenant/suspend")]
    TenantSuspend {
        /// Its name.
        server_name: String,
    },
    /// Takes a suspension or removal back.
    #[serde(rename = "tenant/resume")]
    TenantResume {
        /// Its name.
        server_name: String,
    },
    /// Lets a tenant go: its people stop at once, and it departs after the grace period.
    #[serde(rename = "tenant/remove")]
    TenantRemove {
        /// Its name.
        server_name: String,
    },
    /// Changes where a tenant is reached, or how to reach its owner.
    #[serde(rename = "tenant/set")]
    TenantSet {
        /// Its name.
        server_name: String,
        /// Where it is to be reached, the first published; without any, as before.
        #[serde(default)]
        hostnames: Vec<String>,
        /// Whether the hostnames that it has lead to it no longer.
        #[serde(default)]
        drop_old: bool,
        /// How to reach the owner; an empty text takes it back.
        #[serde(default)]
        owner: Option<String>,
    },
    /// Makes a new signing key for a tenant, which takes over from those that it has.
    #[serde(rename = "tenant/rotate-key")]
    TenantRotateKey {
        /// Its name.
        server_name: String,
        /// Whether at once, for a key that has got out.
        #[serde(default)]
        at_once: bool,
    },
    /// Publishes a key with which a tenant signed before it came here.
    #[serde(rename = "tenant/add-old-key")]
    TenantAddOldKey {
        /// Its name.
        server_name: String,
        /// The key.
        #[serde(flatten)]
        key: OldKeyText,
    },
    /// Shows a tenant's policy, or changes it first.
    #[serde(rename = "tenant/policy")]
    TenantPolicy {
        /// Its name.
        server_name: String,
        /// What to merge into the policy (RFC 7396).
        #[serde(default)]
        set: Option<Value>,
    },
    /// Makes a registration token of a tenant.
    #[serde(rename = "registration-token/add")]
    RegistrationTokenAdd {
        /// The tenant.
        server_name: String,
        /// What it is like.
        #[serde(flatten)]
        wanted: WantedToken,
    },
    /// Lists the registration tokens of a tenant.
    #[serde(rename = "registration-token/list")]
    RegistrationTokenList {
        /// The tenant.
        server_name: String,
    },
    /// Takes a registration token of a tenant back.
    #[serde(rename = "registration-token/remove")]
    RegistrationTokenRemove {
        /// The tenant.
        server_name: String,
        /// The token.
        token: String,
    },
    /// Has a user of a tenant invite one person.
    #[serde(rename = "invitation/add")]
    InvitationAdd {
        /// The tenant.
        server_name: String,
        /// The user; without one, the user who asks.
        #[serde(default)]
        by: Option<String>,
    },
    /// Lists the invitations of a tenant; for its users, their own.
    #[serde(rename = "invitation/list")]
    InvitationList {
        /// The tenant.
        server_name: String,
    },
    /// Takes an invitation back that nobody used.
    #[serde(rename = "invitation/remove")]
    InvitationRemove {
        /// The tenant.
        server_name: String,
        /// The code of the invitation.
        code: String,
    },
    /// Lists the users of a tenant in the order in which they came.
    #[serde(rename = "user/list")]
    UserList {
        /// The tenant.
        server_name: String,
        /// After this user.
        #[serde(default)]
        after: Option<String>,
        /// How many at most.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Shows a user and the user's devices.
    #[serde(rename = "user/show")]
    UserShow {
        /// The user.
        user_id: String,
    },
    /// Makes an account.
    #[serde(rename = "user/add")]
    UserAdd {
        /// Its user id.
        user_id: String,
        /// What it is like.
        #[serde(flatten)]
        wanted: WantedAccount,
    },
    /// Gives a user a new password.
    #[serde(rename = "user/reset-password")]
    UserResetPassword {
        /// The user.
        user_id: String,
        /// The password; without one, something random is made and given back.
        #[serde(default)]
        password: Option<Secret>,
        /// Whether the user's sessions go on.
        #[serde(default)]
        keep_sessions: bool,
    },
    /// Lets a user do little but read.
    #[serde(rename = "user/suspend")]
    UserSuspend {
        /// The user.
        user_id: String,
    },
    /// Takes a suspension of a user back.
    #[serde(rename = "user/resume")]
    UserResume {
        /// The user.
        user_id: String,
    },
    /// Lets a user do nothing but log out.
    #[serde(rename = "user/lock")]
    UserLock {
        /// The user.
        user_id: String,
    },
    /// Takes a lock of a user back.
    #[serde(rename = "user/unlock")]
    UserUnlock {
        /// The user.
        user_id: String,
    },
    /// Gives an account up, for ever.
    #[serde(rename = "user/deactivate")]
    UserDeactivate {
        /// The user.
        user_id: String,
        /// Whether what the user said is shown to nobody new.
        #[serde(default)]
        erase: bool,
    },
    /// Gives users the passwords that have bcrypt hashes, and makes the accounts that are not there.
    #[serde(rename = "user/import")]
    UserImport {
        /// The tenant.
        server_name: String,
        /// Lines of a file.
        lines: Vec<ImportLine>,
        /// What the other server added to each password before it was hashed.
        #[serde(default)]
        pepper: Option<Secret>,
    },
    /// Shows a file of a tenant, or one of another server that the tenant keeps.
    #[serde(rename = "media/show")]
    MediaShow {
        /// The tenant.
        server_name: String,
        /// The file's `mxc://` URI.
        uri: String,
    },
    /// Deletes a file of a tenant, or what the tenant keeps of one of another server.
    #[serde(rename = "media/delete")]
    MediaDelete {
        /// The tenant.
        server_name: String,
        /// The file's `mxc://` URI.
        uri: String,
    },
    /// Withholds a file from a tenant's people and from whoever asks the tenant.
    #[serde(rename = "media/quarantine")]
    MediaQuarantine {
        /// The tenant.
        server_name: String,
        /// The file's `mxc://` URI.
        uri: String,
    },
    /// Takes a file out of quarantine.
    #[serde(rename = "media/release")]
    MediaRelease {
        /// The tenant.
        server_name: String,
        /// The file's `mxc://` URI, or the SHA-256 of its bytes.
        file: String,
    },
    /// Lists what is withheld.
    #[serde(rename = "media/quarantined")]
    MediaQuarantined {
        /// The tenant; without one, what is withheld from all.
        #[serde(default)]
        server_name: Option<String>,
        /// How many at most.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Withholds bytes from all.
    #[serde(rename = "media/block")]
    MediaBlock {
        /// The SHA-256 of the bytes, as hexadecimal digits.
        sha256: String,
    },
    /// Takes a block back.
    #[serde(rename = "media/unblock")]
    MediaUnblock {
        /// The SHA-256 of the bytes, as hexadecimal digits.
        sha256: String,
    },
    /// Shows what administrators did, to a tenant or to the whole process.
    #[serde(rename = "audit")]
    Audit {
        /// The tenant; without one, what concerned the whole process.
        #[serde(default)]
        server_name: Option<String>,
        /// How many acts at most, the newest first.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Makes an operator token.
    #[serde(rename = "token/add")]
    TokenAdd {
        /// What it is for.
        label: String,
    },
    /// Lists the operator tokens, without their texts.
    #[serde(rename = "token/list")]
    TokenList {},
    /// Takes operator tokens back.
    #[serde(rename = "token/remove")]
    TokenRemove {
        /// The label with which they were made.
        label: String,
    },
    /// Looks how another server, or a tenant, is reached, and how tenants are reached by others.
    #[serde(rename = "doctor")]
    Doctor {
        /// The server.
        server_name: String,
        /// The tenants to look at; without any, the first few.
        #[serde(default)]
        tenants: Vec<String>,
        /// Whether to look at all that are in service, where none are named.
        #[serde(default)]
        all: bool,
    },
    /// Makes a backup of everything in a new directory on the server's machine, and reads it again.
    #[serde(rename = "backup")]
    Backup {
        /// The directory.
        directory: PathBuf,
    },
    /// Shows a room as the server has it.
    #[serde(rename = "room/show")]
    RoomShow {
        /// Its id.
        room_id: String,
    },
    /// Looks what is broken of a room, asks other servers for what is lost, and says what would be changed; or changes it.
    #[serde(rename = "room/repair")]
    RoomRepair {
        /// Its id.
        room_id: String,
        /// Whether it is done.
        #[serde(default)]
        apply: bool,
        /// Servers that are asked first.
        #[serde(default)]
        via: Vec<String>,
    },
    /// Says how the process is.
    #[serde(rename = "status")]
    Status {},
    /// Reads everything, computes anew what follows from the events, and looks whether it is in order.
    #[serde(rename = "fsck")]
    Fsck {
        /// Whether the bytes of all media are read, too.
        #[serde(default)]
        media: bool,
        /// Whether signatures are verified and the authorisation rules asked again, too.
        #[serde(default)]
        deep: bool,
    },
    /// Takes messages from the store and its files that nobody keeps any longer.
    #[serde(rename = "forget")]
    Forget {},
}

/// A public key that is in use no longer, as `old_verify_keys` shows it
/// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKeyText {
    /// Its id.
    pub key_id: String,
    /// The key, as unpadded Base64.
    pub key: String,
    /// Until when it was in use, in milliseconds since the Unix epoch.
    pub expired_ts: i64,
}

fn page() -> usize {
    100
}

/// The server that a user id names.
fn server_of(user_id: &str) -> Option<&str> {
    user_id.strip_prefix('@')?.split_once(':').map(|(_, server_name)| server_name)
}

impl Command {
    /// Whether every user of the tenant that the command concerns may give it, for himself.
    pub fn is_for_users(&self) -> bool {
        matches!(
            self,
            Command::InvitationAdd { by: None, .. }
                | Command::InvitationList { .. }
                | Command::InvitationRemove { .. }
        )
    }

    /// The tenant that the command concerns; `None` if it concerns the whole process.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Command::TenantShow { server_name }
            | Command::TenantRecords { server_name }
            | Command::TenantCheck { server_name }
            | Command::TenantRotateKey { server_name, .. }
            | Command::TenantAddOldKey { server_name, .. }
            | Command::TenantPolicy { server_name, .. }
            | Command::RegistrationTokenAdd { server_name, .. }
            | Command::RegistrationTokenList { server_name }
            | Command::RegistrationTokenRemove { server_name, .. }
            | Command::InvitationAdd { server_name, .. }
            | Command::InvitationList { server_name }
            | Command::InvitationRemove { server_name, .. }
            | Command::UserList { server_name, .. }
            | Command::UserImport { server_name, .. }
            | Command::MediaShow { server_name, .. }
            | Command::MediaDelete { server_name, .. }
            | Command::MediaQuarantine { server_name, .. }
            | Command::MediaRelease { server_name, .. } => Some(server_name),
            Command::UserShow { user_id }
            | Command::UserAdd { user_id, .. }
            | Command::UserResetPassword { user_id, .. }
            | Command::UserSuspend { user_id }
            | Command::UserResume { user_id }
            | Command::UserLock { user_id }
            | Command::UserUnlock { user_id }
            | Command::UserDeactivate { user_id, .. } => server_of(user_id),
            Command::Audit { server_name, .. } | Command::MediaQuarantined { server_name, .. } => {
                server_name.as_deref()
            }
            // What decides whether a tenant is hosted at all is the operator's alone.
            Command::TenantAdd { .. }
            | Command::TenantList { .. }
            | Command::TenantSet { .. }
            | Command::TenantVouch { .. }
            | Command::TenantSuspend { .. }
            | Command::TenantResume { .. }
            | Command::TenantRemove { .. }
            | Command::TokenAdd { .. }
            | Command::TokenList {}
            | Command::TokenRemove { .. }
            | Command::MediaBlock { .. }
            | Command::MediaUnblock { .. }
            | Command::Doctor { .. }
            | Command::RoomShow { .. }
            | Command::RoomRepair { .. }
            | Command::Backup { .. }
            | Command::Status {}
            | Command::Forget {}
            | Command::Fsck { .. } => None,
        }
    }
}
