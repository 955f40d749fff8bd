//! Accounts: the users of tenants, their devices and tokens, and what they keep on the server for themselves.

use serde::{Deserialize, Serialize};

use crate::number::{DeviceNumber, Position, RoomNumber, TenantNumber, UserNumber};
use crate::table::{Table, TableId};

/// SHA-256 of a token. The token itself is known to its holder only.
pub type TokenHash = [u8; 32];

/// The account of a user of a tenant.
pub const ACCOUNTS: Table<UserNumber, AccountRow> = Table::new(TableId(60), "accounts");
/// The accounts of a tenant.
pub const TENANT_ACCOUNTS: Table<(TenantNumber, UserNumber), ()> = Table::new(TableId(61), "tenant_accounts");
/// The device of a user that has a device id.
pub const DEVICE_NUMBERS: Table<(UserNumber, String), DeviceNumber> =
    Table::new(TableId(62), "device_numbers");
/// A device.
pub const DEVICES: Table<DeviceNumber, DeviceRow> = Table::new(TableId(63), "devices");
/// When and from where a device was last used.
pub const DEVICE_SEEN: Table<DeviceNumber, SeenRow> = Table::new(TableId(64), "device_seen");
/// Access tokens.
pub const ACCESS_TOKENS: Table<TokenHash, AccessTokenRow> = Table::new(TableId(65), "access_tokens");
/// Refresh tokens.
pub const REFRESH_TOKENS: Table<TokenHash, RefreshTokenRow> = Table::new(TableId(66), "refresh_tokens");
/// The tokens of a device.
pub const DEVICE_TOKENS: Table<(DeviceNumber, TokenHash), TokenKind> =
    Table::new(TableId(67), "device_tokens");
/// Tokens for one login (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token>).
pub const LOGIN_TOKENS: Table<TokenHash, LoginTokenRow> = Table::new(TableId(68), "login_tokens");
/// Tokens that prove who somebody is to a third party (<https://spec.matrix.org/v1.19/client-server-api/#openid>).
pub const OPENID_TOKENS: Table<TokenHash, ShortTokenRow> = Table::new(TableId(69), "openid_tokens");
/// Tokens that expire, by the time at which they do.
pub const EXPIRIES: Table<(i64, TokenHash), TokenKind> = Table::new(TableId(70), "expiries");
/// Tokens with which a tenant lets people register.
pub const REGISTRATION_TOKENS: Table<(TenantNumber, String), RegistrationTokenRow> =
    Table::new(TableId(71), "registration_tokens");
/// Which registration tokens of a tenant are invitations, and of which user.
pub const INVITATIONS: Table<(TenantNumber, UserNumber, String), ()> = Table::new(TableId(79), "invitations");
/// The profile of a user of a tenant.
pub const PROFILES: Table<UserNumber, ProfileRow> = Table::new(TableId(72), "profiles");
/// Member events that still have to be sent for a user.
pub const MEMBER_JOBS: Table<UserNumber, MemberJobRow> = Table::new(TableId(73), "member_jobs");
/// Account data: for the whole account, or for one room.
pub const ACCOUNT_DATA: Table<(UserNumber, Option<RoomNumber>, String), AccountDataRow> =
    Table::new(TableId(74), "account_data");
/// The newest change of each piece of a user's account data, in the order of changes.
pub const ACCOUNT_DATA_CHANGES: Table<(UserNumber, Position, Option<RoomNumber>, String), ()> =
    Table::new(TableId(75), "account_data_changes");
/// Filters that a user uploaded, as JSON, by filter id.
pub const FILTERS: Table<(UserNumber, String), String> = Table::new(TableId(76), "filters");
/// How a user's push rules differ from the defaults.
pub const PUSH_RULES: Table<UserNumber, PushRulesRow> = Table::new(TableId(77), "push_rules");
/// Which documents of a tenant a user accepted, by the name of the document.
pub const ACCEPTED_TERMS: Table<(UserNumber, String), AcceptedTermsRow> =
    Table::new(TableId(78), "accepted_terms");

/// When users asked, as they gave their accounts up, that what they said be shown to nobody new.
pub const ERASED: Table<UserNumber, Position> = Table::new(TableId(80), "erased");

