//! The naive twin: the specification's authorisation rules and state resolution, transcribed
//! literally and slowly.
//!
//! It shares nothing with the libraries it is compared with but the JSON text of events: it reads
//! contents with `serde_json`, keeps state in ordered maps, walks whole auth chains, and has its
//! own list of what differs between room versions ([`Differences`]). Every function quotes the
//! text it transcribes; hold it beside the page of the room version.
//!
//! Where the text leaves something open, the twin does what the reference implementation
//! (Synapse) does, and a comment says so.
//!
//! Not covered: point 2 of the member rule (is the event signed by the server of
//! `join_authorised_via_users_server`?), which is settled with the signatures before these rules.

mod auth;
mod differences;
mod history;
mod member;
mod power;
mod power_levels;
mod receipt;
mod resolve;
mod resolve_v1;
mod resolve_v2;
mod selection;
mod third_party;

use std::collections::BTreeMap;

pub use self::{
    auth::{Denied, check, check_auth_events},
    differences::{Algorithm, Differences},
    history::{History, state_after},
    power::Power,
    receipt::{Verdict, receive},
    resolve::{Dropped, Resolved, auth_chain, resolve, resolve_as},
    resolve_v2::Walk,
    selection::selection,
};
use crate::event::{RoomEvent, StateKey};

/// A room state with the events themselves.
pub type State<'a> = BTreeMap<StateKey, &'a RoomEvent>;
