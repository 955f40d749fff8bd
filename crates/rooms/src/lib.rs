//! The rooms of the server: room machines over the store.
//!
//! A room is stored once, however many tenants are in it. Writing goes through [`Rooms`]: a command locks the room (one
//! writer each), has the pure machine of `freehold-room` make and check events, and commits one batch with everything
//! in it. Reading goes through [`Reader`], which shows what was durable at one position and takes no lock.
//!
//! What one tenant does is checked on behalf of the others as if it had come over the network: signatures, hashes,
//! authorisation, access control lists.
//!
//! # What it does not do
//!
//! It knows no HTTP. What only other servers can answer it asks of [`RemoteServers`].
//!
//! # Where to start
//!
//! [`Rooms`] and [`Reader`].

mod alias;
mod authorise;
mod beside;
mod cache;
pub mod check;
mod commit;
mod content;
mod create;
mod directory;
mod erased;
mod error;
mod for_servers;
mod garbage;
mod hierarchy;
mod ingest;
mod labour;
mod limits;
mod loaded;
mod membership;
mod newcomers;
mod newly_shared;
mod numbers;
mod outside;
mod own_choices;
mod partial;
mod policy;
mod processors;
mod random;
mod read;
mod receive;
mod redact;
mod relations;
mod remote;
mod repair;
mod rooms;
mod rows;
mod send;
mod servers;
mod sign;
mod special;
mod stripped;
mod upgrade;
mod work;
mod write;

pub use create::{CreateRoom, InitialState, Preset, Visibility};
pub use directory::{DirectoryFilter, RoomSummary};
pub use error::ActionError;
pub use for_servers::{MissingEvents, Nearest, NotShown, ServerView, StateAnswer};
pub use garbage::{CollectedStates, MessageGarbage, SentCursor, StateGarbage};
pub use hierarchy::{Children, SpaceAnswer, SpaceChild, SpaceRoom};
pub use labour::{Job, Labour, OwnHands};
pub use limits::BATCH_MAX;
pub use membership::{Entry, MemberAction};
pub use outside::{
    AnswerBody, Identities, MakeMembership, Members, NoProfiles, NoRemoteServers, NobodyAsked, OwnStep,
    Profiles, RemoteServers, ResolvedAlias, SendInvite, SendMembership, SigningError, Template, Unanswered,
};
pub use partial::{HeldEvent, Hold, LackingRoom, LateState, PartialRoom, Unverified};
pub use policy::{Retention, RoomPolicy};
pub use processors::Processors;
pub use random::{Entropy, NoEntropy, SystemEntropy};
pub use read::{
    Between, ClientFormat, MembersElsewhere, Reader, RoomFacts, RoomState, StateChange, StoredEvent,
    Unreadable, Viewer,
};
pub use receive::{Delivery, Incoming, Look, PastEvent};
pub use redact::Redaction;
pub use remote::{Accepted, AskedTemplate, BadAnswer, JoinAnswer, NotServed, SentInvite, SentMembership};
pub use repair::{EventCounts, Fetched, Hole, RepairNote, RepairPlan, RoomPicture};
pub use rooms::{Outside, Rooms, RoomsMemory, RoomsSettings};
pub use send::NewEvent;
pub use upgrade::Upgrade;

pub use freehold_room::ResolveBudget;