/// The account of a user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// The tenant.
    pub tenant: TenantNumber,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// What a password is compared with; nobody can log in with one if there is none.
    pub password: Option<PasswordRow>,
    /// Whether the user administers the tenant.
    pub admin: bool,
    /// Whether it is locked (<https://spec.matrix.org/v1.19/client-server-api/#account-locking>).
    pub locked: bool,
    /// Whether it is suspended (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>).
    pub suspended: bool,
    /// Set when the account was given up, which is for ever.
    pub deactivated: Option<DeactivatedRow>,
}

/// How an account was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeactivatedRow {
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// Whether the user asked that what they said be shown to nobody new.
    pub erase: bool,
}

/// What a password is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PasswordRow {
    /// Argon2id version 1.3 (RFC 9106) of the password in Unicode form NFKC.
    Argon2id {
        /// Memory, in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// The salt.
        salt: [u8; 16],
        /// The hash.
        hash: [u8; 32],
    },
    /// A bcrypt hash brought from another server, in the form `$2b$…`; replaced at the next login.
    Bcrypt {
        /// The hash.
        hash: String,
        /// What that server appended to each password.
        pepper: String,
    },
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Whose device.
    pub user: UserNumber,
    /// Its device id, unique for the user.
    pub device_id: String,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
}

/// When and from where a device was last used. Written now and then, not with each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
    /// From which address.
    pub ip: Option<String>,
    /// With which user agent.
    pub user_agent: Option<String>,
}

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenRow {
    /// The device for which it was given.
    pub device: DeviceNumber,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: Option<i64>,
    /// The tokens that end when this one is used for the first time.
    pub replaces: Option<TokenPairRow>,
}

/// A refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTokenRow {
    /// The device for which it was given.
    pub device: DeviceNumber,
    /// The access token that came with it.
    pub access: TokenHash,
    /// The tokens that end when this one is used for the first time.
    pub replaces: Option<TokenPairRow>,
    /// What it was last exchanged for, while that was not used yet.
    pub replaced_by: Option<TokenPairRow>,
}

/// An access token and the refresh token that came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPairRow {
    /// The access token.
    pub access: TokenHash,
    /// The refresh token.
    pub refresh: TokenHash,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// Requests.
    Access,
    /// New access tokens.
    Refresh,
    /// One login.
    Login,
    /// Proof of identity to a third party.
    OpenId,
}

/// A token for one login, which ends with the session that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginTokenRow {
    /// Whose token.
    pub user: UserNumber,
    /// The device that asked for it.
    pub device: Option<DeviceNumber>,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

/// A token of a user that is short-lived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortTokenRow {
    /// Whose token.
    pub user: UserNumber,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: i64,
}

/// A token with which a tenant lets people register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTokenRow {
    /// How often it can be used; without end if not set.
    pub uses_allowed: Option<u64>,
    /// How often it was used.
    pub used: u64,
    /// After when it is refused, in milliseconds since the Unix epoch.
    pub expires_ts: Option<i64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// Which user of the tenant invites with it, if it is an invitation.
    pub invited_by: Option<UserNumber>,
    /// Who came with it, if it is an invitation and somebody did.
    pub used_by: Option<UserNumber>,
}

/// A profile: the JSON text of each field by its name, in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// The fields.
    pub fields: Vec<(String, String)>,
}

/// Member events that still have to be sent for a user, one room after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberJobRow {
    /// What is to be sent.
    pub job: MemberJob,
    /// Which change asked for it.
    pub since: Position,
    /// The last room in which it is done.
    pub done: Option<RoomNumber>,
}

/// What is to be sent to each room of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberJob {
    /// The new name and avatar.
    Profile,
    /// That the user leaves.
    Leave,
}

/// A piece of account data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDataRow {
    /// The content, as JSON.
    pub content: String,
    /// When it was last changed.
    pub changed: Position,
}

/// How a user's push rules differ from the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRulesRow {
    /// The user's own rules, and those defaults that the user changed, as a JSON ruleset.
    pub rules: String,
    /// When they were last changed.
    pub changed: Position,
}

/// That a user accepted a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedTermsRow {
    /// Its version.
    pub version: String,
    /// When, in milliseconds since the Unix epoch.
    pub ts: i64,
}
