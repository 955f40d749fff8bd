//! What rooms ask of others: who is hosted here, on which terms, who signs, what people call themselves, what other
//! servers say.

use std::error::Error;

use freehold_keyring::Purpose;
use freehold_signing::{KeyId, KeySource, KeyValidity, PublishedKey, Signer, VerifyingKey, WantedKey};
use freehold_store::{BoxFuture, Tenant, TenantNumber};
use ruma_common::{EventId, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::policy::{Retention, RoomPolicy};

/// Who is hosted here, on which terms, and signs.
pub trait Identities: Send + Sync {
    /// The tenant with this server name, if it is hosted here and in service.
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant>;

    /// The power to sign for a tenant, for one purpose, with the key that signs at `now_ts`
    /// (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// There is no key, or the acting user is none of the tenant's.
    fn signer(
        &self,
        tenant: &Tenant,
        purpose: Purpose<'_>,
        now_ts: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError>;

    /// A public key that a tenant of this process publishes at `now_ts` (milliseconds since the Unix epoch).
    fn published_key(
        &self,
        tenant: &Tenant,
        key_id: &KeyId,
        now_ts: i64,
    ) -> Option<(VerifyingKey, KeyValidity)>;

    /// What a tenant has settled about rooms; where nobody says anything, everything is allowed.
    fn policy<'a>(&'a self, _tenant: &'a Tenant) -> BoxFuture<'a, RoomPolicy> {
        Box::pin(std::future::ready(RoomPolicy::default()))
    }

    /// For how long a tenant keeps messages, whether it is in service or not; `None` when it has departed, and nobody of it is
    /// shown anything any more. Whoever cannot say it says that they are kept for ever: what is gone does not come back.
    fn retention(&self, _tenant: TenantNumber) -> BoxFuture<'_, Option<Retention>> {
        Box::pin(std::future::ready(Some(Retention::FOREVER)))
    }

    /// Whether there is a tenant that does not keep messages for ever.
    fn some_forget(&self) -> bool {
        false
    }

    /// Whether a tenant and a server speak with each other: neither the policy of the one nor, if it is hosted here, that
    /// of the other says no. Where nobody says anything, they do.
    fn speak(&self, _tenant: &Tenant, _server: &ServerName) -> bool {
        true
    }
}

/// Why there is no signature: what the keyring said.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be signed for the tenant")]
pub struct SigningError(#[source] pub Box<dyn Error + Send + Sync>);

/// What the users of tenants call themselves.
pub trait Profiles: Send + Sync {
    /// What goes into a membership event of a user of `tenant`: `displayname`, `avatar_url`, as far as they are set.
    fn member_profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Map<String, Value>>;
}

/// Nobody calls themselves anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProfiles;

impl Profiles for NoProfiles {
    fn member_profile<'a>(&'a self, _: &'a Tenant, _: &'a UserId) -> BoxFuture<'a, Map<String, Value>> {
        Box::pin(std::future::ready(Map::new()))
    }
}

/// What only other servers can answer. Every call is on behalf of a tenant, in whose name the request is signed.
///
/// `at` is never a tenant of this process. An answer is what the other server said: nothing in it was verified but
/// that it has the shape of an answer.
pub trait RemoteServers: Send + Sync {
    /// Asks a server for the template of a membership event:
    /// [`make_join`](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid),
    /// `make_leave`, `make_knock`.
    fn make_membership<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        ask: MakeMembership<'a>,
    ) -> BoxFuture<'a, Result<Template, Unanswered>>;

    /// Sends a join
    /// ([`send_join`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid) in
    /// its second version, the first where a server has no other). The answer is the body in the form of the second
    /// version, as it comes.
    fn send_join<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
        members: Members,
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>>;

    /// Sends a leave
    /// ([`send_leave`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid)).
    fn send_leave<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<(), Unanswered>>;

    /// Sends a knock
    /// ([`send_knock`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid));
    /// gives the entries of `knock_room_state`, as JSON texts.
    fn send_knock<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, Unanswered>>;

    /// Sends an invite to the server of the invited user
    /// ([`invite`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid) in its
    /// second version; the first one for room versions 1 and 2 when a server answers 400 or 404); gives the event as
    /// that server signed it, as a JSON text.
    fn send_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        send: SendInvite<'a>,
    ) -> BoxFuture<'a, Result<String, Unanswered>>;

    /// Asks a server of the room to exchange a third-party invite for an invite
    /// (<https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid>).
    /// `exchange` is the room and the body of the request, as a JSON text.
    fn exchange_third_party_invite<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        exchange: (&'a RoomId, &'a str),
    ) -> BoxFuture<'a, Result<(), Unanswered>>;

    /// Asks whether a key of an identity server is still valid, at a URL that an `m.room.third_party_invite` names: "A URL
    /// which can be fetched, with querystring `public_key=public_key`, to validate whether the key has been revoked. The URL
    /// must return a JSON object containing a boolean property named `valid`."
    fn is_key_valid<'a>(
        &'a self,
        key_validity_url: &'a str,
        public_key: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unanswered>>;

    /// The state of a room before an event, and its auth chain
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid>): an object with `pdus` and
    /// `auth_chain`, as it comes.
    fn state<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        before: (&'a RoomId, &'a EventId),
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>>;

    /// Where an alias of the server leads
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory>).
    fn directory<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        alias: &'a RoomAliasId,
    ) -> BoxFuture<'a, Result<ResolvedAlias, Unanswered>>;

    /// What a user of the server is called
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile>).
    fn profile<'a>(
        &'a self,
        tenant: &'a Tenant,
        at: &'a ServerName,
        user_id: &'a UserId,
    ) -> BoxFuture<'a, Result<Map<String, Value>, Unanswered>>;

    /// The keys of other servers that can be had within reasonable time. Those of tenants are asked for, too.
    fn keys<'a>(
        &'a self,
        tenant: &'a Tenant,
        wanted: &'a [WantedKey],
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>>;

    /// The signature of a room's policy server on an event, as Base64
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign>). Where nobody can be asked, there is none.
    fn policy_signature<'a>(
        &'a self,
        _tenant: &'a Tenant,
        _at: &'a ServerName,
        _event: &'a str,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        nobody()
    }
}

