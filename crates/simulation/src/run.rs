//! One run: from a seed to what was found.

use std::cell::Cell;
use std::panic;
use std::sync::{Arc, Once};

use freehold_testkit::Rng;
use ruma_common::{OwnedRoomId, OwnedUserId};
use tokio::runtime;

use crate::adversary::{Adversary, Trick};
use crate::crowd::{Crowd, Reads};
use crate::deed::Deed;
use crate::delivery::delivery;
use crate::hearing::hearing;
use crate::laws::{self, Brought, Cost, Violation};
use crate::observe::observe;
use crate::plan::Plan;
use crate::process::pass;
use crate::trace::Trace;
use crate::tracking::{look_around, tracking};
use crate::wires::Place;
use crate::world::World;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// How many things happened.
    pub happened: u64,
    /// The hash of all of them, in order, in hexadecimal.
    pub hash: String,
    /// How many rounds it took until everybody held the same.
    pub rounds: u64,
    /// How many events were acknowledged.
    pub acknowledged: usize,
}

/// Runs a seed to its end: the same seed gives the same outcome. `show` is given a line for everything that happens.
///
/// # Panics
/// When the machine has no room for a runtime. A part that panics breaks a law.
pub fn run(seed: u64, show: Option<fn(&str)>) -> Outcome {
    run_as(seed, Disks::Faithful, show)
}

/// What disks do when a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// They keep what was flushed.
    Faithful,
    /// They lose everything: to see that the laws notice.
    Forgetful,
}

/// The same as [`run`], with disks as they are wanted.
///
/// # Panics
/// As [`run`].
pub fn run_as(seed: u64, disks: Disks, show: Option<fn(&str)>) -> Outcome {
    count_panics();
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut outcome = runtime.block_on(simulate(seed, disks, show));
    let panics = PANICS.replace(0);
    if panics > 0 {
        let found = format!("something panicked {panics} times");
        outcome.violations.push(Violation { law: "no panic", found });
    }
    outcome
}

