//! The accounts of a homeserver of many tenants: users, devices, tokens, passwords, profiles, account data, push rules.
//!
//! [`Accounts`] is all of it, over a [`Store`](freehold_store::Store). Whatever it does, it does for a
//! [`Tenant`](freehold_store::Tenant) or for an [`Actor`](freehold_store::Actor): a token of one tenant is unknown
//! to every other, and a user name says nothing about whether it is taken elsewhere.
//!
//! - Passwords are hashed with Argon2id on blocking threads, so many at a time as [`AccountSettings`] allows.
//! - Tokens are 256 random bits; the store holds their SHA-256 only. [`Accounts::authenticate`] remembers the newest
//!   ones in memory, and forgets them before the request that ended them is answered.
//! - What a stranger can make grow has a bound in [`AccountLimits`].
//!
//! # What it asks of others
//!
//! [`Policies`]: what a tenant has settled. [`DeviceKeys`]: what belongs to a device elsewhere. [`MemberEvents`]: the
//! rooms in which a profile is shown. Each is a small trait, so that this crate can be tested and used alone.

mod account_data;
mod accounts;
mod attempts;
mod carry_over;
mod consent;
mod credentials;
mod deactivate;
mod device;
mod device_keys;
mod erase;
mod failed_logins;
mod failure;
mod filters;
mod import;
mod interactive;
mod invitations;
mod login;
mod member_events;
mod member_jobs;
mod moderation;
mod open_session;
mod openid;
mod password;
mod policies;
mod profile;
mod push_rules;
mod random;
mod refresh;
mod register;
mod registration_tokens;
mod session;
mod session_cache;
mod settings;
mod shared_secret;
mod tags;
mod token;
mod username;

pub use account_data::{AccountData, AccountDataError};
pub use accounts::{AccountParts, Accounts};
pub use carry_over::CarryOverError;
pub use credentials::{CredentialsError, OtherSessions};
pub use deactivate::Erase;
pub use device::{Device, DeviceError, DeviceRequest};
pub use device_keys::{DeviceGone, DeviceKeys, NoDeviceKeys};
pub use failure::ServerFailure;
pub use filters::FilterError;
pub use import::{ImportError, ImportFailure, Imported, ImportedPassword};
pub use interactive::{
    Attempt, Challenge, Completed, InteractionError, Purpose, Stage, StageFailure, StageProof,
};
pub use invitations::{Invitation, InvitationError};
pub use login::{LoginError, Proof};
pub use member_events::{MemberEvents, NoMemberEvents};
pub use moderation::{AccountFacts, ModerationError, Restraint};
pub use open_session::{NewSession, NewTokens, OpenSessionError, Refresh};
pub use password::{HashCost, Password, PasswordError};
pub use policies::{
    AccountPolicy, AdministrativeAct, Doer, Policies, Registration, TermsDocument, Translation,
};
pub use profile::ProfileError;
pub use push_rules::PushRulesError;
pub use refresh::RefreshError;
pub use register::{Admission, NewAccount, RegisterError, Registered};
pub use registration_tokens::{NewRegistrationToken, RegistrationTokenError};
pub use session::{Session, Standing, TokenError, Use};
pub use settings::{AccountLimits, AccountSettings};
pub use shared_secret::{ToolRegistration, ToolRegistrationError};
pub use username::UsernameError;
