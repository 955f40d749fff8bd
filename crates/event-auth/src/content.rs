//! Reading single members of an event's content, without a tree.

use freehold_canonical_json::{RawValue, fields, member};

/// The value of a member, `None` when it is absent (or the text is not an object).
pub(crate) fn raw_member<'a>(object: &'a str, key: &str) -> Option<RawValue<'a>> {
    member(object, key).ok().flatten()
}

/// The elements of a member that is an array.
pub(crate) fn elements_of<'a>(object: &'a str, key: &str) -> impl Iterator<Item = RawValue<'a>> {
    raw_member(object, key).and_then(|value| value.as_array()).into_iter().flatten().map_while(Result::ok)
}

/// The members of an `m.room.member` event's content that the rules look at, found in one pass.
#[derive(Clone, Copy, Default)]
pub(crate) struct MemberContent<'a> {
    pub(crate) membership: Option<RawValue<'a>>,
    pub(crate) third_party_invite: Option<RawValue<'a>>,
    pub(crate) join_authorised_via_users_server: Option<RawValue<'a>>,
}

impl<'a> MemberContent<'a> {
    /// What reaches the rules was parsed when its format was checked; text that is not JSON can
    /// only be a caller's mistake, and says nothing.
    pub(crate) fn read(content: &'a str) -> Self {
        let mut found = Self::default();
        for field in fields(content) {
            let Ok((key, value)) = field else {
                return Self::default();
            };
            match &*key {
                "membership" => found.membership = Some(value),
                "third_party_invite" => found.third_party_invite = Some(value),
                "join_authorised_via_users_server" => {
                    found.join_authorised_via_users_server = Some(value);
                }
                _ => {}
            }
        }
        found
    }
}
