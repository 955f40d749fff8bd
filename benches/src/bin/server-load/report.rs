//! Which figure stands in which row, and what each must reach.

use serde_json::{Value, json};

use crate::conditions::Conditions;
use crate::http::Outcome;
use crate::load::{Figure, Load};
use crate::pace::Paced;
use crate::process::Resident;
use crate::state::{self, LARGE, PeerState, SCALED_DOWN};
use crate::table::{Row, Table, Target, Unit, shown};
use crate::tenants::{RoomCost, SharedRoom, Tenants};

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) ours: Option<Load>,
    /// Why there is no figure of ours.
    pub(crate) failures: Vec<String>,
    pub(crate) peers: Vec<Load>,
    pub(crate) tenants: Option<Outcome<Tenants>>,
    pub(crate) state: Option<Outcome<PeerState>>,
    /// Whether the rows about states are wanted.
    pub(crate) wants_state: bool,
    /// How busy the machine was before.
    pub(crate) conditions: Option<Conditions>,
    /// Whether only running matters.
    pub(crate) is_smoke: bool,
}

const MB: f64 = 1e6;
/// In how many rooms somebody is whose first sync is measured.
const ROOMS: f64 = 500.0;

impl Measured {
    /// The table of everything.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(self.peer_names(), self.is_smoke);
        if let Some(ours) = &self.ours {
            self.load_rows(ours, &mut table);
        }
        match &self.tenants {
            Some(Ok(tenants)) => {
                let busy = self.conditions.filter(|now| now.is_busy()).map(Conditions::words);
                tenant_rows((tenants, &busy.unwrap_or_default()), &mut table);
            }
            Some(Err(reason)) => failed(&mut table, "many tenants", reason),
            None => {}
        }
        if self.wants_state {
            self.state_rows(&mut table);
        }
        for reason in &self.failures {
            failed(&mut table, "a server", reason);
        }
        table
    }

    /// The columns of peers; where only states were asked for, there is that of the database that was asked.
    fn peer_names(&self) -> Vec<&'static str> {
        let names: Vec<&'static str> = self.peers.iter().map(|peer| peer.name).collect();
        if names.is_empty() && self.state.is_some() { vec!["Synapse"] } else { names }
    }

    fn load_rows(&self, ours: &Load, table: &mut Table) {
        let mut row = |what: &str, unit, target, figure: fn(&Load) -> Outcome<f64>| {
            let peers = self.peers.iter().map(figure).collect();
            table.add(&Row {
                what,
                unit,
                ours: figure(ours),
                peers,
                target,
                reason: self.reason(ours, unit),
            });
        };
        use Target::{AtMost, None, TimesAtLeast, TimesAtMost};
        row("idle, 1 tenant: resident", Unit::Bytes, AtMost(25.0 * MB), |load| resident(&load.idle));
        row("idle, 1 tenant: resident, against the peer", Unit::Bytes, TimesAtMost(0.2), |load| {
            resident(&load.idle)
        });
        row("after all this load: resident", Unit::Bytes, AtMost(60.0 * MB), |load| resident(&load.after));
        row("start to first answer", Unit::Seconds, None, |load| Ok(load.started_in));
        row("rooms created, 16 at once", Unit::PerSecond, TimesAtLeast(50.0), |load| rate(&load.rooms));
        row("rooms created: p99", Unit::Seconds, None, |load| p99(&load.rooms));
        row("registrations, 8 at once", Unit::PerSecond, TimesAtLeast(10.0), |load| {
            rate(&load.registrations)
        });
        row("events sent, 50 clients in 50 rooms", Unit::PerSecond, TimesAtLeast(50.0), |load| {
            rate(&load.events)
        });
        row("events sent: p50", Unit::Seconds, None, |load| p50(&load.events));
        row("events sent: p99", Unit::Seconds, None, |load| p99(&load.events));
        row(
            "send to the other's long poll: p50",
            Unit::Seconds,
            TimesAtMost(0.1),
            |load| p50(&load.delivery),
        );
        row(
            "send to the other's long poll: p99",
            Unit::Seconds,
            TimesAtMost(0.1),
            |load| p99(&load.delivery),
        );
        self.sync_rows(ours, table);
    }

    fn sync_rows(&self, ours: &Load, table: &mut Table) {
        let mut row = |what: &str, unit, target, figure: fn(&Load) -> Outcome<f64>| {
            let peers = self.peers.iter().map(figure).collect();
            table.add(&Row {
                what,
                unit,
                ours: figure(ours),
                peers,
                target,
                reason: self.reason(ours, unit),
            });
        };
        use Target::{AtMost, None, TimesAtMost};
        row(
            "initial sync of 500 rooms (each scaled from the rooms made)",
            Unit::Seconds,
            TimesAtMost(0.02),
            initial,
        );
        row("rooms in that initial sync", Unit::Count, None, |load| {
            load.initial_sync.as_ref().map(|sync| sync.rooms as f64).map_err(String::clone)
        });
        row("incremental sync with one change: server time, p50", Unit::Seconds, AtMost(1e-3), |load| {
            p50(&load.incremental_inside)
        });
        row("the same at the client: p50", Unit::Seconds, None, |load| p50(&load.incremental_sync));
        row("the same at the client: p99", Unit::Seconds, None, |load| p99(&load.incremental_sync));
        row("one write with a sync on this disk alone: p50", Unit::Seconds, None, |load| p50(&load.disk));
        row("one write with a sync on this disk alone: p99", Unit::Seconds, None, |load| p99(&load.disk));
    }

    /// What bears on figures of a kind.
    fn reason(&self, load: &Load, unit: Unit) -> String {
        let mut parts = Vec::new();
        match (unit, &load.after, &load.disk) {
            (Unit::Bytes, Ok(after), _) => {
                let heap = shown(Unit::Bytes, after.all - after.files);
                parts
                    .push(format!("after the load {heap} are memory of its own and the rest pages of files"));
            }
            (Unit::Seconds | Unit::PerSecond, _, Ok(disk)) => {
                let time = |share| shown(Unit::Seconds, disk.percentile(share));
                let (p50, p99) = (time(0.5), time(0.99));
                parts.push(format!("one write with a sync takes this disk {p50}, at p99 {p99}"));
            }
            _ => {}
        }
        parts.extend(self.conditions.filter(|now| now.is_busy()).map(Conditions::words));
        parts.join("; ")
    }

    fn state_rows(&self, table: &mut Table) {
        let peer = match &self.state {
            Some(Ok(peer)) => Ok(*peer),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("no peer".into()),
        };
        let size = peer.as_ref().map_or(SCALED_DOWN, |peer| peer.size);
        table.add(&Row {
            what: &format!("state of {} changes in a room of {} members", size.changes, size.members),
            unit: Unit::Bytes,
            ours: state::ours(size),
            peers: self.place(peer.clone().map(|peer| peer.bytes())),
            target: Target::None,
            reason: String::new(),
        });
        if let Ok(peer) = &peer {
            table.add(&Row {
                what: "rows of entries for that, and as many by Synapse's rule (the scale of the next row rests on it)",
                unit: Unit::Count,
                ours: Ok(peer.rows_by_rule(peer.size)),
                peers: self.place(Ok(peer.added.rows)),
                target: Target::None,
                reason: String::new(),
            });
        }
        self.large_state_row(peer, table);
    }

    fn large_state_row(&self, peer: Outcome<PeerState>, table: &mut Table) {
        let (how, figure) = match peer {
            Ok(PeerState { large: Some(bytes), .. }) => ("its database filled by its own rule", Ok(bytes)),
            Ok(peer) => ("scaled by its own rule from the rows above", Ok(peer.scaled_to(LARGE))),
            Err(reason) => ("not measured", Err(reason)),
        };
        table.add(&Row {
            what: &format!("state of 10,000 changes in a room of 10,000 members (peer: {how})"),
            unit: Unit::Bytes,
            ours: state::ours(LARGE),
            peers: self.place(figure),
            target: Target::TimesAtMost(0.05),
            reason: "what a change costs us is the path from the root to it, with its hashes".into(),
        });
    }

    /// A figure of the peer whose database was asked: the last.
    fn place(&self, figure: Outcome<f64>) -> Vec<Outcome<f64>> {
        let columns = self.peer_names().len();
        let mut peers = vec![Err("not asked".to_owned()); columns.saturating_sub(1)];
        peers.extend((columns > 0).then_some(figure));
        peers
    }

    pub(crate) fn to_json(&self, table: &Table) -> Value {
        let peers: Vec<Value> = self.peers.iter().map(Load::to_json).collect();
        let state = self.state.as_ref().and_then(|state| state.as_ref().ok());
        json!({
            "load_before": self.conditions.map(|conditions| conditions.load),
            "rows": table.rows(),
            "ours": self.ours.as_ref().map(Load::to_json),
            "peers": peers,
            "tenants": self.tenants.as_ref().and_then(|tenants| tenants.as_ref().ok()).map(Tenants::to_json),
            "peer_state": state.map(|state| state.to_json()),
        })
    }
}

