//! What an `m.room.member` event says, in a form that a server can keep beside it.

use freehold_canonical_json::{RawValue, fields, string_member};

use crate::view::{EventView, server_name_of_user};

/// The `membership` of an [`m.room.member`](https://spec.matrix.org/v1.19/client-server-api/#mroommember)
/// event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// `join`
    Join,
    /// `invite`
    Invite,
    /// `leave`
    Leave,
    /// `ban`
    Ban,
    /// `knock`, which means something from room version 7 on.
    Knock,
    /// Any other value, or none.
    Other,
}

impl Membership {
    /// Reads the value of the `membership` property.
    pub fn parse(membership: &str) -> Self {
        match membership {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            "knock" => Self::Knock,
            _ => Self::Other,
        }
    }

    /// Reads the content of an `m.room.member` event of the state.
    pub fn of_content(content: &str) -> Self {
        string_member(content, "membership").map_or(Self::Other, |membership| Self::parse(&membership))
    }
}

/// All that authorisation looks at in an ordinary `m.room.member` event, in two bytes.
///
/// Ordinary is one whose state key is shaped like a user ID, whose `membership` is a string, and whose
/// content has neither `third_party_invite` nor `join_authorised_via_users_server`: nearly all of them.
/// A server that keeps it beside the event (see [`EventSource::member_summary`](crate::EventSource::member_summary))
/// resolves state without reading the texts of members again.
///
/// ```
/// use freehold_event::{EventView, MemberSummary, Membership};
///
/// let ban = EventView {
///     id: &"$ban",
///     event_id: "$ban",
///     room_id: Some("!room:example.org"),
///     event_type: "m.room.member",
///     state_key: Some("@eve:example.org"),
///     sender: "@alice:example.org",
///     content: r#"{"membership":"ban","reason":"spam"}"#,
///     origin_server_ts: 0,
///     depth: 9,
///     prev_events: &[],
///     auth_events: &[],
///     redacts: None,
///     rejected: false,
/// };
/// let summary = MemberSummary { membership: Membership::Ban, of_sender: false };
/// assert_eq!(MemberSummary::of(&ban), Some(summary));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberSummary {
    /// `content.membership`.
    pub membership: Membership,
    /// Whether the sender speaks of themself: `sender` and `state_key` are the same.
    pub of_sender: bool,
}

impl MemberSummary {
    /// The summary of an event; `None` when it is no `m.room.member` event, or not an ordinary one.
    pub fn of<Id>(event: &EventView<'_, Id>) -> Option<Self> {
        let target = event.state_key.filter(|_| event.event_type == "m.room.member")?;
        server_name_of_user(target)?;
        let membership = ordinary_membership(event.content)?.as_str()?;
        Some(Self { membership: Membership::parse(&membership), of_sender: event.sender == target })
    }
}

/// `membership`, unless something beside it matters too.
fn ordinary_membership(content: &str) -> Option<RawValue<'_>> {
    let mut membership = None;
    for field in fields(content) {
        let (key, value) = field.ok()?;
        match &*key {
            "membership" => membership = Some(value),
            "third_party_invite" | "join_authorised_via_users_server" => return None,
            _ => {}
        }
    }
    membership
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(event_type: &str, state_key: Option<&str>, content: &str) -> Option<MemberSummary> {
        MemberSummary::of(&EventView {
            id: &0,
            event_id: "$event",
            room_id: None,
            event_type,
            state_key,
            sender: "@a:b",
            content,
            origin_server_ts: 0,
            depth: 0,
            prev_events: &[],
            auth_events: &[],
            redacts: None,
            rejected: false,
        })
    }

    #[test]
    fn only_ordinary_members_have_a_summary() {
        let member = "m.room.member";
        let join = r#"{"membership":"join"}"#;
        for (event_type, state_key, content, expected) in [
            (member, Some("@a:b"), join, Some((Membership::Join, true))),
            (member, Some("@c:b"), join, Some((Membership::Join, false))),
            (member, Some("@c:b"), r#"{"membership":"ban","reason":"x"}"#, Some((Membership::Ban, false))),
            (member, Some("@a:b"), r#"{"membership":"ban","membership":"le\u0061ve"}"#, {
                Some((Membership::Leave, true))
            }),
            (member, Some("@a:b"), r#"{"membership":"away"}"#, Some((Membership::Other, true))),
            (member, Some("@a:b"), r#"{"membership":1}"#, None),
            (member, Some("@a:b"), "{}", None),
            (member, Some("@a:b"), "[]", None),
            (member, Some("@a:b"), r#"{"membership":"join"} x"#, None),
            (member, Some("@a:b"), r#"{"join_authorised_via_users_server":1,"membership":"join"}"#, None),
            (member, Some("@a:b"), r#"{"membership":"invite","third_party_invite":{}}"#, None),
            (member, Some("@a"), join, None),
            (member, Some("@a:"), join, None),
            (member, Some("a:b"), join, None),
            (member, None, join, None),
            ("m.room.name", Some("@a:b"), join, None),
        ] {
            let expected = expected.map(|(membership, of_sender)| MemberSummary { membership, of_sender });
            assert_eq!(summary(event_type, state_key, content), expected, "{state_key:?} {content}");
        }
    }
}
