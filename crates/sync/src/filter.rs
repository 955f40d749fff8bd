//! Filters: which events of a list a client wants to see
//! (<https://spec.matrix.org/v1.19/client-server-api/#filtering>).

use js_int::UInt;
use ruma_client_api::filter::{Filter, RoomEventFilter, UrlFilter};
use ruma_common::{RoomId, UserId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::response::EventJson;

/// What filters look at in an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Filterable<'a> {
    /// Its type.
    #[serde(rename = "type", borrow)]
    event_type: std::borrow::Cow<'a, str>,
    /// Its sender; account data has none.
    #[serde(default, borrow)]
    sender: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WithUrl {
    url: Option<Value>,
}

impl<'a> Filterable<'a> {
    /// Reads what filters look at from an event's JSON; `None` if it is no event.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    fn has_url(&self) -> bool {
        let content = self.content.and_then(|content| serde_json::from_str::<WithUrl>(content.get()).ok());
        content.is_some_and(|content| content.url.is_some_and(|url| url.is_string()))
    }
}

/// Whether a room filter lets an event (federation or client format) pass.
pub fn room_event_passes(filter: &RoomEventFilter, json: &str) -> bool {
    if passes_everything(filter) {
        return true;
    }
    let Some(event) = Filterable::read(json) else { return false };
    type_and_sender_pass(
        &event,
        (filter.types.as_deref(), &filter.not_types),
        (filter.senders.as_deref(), &filter.not_senders),
    ) && url_passes(filter.url_filter, &event)
}

/// Whether a filter outside of rooms lets an event pass.
pub fn event_passes(filter: &Filter, json: &str) -> bool {
    let Some(event) = Filterable::read(json) else { return false };
    type_and_sender_pass(
        &event,
        (filter.types.as_deref(), &filter.not_types),
        (filter.senders.as_deref(), &filter.not_senders),
    )
}

/// Whether a room filter lets events of a room pass at all.
pub(crate) fn takes_room(filter: &RoomEventFilter, room: &RoomId) -> bool {
    room_passes(filter.rooms.as_deref(), &filter.not_rooms, room)
}

/// Leaves out what is beyond the `limit` of a filter, "the maximum number of events to return".
pub(crate) fn limit(events: &mut Vec<EventJson>, limit: Option<UInt>) {
    let limit = limit.and_then(|limit| usize::try_from(u64::from(limit)).ok());
    events.truncate(limit.unwrap_or(usize::MAX));
}

/// Whether a list of wanted rooms and one of unwanted rooms let a room pass; unwanted wins.
pub fn room_passes(
    wanted: Option<&[ruma_common::OwnedRoomId]>,
    unwanted: &[ruma_common::OwnedRoomId],
    room: &RoomId,
) -> bool {
    wanted.is_none_or(|wanted| wanted.iter().any(|one| one == room)) && unwanted.iter().all(|one| one != room)
}

fn passes_everything(filter: &RoomEventFilter) -> bool {
    filter.types.is_none()
        && filter.senders.is_none()
        && filter.url_filter.is_none()
        && filter.not_types.is_empty()
        && filter.not_senders.is_empty()
}

type Wanted<'a, T> = (Option<&'a [T]>, &'a [T]);

fn type_and_sender_pass(
    event: &Filterable<'_>,
    (types, not_types): Wanted<'_, String>,
    (senders, not_senders): Wanted<'_, ruma_common::OwnedUserId>,
) -> bool {
    let of_type = |pattern: &String| matches_pattern(pattern, &event.event_type);
    let of_sender = |one: &ruma_common::OwnedUserId| event.sender.as_deref() == Some(UserId::as_str(one));
    types.is_none_or(|types| types.iter().any(of_type))
        && !not_types.iter().any(of_type)
        && senders.is_none_or(|senders| senders.iter().any(of_sender))
        && !not_senders.iter().any(of_sender)
}

