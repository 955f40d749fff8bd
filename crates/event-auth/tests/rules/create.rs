//! Rule 1.

use freehold_event_auth::AuthRule as R;

use crate::{ALL, Case, scene::*};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case(R::CreateHasPrevEvents, ALL, |s| s.creation().with(|e| e.prev_events.push("$before".into())), Scene::creation),
    Case(R::CreateRoomIdDomain, 1..=11, |s| s.creation().with(|e| e.room_id = Some("!room:two.org".into())), |s| s.creation().with(|e| e.room_id = Some("!other:one.org".into()))),
    Case(R::CreateRoomIdDomain, 1..=11, |s| s.creation().with(|e| e.room_id = Some("!room".into())), Scene::creation),
    Case(R::CreateRoomIdDomain, 1..=11, |s| s.creation().with(|e| e.room_id = None), Scene::creation),
    Case(R::CreateRoomIdDomain, 1..=11, |s| s.creation().with(|e| e.sender = "@creator:one.org:8448".into()), |s| s.creation().with(|e| { e.sender = "@creator:one.org:8448".into(); e.room_id = Some("!room:one.org:8448".into()) })),
    Case(R::CreateHasRoomId, 12..=12, |s| s.creation().with(|e| e.room_id = Some("!room".into())), Scene::creation),
    Case(R::CreateRoomVersion, ALL, |s| s.creation().with(|e| e.content = r#"{"creator":"@a:b","room_version":"13"}"#.into()), |s| s.creation().with(|e| e.content = r#"{"creator":"@a:b"}"#.into())),
    Case(R::CreateRoomVersion, ALL, |s| s.creation().with(|e| e.content = r#"{"creator":"@a:b","room_version":1}"#.into()), |s| s.creation().with(|e| e.content = r#"{"creator":"@a:b","room_version":"1"}"#.into())),
    Case(R::CreateRoomVersion, ALL, |s| s.creation().with(|e| e.content = r#"{"creator":"@a:b","room_version":null}"#.into()), Scene::creation),
    Case(R::CreateWithoutCreator, 1..=10, |s| s.creation().with(|e| e.content = "{}".into()), |s| s.creation().with(|e| e.content = r#"{"creator":"@somebody:else.org"}"#.into())),
    Case(R::CreateWithoutCreator, 1..=10, |s| s.creation().with(|e| e.content = r#"{"creator":null}"#.into()), Scene::creation),
    Case(R::CreateAdditionalCreators, 12..=12, |s| s.creation().with(|e| e.content = r#"{"additional_creators":"@a:b"}"#.into()), |s| s.creation().with(|e| e.content = r#"{"additional_creators":["@a:b"]}"#.into())),
    Case(R::CreateAdditionalCreators, 12..=12, |s| s.creation().with(|e| e.content = r#"{"additional_creators":null}"#.into()), |s| s.creation().with(|e| e.content = r#"{"additional_creators":[]}"#.into())),
    Case(R::CreateAdditionalCreators, 12..=12, |s| s.creation().with(|e| e.content = r#"{"additional_creators":["@a:b",1]}"#.into()), |s| s.creation().with(|e| e.content = r#"{"additional_creators":["@a:b","@A b:c.d:8448"]}"#.into())),
    Case(R::CreateAdditionalCreators, 12..=12, |s| s.creation().with(|e| e.content = r#"{"additional_creators":["a:b"]}"#.into()), |s| s.creation().with(|e| e.content = r#"{"additional_creators":["@:b"]}"#.into())),
    Case(R::CreateAdditionalCreators, 12..=12, |s| s.creation().with(|e| e.content = r#"{"additional_creators":["@a"]}"#.into()), Scene::creation),
];

#[test]
fn create_event_may_carry_anything_else() {
    for version in freehold_event::RoomVersion::ALL {
        let scene = Scene::ordinary(version)
            .create_with(r#""additional":[1],"predecessor":5,"type":{},"m.federate":"no""#)
            .creation();
        assert_eq!(scene.verdict(), Ok(()), "{version}");
    }
}

/// Before version 12 the property means nothing.
#[test]
fn additional_creators_are_not_looked_at_before_version_12() {
    for version in &freehold_event::RoomVersion::ALL[..11] {
        let scene = Scene::ordinary(version).create_with(r#""additional_creators":"nobody""#).creation();
        assert_eq!(scene.verdict(), Ok(()), "{version}");
    }
}