thread_local! {
    /// How often something panicked in this thread, which is where a whole run takes place.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Has panics counted beside what is done with them otherwise: those of tasks would be seen by nobody.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}

/// How often everybody speaks, after everything is healed, until it is said that they will never hold the same.
const ROUNDS: u64 = 30;
/// How long everything has between two times that everybody speaks, in milliseconds.
const ROUND_MS: u64 = 90_000;

async fn simulate(seed: u64, disks: Disks, show: Option<fn(&str)>) -> Outcome {
    let mut rng = Rng::new(seed);
    let mut plan = Plan::of(&mut rng);
    plan.are_disks_forgetful = disks == Disks::Forgetful;
    let trace = Trace::new(show);
    trace.note(format!("seed {seed}: {plan:?}"));
    let world = World::begin(&plan, rng.fork("world"), trace.clone()).await;
    let crowd = Crowd::new(world.clone());
    gather(&world, &crowd, (&plan, rng.fork("gather"))).await;
    world.wires.weather(plan.weather);
    let adversary = plan.hostile.map(|place| {
        let lies = rng.fork("lies");
        Adversary::new(world.clone(), crowd.clone(), (place, lies))
    });
    live(&world, (&crowd, adversary.as_ref()), (&plan, rng.fork("live"))).await;
    world.recover().await;
    let (mut violations, rounds) = settle(&world, &crowd).await;
    if let Some(adversary) = &adversary {
        violations.extend(siege(&world, adversary, rng.fork("siege")).await);
        violations.extend(adversary.heard());
        violations.extend(settle(&world, &crowd).await.0);
    }
    let (happened, hash) = trace.hash();
    let acknowledged = world.ledger.all_acknowledged().len();
    Outcome { seed, violations, happened, hash, rounds, acknowledged }
}

/// Everybody who acts: the users of all processes.
fn everybody(world: &World) -> Vec<OwnedUserId> {
    world.places().flat_map(|place| world.users(place)).collect()
}

/// Rooms are made, and some people join them.
async fn gather(world: &World, crowd: &Crowd, (plan, mut rng): (&Plan, Rng)) {
    let people = everybody(world);
    let honest: Vec<OwnedUserId> = world.honest().flat_map(|place| world.users(place)).collect();
    for _ in 0..plan.rooms {
        let creator = rng.pick(&honest).unwrap().clone();
        crowd.create(&creator, &mut rng).await;
    }
    for who in people {
        // Who lies is where he can.
        let lies = world.hostile.is_some() && world.place_of(who.server_name().as_str()) == world.hostile;
        for (number, room) in crowd.rooms().iter().enumerate() {
            if room.door.is_tried() && (rng.chance(50) || lies) {
                crowd.perform(Deed::join(&mut rng, (number, room), who.clone())).await;
            }
        }
    }
}

/// People do what they do, while links break and processes die.
async fn live(
    world: &Arc<World>,
    (crowd, adversary): (&Arc<Crowd>, Option<&Arc<Adversary>>),
    (plan, mut rng): (&Plan, Rng),
) {
    let people = everybody(world);
    for _ in 0..plan.deeds {
        if let Some(deed) = Deed::choose(&mut rng, &crowd.rooms(), &people) {
            crowd.begin(deed);
        }
        if let Some(adversary) = adversary
            && rng.chance(30)
        {
            adversary.begin(rng.fork("trick"));
        }
        if rng.chance(plan.faults_percent) {
            fault(world, &mut rng).await;
        }
        let gap = if rng.chance(60) { rng.below(200) } else { rng.below(8_000) };
        pass(gap as u64).await;
    }
    pass(5_000).await;
}

/// Something goes wrong, or is mended.
async fn fault(world: &Arc<World>, rng: &mut Rng) {
    let places: Vec<Place> = world.places().collect();
    let (one, other) = (*rng.pick(&places).unwrap(), *rng.pick(&places).unwrap());
    match rng.below(10) {
        0..3 if one != other => {
            world.trace.note(format!("p{one} and p{other} do not reach each other"));
            world.wires.cut(one, other);
        }
        3 => {
            world.trace.note(format!("p{one} reaches nobody"));
            places.iter().filter(|place| **place != one).for_each(|place| world.wires.cut(one, *place));
        }
        4..6 => {
            world.trace.note(format!("p{one} and p{other} reach each other"));
            world.wires.heal(one, other);
        }
        6 => {
            world.trace.note("all links are healed");
            world.wires.heal_all();
        }
        7..9 => world.crash(one).await,
        _ => {
            for place in places {
                world.start(place).await;
            }
        }
    }
}

/// Nobody does anything but the operator who lies, once all is quiet: what that costs the others is counted.
async fn siege(world: &World, adversary: &Arc<Adversary>, mut rng: Rng) -> Vec<Violation> {
    let (sent, before) = (adversary.sent(), costs(world));
    for trick in Trick::ALL {
        adversary.play(trick, &mut rng).await;
        pass(2_000).await;
    }
    pass(ROUND_MS).await;
    let now = adversary.sent();
    let brought = Brought {
        requests: now.requests - sent.requests,
        events: now.events - sent.events,
        bytes: now.bytes - sent.bytes,
    };
    let after = costs(world);
    let paid = after.into_iter().zip(before).map(|((place, after), (_, before))| {
        let cost = Cost {
            requests: after.requests - before.requests,
            bytes: after.bytes - before.bytes,
            rows: after.rows - before.rows,
        };
        world.trace.note(format!("p{place} pays {cost:?} for {brought:?}"));
        laws::frugality(place, brought, cost)
    });
    paid.flatten().collect()
}

/// What every honest process has sent and written so far.
fn costs(world: &World) -> Vec<(Place, Cost)> {
    let cost = |place| {
        let counted = world.process(place).map(|process| process.disk.counted()).unwrap_or_default();
        (place, Cost { requests: world.wires.sent_by(place), bytes: counted.bytes, rows: counted.rows })
    };
    world.honest().map(cost).collect()
}

/// Everybody speaks until all hold the same, or for too long. Gives what does not hold.
async fn settle(world: &World, crowd: &Crowd) -> (Vec<Violation>, u64) {
    pass(ROUND_MS).await;
    let rooms: Vec<OwnedRoomId> = crowd.rooms().into_iter().map(|room| room.room_id).collect();
    let mut violations = Vec::new();
    for round in 1..=ROUNDS {
        if round > 1 {
            world.scroll_back(&rooms).await;
        }
        let read = crowd.everybody_speaks().await;
        pass(ROUND_MS).await;
        violations = lasting(world, crowd, (&rooms, &read)).await;
        let count = violations.len();
        world.trace.note(format!("round {round}: {count} laws do not hold"));
        if violations.is_empty() {
            return (at_once(world), round);
        }
    }
    violations.extend(at_once(world));
    (violations, ROUNDS)
}

/// What holds once everybody has heard everything.
async fn lasting(world: &World, crowd: &Crowd, (rooms, read): (&[OwnedRoomId], &Reads)) -> Vec<Violation> {
    let observed = observe(world, rooms).await;
    let mut violations = laws::agreement(&observed);
    violations.extend(laws::completeness(&observed));
    violations.extend(laws::durability(&observed, &world.ledger.all_acknowledged()));
    violations.extend(hearing(&observed, read));
    violations.extend(delivery(&world.ledger.all_whispers(), &world.messages().await));
    violations.extend(tracking(&look_around(world, crowd, &observed).await));
    violations
}

/// What holds at any time.
fn at_once(world: &World) -> Vec<Violation> {
    let ledger = &world.ledger;
    laws::secrecy(&ledger.all_told(), &ledger.all_concerned(), world.hostile)
}
