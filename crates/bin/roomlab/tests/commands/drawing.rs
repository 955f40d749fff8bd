//! Drawings, the manual and the completions.

use crate::lab::{room_file, roomlab, signed_room};
use freehold_event::RoomVersion;
use freehold_testkit::{Draft, GenerateConfig, Room, RoomBuilder};
use serde_json::{Value, json};

fn hostile_room() -> Room {
    let mut builder = RoomBuilder::signed(RoomVersion::V11, 4);
    let alice = "@alice:a.example";
    builder.create(alice, json!({}));
    builder.send(Draft::member(alice, alice, "join"));
    let topic = json!({ "topic": "</script></title><script>alert(1)</script>&\u{7}\u{1b}[31m\"'" });
    let (last, _) = builder.send(Draft::state(alice, "m.room.topic", "<b onload='x'>", topic));
    builder.into_room(vec![last])
}

/// The events that a page carries.
fn events_of(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"events\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_drawing_has_every_event_and_every_edge() {
    let config = GenerateConfig { version: Some(RoomVersion::V12), events: 80, ..GenerateConfig::default() };
    let room = signed_room(31, config);
    let path = room_file("draw.jsonl", &room);
    for lanes in ["forks", "servers"] {
        let image = roomlab(&["draw", &path, "--format", "svg", "--lanes", lanes]).out;
        let count = |pattern: &str| image.matches(pattern).count();
        let references =
            |of: fn(&freehold_testkit::RoomEvent) -> usize| room.events.values().map(of).sum::<usize>();
        assert_eq!(count("class=\"event "), room.events.len());
        assert_eq!(count("<path class=\"prev "), references(|event| event.prev_events.len()));
        assert_eq!(count("<path class=\"auth "), references(|event| event.auth_events.len()));
        assert_eq!(
            count(" rejected\" id=") + count(" rejected extremity\" id="),
            room.events.values().filter(|event| event.rejected).count()
        );
        assert_eq!(count("<g "), count("</g>"));
    }
}

#[test]
fn no_two_events_stand_in_one_place() {
    for seed in 40..46 {
        let room = signed_room(seed, GenerateConfig { events: 120, ..GenerateConfig::default() });
        let path = room_file("places.jsonl", &room);
        for lanes in ["forks", "servers"] {
            let image = roomlab(&["draw", &path, "--format", "svg", "--lanes", lanes]).out;
            let mut places: Vec<&str> = image
                .split("transform=\"translate(")
                .skip(1)
                .map(|rest| rest.split_once(')').unwrap().0)
                .collect();
            places.sort_unstable();
            let all = places.len();
            places.dedup();
            assert_eq!((places.len(), all), (room.events.len(), room.events.len()), "seed {seed}, {lanes}");
        }
    }
}

#[test]
fn a_page_carries_the_pdus_and_refers_to_nothing_outside() {
    let room = hostile_room();
    let path = room_file("page.jsonl", &room);
    let page = roomlab(&["draw", &path]).out;
    let events = events_of(&page);
    assert_eq!(events.as_array().unwrap().len(), room.events.len());
    assert!(page.starts_with("<!doctype html>"));
    for outside in ["src=", "href=", "url(", "@import", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("http://").count(), page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
}

#[test]
fn what_people_write_in_a_room_stays_text() {
    let path = room_file("hostile.jsonl", &hostile_room());
    let page = roomlab(&["draw", &path]).out;
    let image = roomlab(&["draw", &path, "--format", "svg"]).out;
    for drawing in [&page, &image] {
        assert!(!drawing.contains("alert(1)</script>"));
        assert!(!drawing.contains("<b onload"));
        assert!(!drawing.chars().any(|c| c.is_control() && c != '\n'));
    }
    // The page still has it, to show.
    assert!(events_of(&page)[2]["pdu"].as_str().unwrap().contains("alert(1)"));
    // And nothing of it reaches a terminal.
    let said = roomlab(&["resolve", &path]).out;
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
}

#[test]
fn the_name_of_the_output_says_what_to_draw() {
    let path = room_file("formats.jsonl", &hostile_room());
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (name, begins) in
        [("room.svg", "<?xml"), ("room.html", "<!doctype html>"), ("room", "<!doctype html>")]
    {
        assert_eq!(roomlab(&["draw", &path, "-o", name]).code, 0);
        let drawing = std::fs::read_to_string(format!("{directory}/{name}")).unwrap();
        assert!(drawing.starts_with(begins), "{name}");
    }
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = roomlab(&["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.out.contains("minimise"), "{shell}");
    }
}

#[test]
fn the_manual_and_the_help_know_every_command() {
    let commands =
        ["generate", "verify", "resolve", "explain", "compare", "minimise", "draw", "completions", "man"];
    let manual = roomlab(&["man"]).out;
    let directory = format!("{}/man1", env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&directory).unwrap();
    assert_eq!(roomlab(&["man", "--dir", &directory]).code, 0);
    for command in commands {
        assert!(manual.contains(command), "{command}");
        let page = std::fs::read_to_string(format!("{directory}/roomlab-{command}.1")).unwrap();
        assert!(page.contains(".TH roomlab-"), "{command}: {page}");
        let help = roomlab(&[command, "--help"]).out;
        assert!(help.contains("Example"), "{command}: {help}");
    }
}
