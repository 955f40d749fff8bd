//! Our server and a Synapse as neighbours: people of both make rooms together, lose each other, and agree again.

mod agreement;
mod history;
mod media;
mod membership;
mod outage;
mod people;
mod presence;
mod steps;
mod talk;
mod tenants;
mod third_party;
mod versions;

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

impl<'a> Pair<'a> {
    /// Rooms of ours, and people of theirs, and the other way round.
    fn both(
        (client, authority): (&'a Client, &'a Authority),
        ours: &'a dyn Home,
        theirs: &'a dyn Home,
    ) -> [Self; 2] {
        [
            Pair { client, authority, first: ours, second: theirs, direction: "ours → theirs" },
            Pair { client, authority, first: theirs, second: ours, direction: "theirs → ours" },
        ]
    }

    /// Whether people of ours come into rooms of theirs.
    fn second_is_ours(&self) -> bool {
        self.direction.starts_with("theirs")
    }

    /// By which names differ in both directions.
    fn suffix(&self) -> &'static str {
        if self.second_is_ours() { "t" } else { "o" }
    }
}

/// How long the history is in the direction in which it is not tried at full length.
const SHORT_HISTORY: usize = 100;

/// Runs every step in both directions and says how many passed.
pub(crate) fn run(run: &Run<'_>) -> Result<()> {
    let authority = Authority::create(run.folder)?;
    let client = Client::trusting(&authority.pem())?;
    let Run { python, folder, .. } = *run;
    let setting = Setting { python, folder, authority: &authority, client: &client, presence: true };
    let mut theirs = Synapse::start(&setting, "synapse")?;
    let mut ours = Freehold::start(run.freehold, run.folder, &authority, &client, 2)?;
    let mut steps = Steps::within(run.time);
    {
        let tenant = ours.tenant(0)?;
        for pair in &Pair::both((&client, &authority), tenant, &theirs) {
            let is_long = pair.second_is_ours() || !run.in_turn;
            let history = if is_long { run.history } else { run.history.min(SHORT_HISTORY) };
            membership::run(pair, &mut steps);
            third_party::run(pair, &mut steps);
            media::run(pair, &mut steps);
            history::run(pair, history, &mut steps);
            presence::run(pair, &mut steps);
            versions::run(pair, run.versions, &mut steps);
        }
        match run.clients {
            Some(clients) => talk::run(clients, (tenant, &theirs), &mut steps),
            None => println!("left out: nobody talks encrypted, because no clients are named"),
        }
        tenants::run(&ours, &theirs, &client, &mut steps);
    }
    outage::run(&mut ours, &mut theirs, &client, &mut steps);
    {
        // What takes longest comes last.
        let pairs = Pair::both((&client, &authority), ours.tenant(0)?, &theirs);
        for (place, version) in run.versions.iter().enumerate() {
            for (turn, pair) in pairs.iter().enumerate() {
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
        let round = format!("{version}{}", pair.suffix());
        let world = World::populate(pair.client, pair.first, pair.second, &round)?;
        let room = world.make_room(version)?;
        match agreement::differences(pair, &room)? {
            0 => Ok(()),
            differences => Err(Failure::new(format!("the servers differ in {differences} states"))),
        }
    });
}
