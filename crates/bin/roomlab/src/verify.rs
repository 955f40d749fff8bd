//! `roomlab verify`: every check on every event.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use freehold_event::ContentHashVerdict;
use freehold_signing::{SignatureError, verify_event};
use serde_json::{Value, json};

use crate::cli::VerifyArgs;
use crate::failure::{Failure, chain};
use crate::keys::KeyFile;
use crate::output::{Report, Table};
use crate::progress;
use crate::replay::{Replay, Verdict, replay};
use crate::room::{self, Event, Loaded, Problem, Room};

/// What the checks found in a room.
#[derive(Debug)]
pub(crate) struct Findings {
    file: String,
    room_version: &'static str,
    room_id: Option<String>,
    events: usize,
    findings: Vec<Finding>,
    counts: BTreeMap<Check, Count>,
}

/// How often a check passed, failed, or could not be made.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    unknown: usize,
}

#[derive(Debug)]
struct Finding {
    line: usize,
    event: Option<(String, String)>,
    check: Check,
    severity: Severity,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// Something is not in order.
    Error,
    /// Something could not be checked, or is worth a look.
    Warning,
}

/// The checks, in the order of receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    Format,
    Signatures,
    ContentHash,
    References,
    AuthEvents,
    StateBefore,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Check::Format => "format and id",
            Check::Signatures => "signatures",
            Check::ContentHash => "content hash",
            Check::References => "references",
            Check::AuthEvents => "auth events",
            Check::StateBefore => "state before",
        }
    }
}

/// Runs the command.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Findings, Failure> {
    let mut keys = KeyFile::default();
    args.keys.iter().try_for_each(|path| keys.read(path))?;
    let Loaded { room, problems } = room::load_with_problems(&args.file)?;
    let mut findings = Findings::new(&room);
    problems.iter().for_each(|problem| findings.not_an_event(problem));
    let replay = replay(&room, None)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let bar = progress::bar("events", room.events.len());
    for event in &room.events {
        findings.format(event);
        if !args.keys.is_empty() {
            findings.signatures(event, &keys, now_ms);
        }
        findings.content_hash(event);
        findings.references(event, &room);
        findings.authorisation(event, &replay);
        bar.inc(1);
    }
    bar.finish_and_clear();
    findings.findings.sort_by_key(|finding| (finding.line, finding.check));
    Ok(findings)
}

