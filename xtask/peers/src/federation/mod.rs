//! Our server and a Synapse as neighbours: people of both make rooms together, lose each other, and agree again.

mod agreement;
mod history;
mod media;
mod membership;
mod outage;
mod presence;
mod steps;
mod talk;
mod tenants;

use std::{path::Path, time::Duration};

use crate::{
    certificates::Authority,
    failure::{Failure, Result},
    freehold::Freehold,
    home::Home,
    http::Client,
    scenario::World,
    synapse::{Setting, Synapse},
};
use steps::Steps;

/// What the run is made of.
pub(crate) struct Run<'a> {
    pub(crate) python: &'a Path,
    pub(crate) freehold: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) versions: &'a [String],
    /// Whether rooms of each version are made in one direction only, in turn.
    pub(crate) in_turn: bool,
    /// How long the history is that a server that comes late pages through.
    pub(crate) history: usize,
    /// The suite of real clients; without it, nobody talks encrypted.
    pub(crate) clients: Option<&'a Path>,
    /// After this time no further step begins.
    pub(crate) time: Duration,
}

/// A pair of servers: a room is made on the first, and people of the second come in.
struct Pair<'a> {
    client: &'a Client,
    authority: &'a Authority,
    first: &'a dyn Home,
    second: &'a dyn Home,
    /// Says which server is which: `ours → theirs`.
    direction: &'static str,
}

/// Runs every step in both directions and says how many passed.
pub(crate) fn run(run: &Run<'_>) -> Result<()> {
    let authority = Authority::create(run.folder)?;
    let client = Client::trusting(&authority.pem())?;
    let Run { python, folder, .. } = *run;
    let setting = Setting { python, folder, authority: &authority, client: &client, presence: true };
    let theirs = Synapse::start(&setting, "synapse")?;
    let mut ours = Freehold::start(run.freehold, run.folder, &authority, &client, 2)?;
    let mut steps = Steps::within(run.time);
    {
        let tenant = ours.tenant(0)?;
        let (client, authority) = (&client, &authority);
        let outward =
            Pair { client, authority, first: tenant, second: &theirs, direction: "ours → theirs" };
        let inward = Pair { client, authority, first: &theirs, second: tenant, direction: "theirs → ours" };
        for pair in [&outward, &inward] {
            membership::run(pair, &mut steps);
            media::run(pair, &mut steps);
            history::run(pair, run.history, &mut steps);
            presence::run(pair, &mut steps);
        }
        if let Some(clients) = run.clients {
            talk::run(clients, (tenant, &theirs), &mut steps);
        }
        tenants::run(&ours, &theirs, client, &mut steps);
    }
    outage::run(&mut ours, &theirs, &client, &mut steps);
    {
        // What takes longest comes last.
        let tenant = ours.tenant(0)?;
        let (client, authority) = (&client, &authority);
        let outward =
            Pair { client, authority, first: tenant, second: &theirs, direction: "ours → theirs" };
        let inward = Pair { client, authority, first: &theirs, second: tenant, direction: "theirs → ours" };
        for (place, version) in run.versions.iter().enumerate() {
            for (turn, pair) in [&outward, &inward].into_iter().enumerate() {
                if !run.in_turn || place % 2 == turn {
                    forked(pair, version, &mut steps);
                }
            }
        }
    }
    steps.run("our server stops when it is asked to", || ours.stop());
    steps.finish()
}

/// A room with quarrels and forks, on whose graph and states both servers agree.
fn forked(pair: &Pair<'_>, version: &str, steps: &mut Steps) {
    steps.run(&format!("{}: a room of version {version} is forked twice and healed", pair.direction), || {
        let round = format!("{version}{}", if pair.direction.starts_with("ours") { "o" } else { "t" });
        let world = World::populate(pair.client, pair.first, pair.second, &round)?;
        let room = world.make_room(version)?;
        match agreement::differences(pair, &room)? {
            0 => Ok(()),
            differences => Err(Failure::new(format!("the servers differ in {differences} states"))),
        }
    });
}
