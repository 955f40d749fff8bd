//! `roomlab draw`: the event graph as a page or an image.

mod lanes;
mod layout;
mod page;
mod svg;

use std::collections::BTreeSet;
use std::io::{self, Write};

use freehold_canonical_json::string_member;
use freehold_event::Pdu;
use serde_json::{Value, json};

use crate::cli::{DrawArgs, DrawFormat};
use crate::draw::layout::Layout;
use crate::failure::Failure;
use crate::output::{Report, write_file};
use crate::replay::{Replay, Verdict, replay};
use crate::resolver::algorithm_name;
use crate::room::{self, Event};
use crate::standing::{Standing, standings};

/// What there is to draw.
pub(crate) struct Picture {
    title: String,
    /// By number.
    nodes: Vec<Node>,
    layout: Layout,
    /// Names of servers, in the order of their colours.
    servers: Vec<String>,
}

/// One event in the picture.
#[derive(Default)]
struct Node {
    event_id: String,
    event_type: String,
    state_key: Option<String>,
    /// Of a membership event.
    membership: Option<String>,
    sender: String,
    /// Index into the servers.
    server: usize,
    marks: Marks,
    /// The parents that the file has.
    prev_events: Vec<usize>,
    auth_events: Vec<usize>,
    /// Events it refers to that the file does not have.
    missing: usize,
    /// The whole PDU, indented.
    pdu: String,
    /// What the checks say, in words.
    notes: Vec<String>,
}

/// What is special about an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    state: Option<Standing>,
    rejected: bool,
    extremity: bool,
}

/// What was drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    title: String,
    output: String,
    events: usize,
    conflicted: usize,
    rejected: usize,
}

/// Runs the command. The drawing goes to the output, the report about it elsewhere.
pub(crate) fn draw(args: &DrawArgs) -> Result<Drawn, Failure> {
    let room = room::load(&args.file)?;
    let replay = replay(&room, args.algorithm)?;
    let picture = Picture::of(&replay, args)?;
    let is_svg = args.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    let by_name = if is_svg { DrawFormat::Svg } else { DrawFormat::Html };
    let drawing = match args.format.unwrap_or(by_name) {
        DrawFormat::Html => page::page(&picture),
        DrawFormat::Svg => svg::image(&picture),
    };
    write_file(&args.output, drawing.as_bytes())?;
    let count = |is: fn(&Marks) -> bool| picture.nodes.iter().filter(|node| is(&node.marks)).count();
    Ok(Drawn {
        output: args.output.display().to_string(),
        events: picture.nodes.len(),
        conflicted: count(|marks| marks.state.is_some_and(|standing| standing.conflicted)),
        rejected: count(|marks| marks.rejected),
        title: picture.title,
    })
}

impl Report for Drawn {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.title)?;
        let Drawn { output, conflicted, rejected, .. } = self;
        writeln!(out, "{output}: {conflicted} events in conflict, {rejected} rejected")
    }

    fn json(&self) -> Value {
        json!({
            "title": self.title,
            "output": self.output,
            "events": self.events,
            "conflicted": self.conflicted,
            "rejected": self.rejected,
        })
    }
}

impl Picture {
    fn of(replay: &Replay<'_>, args: &DrawArgs) -> Result<Picture, Failure> {
        let room = replay.room;
        let standings = standings(replay)?;
        let extremities: BTreeSet<u64> = replay.extremities().into_iter().collect();
        let servers: BTreeSet<&str> =
            room.events.iter().map(|event| event.pdu().sender().server_name().as_str()).collect();
        let servers: Vec<String> = servers.into_iter().map(str::to_owned).collect();
        let nodes: Vec<Node> = room
            .events
            .iter()
            .map(|event| {
                let is_state = event.pdu().state_key().is_some();
                let standing = standings.get(&event.number).copied().unwrap_or_default();
                let marks = Marks {
                    state: is_state.then_some(standing),
                    rejected: replay.verdict(event.number).is_some_and(Verdict::is_rejected),
                    extremity: extremities.contains(&event.number),
                };
                Node::of(event, replay, &servers, marks)
            })
            .collect();
        let room_id = room.events.first().map_or("", |event| event.pdu().room_id().as_str());
        let algorithm = algorithm_name(replay.algorithm);
        let title = format!(
            "{room_id} · version {} · {} events · algorithm {algorithm}",
            room.version,
            room.events.len()
        );
        let layout = Layout::of(&nodes, args.lanes, title.chars().count() * 9);
        Ok(Picture { title, nodes, layout, servers })
    }
}

impl Node {
    fn of(event: &Event, replay: &Replay<'_>, servers: &[String], marks: Marks) -> Node {
        let pdu = event.pdu();
        let known = |numbers: &[u64]| -> Vec<usize> {
            let known = numbers.iter().filter(|number| replay.room.event(**number).is_some());
            known.filter_map(|number| usize::try_from(*number).ok()).collect()
        };
        let (prev_events, auth_events) = (known(&event.prev_events), known(&event.auth_events));
        let referred = event.prev_events.len() + event.auth_events.len();
        let server = pdu.sender().server_name().as_str();
        let pretty = serde_json::from_str::<Value>(event.received().canonical_json())
            .and_then(|value| serde_json::to_string_pretty(&value));
        Node {
            event_id: pdu.event_id().to_string(),
            event_type: pdu.event_type().to_owned(),
            state_key: pdu.state_key().map(str::to_owned),
            membership: membership(pdu),
            sender: pdu.sender().to_string(),
            server: servers.iter().position(|name| name == server).unwrap_or(0),
            marks,
            missing: referred - prev_events.len() - auth_events.len(),
            prev_events,
            auth_events,
            pdu: pretty.unwrap_or_else(|_| event.received().canonical_json().to_owned()),
            notes: notes(event, replay, marks),
        }
    }
}

fn membership(pdu: &Pdu) -> Option<String> {
    let membership = string_member(pdu.content(), "membership")?.into_owned();
    (pdu.event_type() == "m.room.member").then_some(membership)
}

fn notes(event: &Event, replay: &Replay<'_>, marks: Marks) -> Vec<String> {
    let mut notes = vec![format!("line {} of the file", event.line)];
    match replay.verdict(event.number) {
        Some(Verdict::OverByteLimit(field)) => {
            notes.push(format!("rejected because `{field}` is over the limit in bytes"));
        }
        Some(Verdict::DeniedByAuthEvents(denial)) => {
            notes.push(format!("rejected by its auth events: {}", crate::explain::denial(denial)));
        }
        Some(Verdict::DeniedByState(denial)) => {
            notes.push(format!("rejected by the state before it: {}", crate::explain::denial(denial)));
        }
        Some(Verdict::AuthEventsMissing { event }) => {
            notes.push(format!("not checked without {}", replay.room.name(*event)));
        }
        Some(Verdict::StateUnknown { missing }) => {
            notes.push(format!("state before it not known without {}", replay.room.name(*missing)));
        }
        Some(Verdict::Accepted) | None => {}
    }
    if let Some(standing) = marks.state {
        let said = [
            (standing.wins, "in the state at the end of the room"),
            (standing.conflicted, "in conflict where forks meet"),
            (standing.lost, "lost where forks meet"),
        ];
        notes.extend(said.iter().filter(|(applies, _)| *applies).map(|(_, words)| (*words).to_owned()));
    }
    if marks.extremity {
        notes.push("nothing comes after it".to_owned());
    }
    notes
}