/// An answer as it comes over the network.
pub trait AnswerBody: Send {
    /// The next piece of the body, of any length; `None` at its end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, Unanswered>>;
}

/// Which template is wanted.
#[derive(Clone, Copy, Debug)]
pub struct MakeMembership<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Whose membership is to change.
    pub user_id: &'a UserId,
    /// Into what.
    pub step: OwnStep,
    /// The ids of the room versions that are known here.
    pub versions: &'a [&'static str],
}

/// A change of one's own membership that another server helps with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnStep {
    /// Joining.
    Join,
    /// Asking to be let in.
    Knock,
    /// Leaving, or refusing an invite.
    Leave,
}

impl OwnStep {
    /// The membership that the event gives.
    pub const fn membership(self) -> &'static str {
        match self {
            OwnStep::Join => "join",
            OwnStep::Knock => "knock",
            OwnStep::Leave => "leave",
        }
    }
}

/// A template as another server gave it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The `room_version`; `None` when it said none, which means version 1.
    pub room_version: Option<String>,
    /// The `event`, as a JSON text.
    pub event: String,
}

/// A membership event that is sent to a server of the room.
#[derive(Clone, Copy, Debug)]
pub struct SendMembership<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The id of the event.
    pub event_id: &'a EventId,
    /// The event, as a JSON text.
    pub event: &'a str,
}

/// Which members come with the answer to a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// All of them.
    All,
    /// Those that are needed for a beginning (`omit_members`).
    Few,
}

/// An invite that is sent to the server of the invited user.
#[derive(Clone, Copy, Debug)]
pub struct SendInvite<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The id of the event.
    pub event_id: &'a EventId,
    /// The event, as a JSON text.
    pub event: &'a str,
    /// The version of the room.
    pub room_version: &'static str,
    /// The entries of `invite_room_state`, as JSON texts.
    pub room_state: &'a [String],
}

/// Where an alias leads.
#[derive(Clone, Debug)]
pub struct ResolvedAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that are in it, as the alias' server says.
    pub servers: Vec<OwnedServerName>,
}

/// Why another server gave no answer that is of use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// It could not be reached, or not in time.
    #[error("the server cannot be reached")]
    NotReached(#[source] Box<dyn Error + Send + Sync>),
    /// It said no.
    #[error("the server answered {status} {errcode}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `errcode`.
        errcode: String,
        /// What it said.
        message: String,
        /// The version of the room, where it said that.
        room_version: Option<String>,
    },
    /// It answered something that is no answer.
    #[error("the server gave no proper answer")]
    Malformed(#[source] Box<dyn Error + Send + Sync>),
}

/// There are no other servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRemoteServers;

/// No other server is asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no other servers are asked")]
pub struct NobodyAsked;

fn nobody<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, Unanswered>> {
    Box::pin(std::future::ready(Err(Unanswered::NotReached(Box::new(NobodyAsked)))))
}

impl RemoteServers for NoRemoteServers {
    fn make_membership<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: MakeMembership<'a>,
    ) -> BoxFuture<'a, Result<Template, Unanswered>> {
        nobody()
    }

    fn send_join<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: SendMembership<'a>,
        _: Members,
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        nobody()
    }

    fn send_leave<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        nobody()
    }

    fn send_knock<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: SendMembership<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, Unanswered>> {
        nobody()
    }

    fn send_invite<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: SendInvite<'a>,
    ) -> BoxFuture<'a, Result<String, Unanswered>> {
        nobody()
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: (&'a RoomId, &'a str),
    ) -> BoxFuture<'a, Result<(), Unanswered>> {
        nobody()
    }

    fn is_key_valid<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<bool, Unanswered>> {
        nobody()
    }

    fn state<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: (&'a RoomId, &'a EventId),
    ) -> BoxFuture<'a, Result<Box<dyn AnswerBody>, Unanswered>> {
        nobody()
    }

    fn directory<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: &'a RoomAliasId,
    ) -> BoxFuture<'a, Result<ResolvedAlias, Unanswered>> {
        nobody()
    }

    fn profile<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a ServerName,
        _: &'a UserId,
    ) -> BoxFuture<'a, Result<Map<String, Value>, Unanswered>> {
        nobody()
    }

    fn keys<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a [WantedKey],
    ) -> BoxFuture<'a, Box<dyn KeySource + Send + Sync>> {
        Box::pin(std::future::ready(Box::new(NoKeys) as Box<dyn KeySource + Send + Sync>))
    }
}

struct NoKeys;

impl KeySource for NoKeys {
    fn key(&self, _: &ServerName, _: &KeyId) -> Option<PublishedKey<'_>> {
        None
    }
}