fn url_passes(filter: Option<UrlFilter>, event: &Filterable<'_>) -> bool {
    match filter {
        None => true,
        Some(UrlFilter::EventsWithUrl) => event.has_url(),
        Some(UrlFilter::EventsWithoutUrl) => !event.has_url(),
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
///
/// Linear in the length of `text` for each `*`: a pattern cannot make the search blow up.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Leaves only the wanted fields of an event: dot-separated paths, in which `\.` is a dot of a name and `\\` a backslash
/// (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter>, `event_fields`).
pub(crate) fn only_fields(event: &Value, fields: &[String]) -> Value {
    let mut kept = Value::Object(serde_json::Map::new());
    for field in fields {
        let path = split_path(field);
        keep(event, &mut kept, &path);
    }
    kept
}

fn keep(from: &Value, to: &mut Value, path: &[String]) {
    let Some((name, deeper)) = path.split_first() else { return };
    let (Some(found), Some(object)) = (from.get(name), to.as_object_mut()) else { return };
    if deeper.is_empty() {
        object.insert(name.clone(), found.clone());
    } else if found.is_object() {
        let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(serde_json::Map::new()));
        keep(found, inner, deeper);
    }
}

fn split_path(field: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => name.extend(unescaped(characters.next())),
            other => name.push(other),
        }
    }
    names.push(name);
    names
}

fn unescaped(escaped: Option<char>) -> impl Iterator<Item = char> {
    let keeps_backslash = !matches!(escaped, Some('.' | '\\'));
    keeps_backslash.then_some('\\').into_iter().chain(escaped)
}

#[cfg(test)]
mod tests {
    use ruma_common::{owned_room_id, owned_user_id, room_id};
    use serde_json::json;

    use super::*;

    const MESSAGE: &str =
        r#"{"type":"m.room.message","sender":"@one:a.example","content":{"url":"mxc://a/b"}}"#;
    const TOPIC: &str = r#"{"type":"m.room.topic","sender":"@two:b.example","content":{}}"#;

    fn filter(change: impl FnOnce(&mut RoomEventFilter)) -> RoomEventFilter {
        let mut filter = RoomEventFilter::default();
        change(&mut filter);
        filter
    }

    #[test]
    fn each_part_of_a_filter_decides() {
        let cases = [
            (filter(|_| {}), (true, true)),
            (filter(|f| f.types = Some(vec!["m.room.message".into()])), (true, false)),
            (filter(|f| f.types = Some(vec!["m.room.*".into()])), (true, true)),
            (filter(|f| f.types = Some(vec![])), (false, false)),
            (filter(|f| f.not_types = vec!["*.topic".into()]), (true, false)),
            (filter(|f| f.senders = Some(vec![owned_user_id!("@two:b.example")])), (false, true)),
            (filter(|f| f.not_senders = vec![owned_user_id!("@two:b.example")]), (true, false)),
            (filter(|f| f.url_filter = Some(UrlFilter::EventsWithUrl)), (true, false)),
            (filter(|f| f.url_filter = Some(UrlFilter::EventsWithoutUrl)), (false, true)),
        ];
        for (filter, (message, topic)) in cases {
            assert_eq!(room_event_passes(&filter, MESSAGE), message, "{filter:?}");
            assert_eq!(room_event_passes(&filter, TOPIC), topic, "{filter:?}");
        }
    }

    #[test]
    fn an_unwanted_room_is_unwanted_even_when_wanted() {
        let room = owned_room_id!("!r:a.example");
        let wanted = [room.clone()];
        assert!(room_passes(Some(&wanted), &[], &room));
        assert!(!room_passes(Some(&wanted), &wanted, &room));
        assert!(!room_passes(Some(&wanted), &[], room_id!("!other:a.example")));
        assert!(room_passes(None, &[], &room));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("m.*", "m.room", true),
            ("*", "", true),
            ("m.*.x", "m.x", false),
            ("m.*.x", "m..x", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("m.room", "m.rooms", false),
            ("*m*", "room", true),
        ];
        for (pattern, text, matches) in cases {
            assert_eq!(matches_pattern(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn only_the_named_fields_stay() {
        let event = json!({"type": "t", "content": {"body": "b", "a.b": 1, "other": 2}, "sender": "s"});
        let fields =
            ["content.body".to_owned(), r"content.a\.b".to_owned(), "sender.x".to_owned(), "type".to_owned()];
        assert_eq!(only_fields(&event, &fields), json!({"type": "t", "content": {"body": "b", "a.b": 1}}));
    }
}
