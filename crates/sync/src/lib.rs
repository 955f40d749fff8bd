//! What is new for a user: the sync of the client-server API, receipts, typing, presence and unread counts.
//!
//! A sync compares two positions of the store: the one in the client's token and the newest. What it answers is a function
//! of those two, of the filter, and of who is typing and online; the server keeps nothing for a client between two syncs but
//! which member events it was sent, and may forget that too.
//!
//! # What it does not do
//!
//! It knows nothing of accounts and keys: it asks for their news through [`AccountNews`] and [`DeviceNews`].
//!
//! # Where to start
//!
//! [`SyncService::sync`]; [`SyncToken`] says what a client has seen.

mod counting;
pub mod filter;
mod from_servers;
mod joined;
mod lazy_members;
mod news;
mod no_news;
mod other_servers;
mod presence;
mod receipts;
pub mod response;
mod rooms_update;
mod service;
mod set_typing;
mod state_update;
mod timeline;
mod token;
mod typing;
mod unread;
mod view;

pub use from_servers::{NotHeard, ToldReceipt};
pub use news::{AccountData, AccountNews, Answer, DeviceNews, HeldKeys, NewsError};
pub use no_news::NoNews;
pub use other_servers::{NoOtherServers, OtherServers, PublicReceipt};
pub use presence::{PresenceError, PresenceForAll, PresencePolicies, PresenceState, Shown, ToldPresence};
pub use receipts::{NewReceipt, ReceiptError};
pub use service::{Outside, StateForm, SyncError, SyncRequest, SyncService, TIMEOUT_MAX};
pub use set_typing::TypingError;
pub use token::{InvalidToken, SyncToken, TimelineToken};
pub use typing::{TYPING_MS_MAX, Typing};
