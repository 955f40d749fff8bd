//! End-to-end encryption as a homeserver serves it.
//!
//! A homeserver cannot read what its users encrypt; it publishes the keys with which they do. This crate keeps
//!
//! - the keys of devices and the cross-signing keys of users, with the signatures that each viewer may see
//!   ([`Encryption::upload_keys`], [`Encryption::query_keys`], [`Encryption::upload_cross_signing_keys`],
//!   [`Encryption::upload_signatures`]);
//! - one-time keys, each of which is handed out at most once, and fallback keys ([`Encryption::claim_keys`]);
//! - whose device lists changed for whom ([`Encryption::device_list_changes`]);
//! - messages from device to device ([`Encryption::send_to_device`], [`Encryption::to_device_since`]);
//! - what another server may ask and send ([`Encryption::devices_for_server`], [`Encryption::query_keys_for_server`],
//!   [`Encryption::claim_keys_for_server`], [`Encryption::receive_to_device`]);
//! - the backup of room keys ([`Encryption::create_backup`] and what follows it).
//!
//! # Between tenants
//!
//! All tenants of the process are in one store, so that a question about a user of another tenant needs no request. What is
//! answered is what that tenant would answer over federation: no names of devices, no user-signing keys, and no signature
//! that the asker may not see. Which servers a tenant reaches is asked of [`Servers`].
//!
//! # What it does not do
//!
//! It knows neither HTTP nor sync tokens, does not authenticate anybody, and makes no devices: it finds them where accounts keep
//! them.
//!
//! # Where to start
//!
//! [`Encryption`], then the file of the subject: one each.

mod backup;
mod claim;
mod cross_signing;
mod device_gone;
mod device_keys;
mod device_lists;
mod devices;
mod document;
mod elsewhere;
mod failure;
mod foreign_keys;
mod foreign_lists;
mod forget;
mod limits;
mod one_time_keys;
mod outside;
mod patience;
mod query;
mod receive_to_device;
mod service;
mod signatures;
mod to_device;
mod upload;
mod user_gone;
mod watching;

pub use backup::{
    Backup, BackupChange, BackupError, BackupLimits, BackupScope, BackupVersion, RoomKeys, SessionKeys,
};
pub use claim::{ClaimedKeys, WantedKeys};
pub use cross_signing::{Consent, CrossSigningError, CrossSigningKeys};
pub use device_lists::DeviceListChanges;
pub use document::InvalidDocument;
pub use failure::Failure;
pub use foreign_lists::UpdateRefused;
pub use forget::{ReceivedCursor, TransactionCursor};
pub use limits::Limits;
pub use outside::{ForeignMembers, NotAnswered, Servers};
pub use patience::Patience;
pub use query::{DevicesOfUser, QueriedKeys, WantedDevices};
pub use receive_to_device::{ReceivedToDevice, ToDeviceRefused};
pub use service::Encryption;
pub use signatures::{SignatureFailure, SignatureFailures, SignedKeys};
pub use to_device::{Messages, SendToDeviceError, ToDeviceMessage, ToDevicePage};
pub use upload::{KeyOfDevice, KeysUpload, UploadError};
pub use user_gone::Identity;
