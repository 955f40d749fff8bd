//! Policy servers: whether a room has one, and whether it recommends an event.

use freehold_canonical_json::string_member;
use freehold_event::{EventView, Pdu, server_name_of};
use freehold_signing::{VerifyingKey, verify_policy_signature};

use crate::content;

/// The [policy server](https://spec.matrix.org/v1.19/server-server-api/#policy-servers) that a room
/// uses.
///
/// Its word is no authorisation rule: an event it does not recommend is soft-failed on receipt and
/// not sent in the first place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyServer {
    server_name: Box<str>,
    /// `None` when what stands in the event is no usable key: no event has a valid signature then.
    key: Option<VerifyingKey>,
}

impl PolicyServer {
    /// The policy server of a room, given the content of the `m.room.policy` event with an empty
    /// state key in its current state and the users that are joined to it.
    ///
    /// `None` unless [all conditions hold](https://spec.matrix.org/v1.19/server-server-api/#determining-if-a-policy-server-is-enabled-in-a-room):
    /// the content has "a string value for `via`" and "an object value for `public_keys` containing
    /// at least a string value for `ed25519`", and the server named by `via` "has at least one
    /// joined user in the room". The users are only gone through when the content is in order.
    pub fn of_room<'a>(
        policy_content: &str,
        joined_users: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let named = Self::named_by(policy_content)?;
        let is_joined =
            joined_users.into_iter().any(|user_id| server_name_of(user_id) == Some(&*named.server_name));
        is_joined.then_some(named)
    }

    /// The policy server that the content of an `m.room.policy` event names. It is the room's only if it "has at least one
    /// joined user in the room", which the caller knows.
    pub fn named_by(policy_content: &str) -> Option<Self> {
        let server_name = string_member(policy_content, "via")?;
        let keys = content::raw_member(policy_content, "public_keys")?;
        let key = string_member(keys.text(), "ed25519")?;
        Some(Self { server_name: server_name.into(), key: VerifyingKey::from_base64(&key).ok() })
    }

    /// The server to ask for signatures.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The key to verify the server's signatures with, which is never one that the server publishes;
    /// `None` when what the room has in its place is none.
    pub fn key(&self) -> Option<&VerifyingKey> {
        self.key.as_ref()
    }

    /// Whether an event needs the signature of a policy server: every event does but
    /// "`m.room.policy` state events with empty string `state_key`s".
    pub fn concerns<Id>(event: &EventView<'_, Id>) -> bool {
        !event.is_state("m.room.policy", "")
    }

    /// Whether the policy server recommends an event "for inclusion": it is exempt, or has the
    /// server's signature.
    ///
    /// When the answer is no, the server should be asked for a new signature before the event is
    /// soft-failed: its key may have changed in between.
    #[must_use = "an event that is not recommended is soft-failed"]
    pub fn recommends(&self, pdu: &Pdu) -> bool {
        if !Self::concerns(&pdu.view()) {
            return true;
        }
        let verified = |key| verify_policy_signature(pdu, &self.server_name, key).is_ok();
        self.key().is_some_and(verified)
    }
}
