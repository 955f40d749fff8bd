//! Events.

use freehold_canonical_json::{Value, parse};
use freehold_event::{Pdu, RawPdu, RoomVersion, event_id_of};
use freehold_event_auth::{NamedAuthEvents, PreparedState, auth_types_needed, check, check_auth_events};
use freehold_signing::required_signatures;

/// Everything that is asked of a received event before its signatures. The first byte chooses the
/// room version.
///
/// # Panics
///
/// When an event is not kept as it came, or its redaction is another event.
pub fn pdu(data: &[u8]) {
    let Some((first, json)) = data.split_first() else { return };
    let versions = RoomVersion::ALL;
    let Some(version) = versions.get(usize::from(*first) % versions.len()).copied() else { return };
    let raw = RawPdu::new(json);
    let _ = (raw.room_id(), raw.created_room_version());
    let Ok(pdu) = raw.parse(version) else { return };
    assert_eq!(Pdu::parse(json, version).as_ref(), Ok(&pdu));
    assert_eq!(Pdu::parse(pdu.canonical_json().as_bytes(), version).as_ref(), Ok(&pdu), "kept as it came");
    if let Ok(Value::Object(object)) = parse(pdu.canonical_json().as_bytes(), version.json_limits()) {
        assert_eq!(event_id_of(&object, version).as_deref(), Some(pdu.event_id().as_str()));
    }
    let redacted = pdu.redacted();
    assert_eq!(redacted.event_id(), pdu.event_id(), "the redacted event is the same event");
    assert_eq!(redacted.signed_bytes(), pdu.signed_bytes(), "signatures survive redaction");
    assert_eq!(redacted.redacted(), redacted, "redacting twice is redacting once");
    authorise(&pdu, version);
    let _ = required_signatures(&pdu);
    let hashed = pdu.check_content_hash();
    let _ = hashed.verdict();
}

/// The rules never panic, whatever an event holds, also when it is its own room.
fn authorise(pdu: &Pdu, version: &'static RoomVersion) {
    let view = pdu.view();
    let _ = auth_types_needed(&view, version).iter().count();
    let state = PreparedState::from_events(version, [view]);
    let _ = check(&view, &state, version);
    let _ = check_auth_events(&view, &NamedAuthEvents { auth_events: &[view], create: Some(view) }, version);
}