impl Findings {
    fn new(room: &Room) -> Findings {
        Findings {
            file: room.file.clone(),
            room_version: room.version.id(),
            room_id: room.events.first().map(|event| event.pdu().room_id().to_string()),
            events: room.events.len(),
            findings: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, check: Check) -> &mut Count {
        self.counts.entry(check).or_default()
    }

    fn passed(&mut self, check: Check) {
        self.count(check).passed += 1;
    }

    fn add(&mut self, event: &Event, check: Check, severity: Severity, message: String) {
        match severity {
            Severity::Error => self.count(check).failed += 1,
            Severity::Warning => self.count(check).unknown += 1,
        }
        let event_id = event.pdu().event_id().to_string();
        self.findings.push(Finding {
            line: event.line,
            event: Some((event_id, event.title())),
            check,
            severity,
            message,
        });
    }

    fn not_an_event(&mut self, problem: &Problem) {
        self.count(Check::Format).failed += 1;
        self.findings.push(Finding {
            line: problem.line,
            event: None,
            check: Check::Format,
            severity: Severity::Error,
            message: problem.reason(),
        });
    }

    fn format(&mut self, event: &Event) {
        if let Some(error) = &event.over_reference_limit {
            let message = format!("{}; only answers to /backfill may", chain(error));
            self.add(event, Check::Format, Severity::Warning, message);
        } else if let Some(field) = event.received().over_byte_limit() {
            let message = format!("`{field}` is over the limit in bytes: such an event is rejected");
            self.add(event, Check::Format, Severity::Error, message);
        } else {
            self.passed(Check::Format);
        }
    }

    fn signatures(&mut self, event: &Event, keys: &KeyFile, now_ms: i64) {
        match verify_event(event.hashed.clone(), keys, now_ms) {
            Ok(_) => self.passed(Check::Signatures),
            Err(error @ SignatureError::NoUsableKey { .. }) => {
                self.add(event, Check::Signatures, Severity::Warning, chain(&error));
            }
            Err(error) => self.add(event, Check::Signatures, Severity::Error, chain(&error)),
        }
    }

    fn content_hash(&mut self, event: &Event) {
        match event.hashed.verdict() {
            ContentHashVerdict::Intact => self.passed(Check::ContentHash),
            ContentHashVerdict::Redacted if event.received().content() == event.pdu().content() => {
                let message = "redacted before it came here, so its content cannot be checked".to_owned();
                self.add(event, Check::ContentHash, Severity::Warning, message);
            }
            ContentHashVerdict::Redacted => {
                let message = format!(
                    "should be {}; processed as if redacted",
                    event.received().content_hash().to_base64()
                );
                self.add(event, Check::ContentHash, Severity::Error, message);
            }
        }
    }

    fn references(&mut self, event: &Event, room: &Room) {
        let missing = |numbers: &[u64]| -> Vec<String> {
            let unknown = numbers.iter().filter(|number| room.event(**number).is_none());
            unknown.map(|number| room.name(*number).to_owned()).collect()
        };
        let lists = [("prev", missing(&event.prev_events)), ("auth", missing(&event.auth_events))];
        let said: Vec<String> = lists
            .iter()
            .filter(|(_, missing)| !missing.is_empty())
            .map(|(kind, missing)| format!("{kind} event {} is not in the file", missing.join(", ")))
            .collect();
        if said.is_empty() {
            self.passed(Check::References);
        } else {
            self.add(event, Check::References, Severity::Warning, said.join("; "));
        }
    }

    fn authorisation(&mut self, event: &Event, replay: &Replay<'_>) {
        match replay.verdict(event.number) {
            // What is over the limit in bytes is said with the format.
            None | Some(Verdict::OverByteLimit(_)) => {}
            Some(Verdict::Accepted) => {
                self.passed(Check::AuthEvents);
                self.passed(Check::StateBefore);
            }
            Some(Verdict::DeniedByAuthEvents(denial)) => {
                let message = crate::explain::denial(denial);
                self.add(event, Check::AuthEvents, Severity::Error, message);
            }
            Some(Verdict::DeniedByState(denial)) => {
                self.passed(Check::AuthEvents);
                let message = crate::explain::denial(denial);
                self.add(event, Check::StateBefore, Severity::Error, message);
            }
            Some(Verdict::AuthEventsMissing { event: missing }) => {
                let message = format!("not checked without {}", replay.room.name(*missing));
                self.add(event, Check::AuthEvents, Severity::Warning, message);
                self.count(Check::StateBefore).unknown += 1;
            }
            Some(Verdict::StateUnknown { .. }) => {
                self.passed(Check::AuthEvents);
                self.count(Check::StateBefore).unknown += 1;
            }
        }
    }

    fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

impl Report for Findings {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let room_id = self.room_id.as_deref().unwrap_or("?");
        writeln!(
            out,
            "{}: room {room_id}, version {}, {} events",
            self.file, self.room_version, self.events
        )?;
        writeln!(out)?;
        let mut counts = Table::default();
        counts.row(["check", "passed", "failed", "unknown"]);
        for (check, count) in &self.counts {
            let numbers = [count.passed, count.failed, count.unknown].map(|number| number.to_string());
            let [passed, failed, unknown] = &numbers;
            counts.row([check.name(), passed, failed, unknown]);
        }
        counts.write(out)?;
        if !self.counts.contains_key(&Check::Signatures) {
            writeln!(out, "signatures were not checked: no --keys")?;
        }
        if !self.findings.is_empty() {
            writeln!(out)?;
            let mut table = Table::default();
            for finding in &self.findings {
                let (event_id, title) =
                    finding.event.as_ref().map_or(("", ""), |(id, title)| (id.as_str(), title.as_str()));
                let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
                let line = format!("line {}", finding.line);
                table.row([severity, &line, finding.check.name(), event_id, title, &finding.message]);
            }
            table.write(out)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let count = |(check, count): (&Check, &Count)| {
            json!({
                "check": check.name(),
                "passed": count.passed,
                "failed": count.failed,
                "unknown": count.unknown,
            })
        };
        let finding = |finding: &Finding| {
            json!({
                "severity": if finding.severity == Severity::Error { "error" } else { "warning" },
                "line": finding.line,
                "check": finding.check.name(),
                "event_id": finding.event.as_ref().map(|(id, _)| id),
                "event": finding.event.as_ref().map(|(_, title)| title),
                "message": finding.message,
            })
        };
        json!({
            "file": self.file,
            "room_id": self.room_id,
            "room_version": self.room_version,
            "events": self.events,
            "errors": self.errors(),
            "checks": self.counts.iter().map(count).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    fn has_findings(&self) -> bool {
        self.errors() > 0
    }
}