fn failed(table: &mut Table, what: &str, reason: &str) {
    let ours = Err(reason.to_owned());
    let reason = String::new();
    table.add(&Row { what, unit: Unit::Times, ours, peers: Vec::new(), target: Target::None, reason });
}

fn resident(figure: &Figure<Resident>) -> Outcome<f64> {
    figure.as_ref().map(|resident| resident.all).map_err(String::clone)
}

fn rate(paced: &Outcome<Paced>) -> Outcome<f64> {
    paced.as_ref().map(Paced::rate).map_err(String::clone)
}

fn p50(paced: &Outcome<Paced>) -> Outcome<f64> {
    paced.as_ref().map(|paced| paced.percentile(0.5)).map_err(String::clone)
}

fn p99(paced: &Outcome<Paced>) -> Outcome<f64> {
    paced.as_ref().map(|paced| paced.percentile(0.99)).map_err(String::clone)
}

fn initial(load: &Load) -> Outcome<f64> {
    let sync = load.initial_sync.as_ref().map_err(String::clone)?;
    Ok(sync.paced.percentile(0.5) * ROOMS / sync.rooms.max(1) as f64)
}

fn tenant_rows((tenants, reason): (&Tenants, &str), table: &mut Table) {
    let count = tenants.adding.count();
    let mut row = |what: &str, unit, ours, target| {
        table.add(&Row { what, unit, ours, peers: Vec::new(), target, reason: reason.to_owned() });
    };
    let what = format!("{count} idle tenants, {} with a user: resident", tenants.people);
    row(&what, Unit::Bytes, Ok(tenants.resident), Target::AtMost(45.0 * MB));
    row(
        "the same, before the server was started anew",
        Unit::Bytes,
        Ok(tenants.resident_before),
        Target::None,
    );
    row("adding a tenant: p50", Unit::Seconds, Ok(tenants.adding.percentile(0.5)), Target::AtMost(5e-3));
    row("adding a tenant: p99", Unit::Seconds, Ok(tenants.adding.percentile(0.99)), Target::None);
    row(&format!("start with {count} tenants"), Unit::Seconds, Ok(tenants.started_in), Target::AtMost(1.0));
    match &tenants.shared_room {
        Ok(room) => shared_room_rows((room, reason), table),
        Err(reason) => failed(table, "a room with members in many tenants", reason),
    }
}

fn shared_room_rows((room, reason): (&SharedRoom, &str), table: &mut Table) {
    let mut against_one = |what: &str, unit, figure: fn(&RoomCost) -> f64| {
        let (many, one) = (figure(&room.many), figure(&room.one));
        let (in_many, in_one) = (shown(unit, many), shown(unit, one));
        let place = format!("one room with members in {} tenants, against all in one", room.members);
        let what = format!("{place}: {what} ({in_many} ÷ {in_one})");
        let (ours, target) = (Ok(many / one), Target::AtMost(1.1));
        let reason = reason.to_owned();
        table.add(&Row { what: &what, unit: Unit::Times, ours, peers: Vec::new(), target, reason });
    };
    against_one("bytes stored", Unit::Bytes, |cost| cost.bytes);
    against_one("time of a message, p50", Unit::Seconds, |cost| cost.messages.percentile(0.5));
    against_one("processor time of a message", Unit::Seconds, |cost| cost.work);
    against_one("time of a join, p50", Unit::Seconds, |cost| cost.joins.percentile(0.5));
}
