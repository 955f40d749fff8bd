//! Servers lose each other, and ours loses its life, under traffic: nothing that was acknowledged is missing afterwards.

use std::{thread, time::Duration};

use serde_json::json;

use super::{people::server_of, steps::Steps};
use crate::{
    failure::{Failure, Result},
    freehold::Freehold,
    home::Home,
    http::Client,
    synapse::Synapse,
    user::{User, until},
};

/// How many messages each side says while the other is away.
const MESSAGES: usize = 20;

pub(super) fn run(ours: &mut Freehold, theirs: &mut Synapse, client: &Client, steps: &mut Steps) {
    let made =
        steps.run("outage: people of both servers share a room", || Shared::make(ours, theirs, client));
    let Some(shared) = made else { return };
    for (name, cut) in [
        ("outage: what was said while the wire was cut arrives on both sides", [true, true]),
        ("outage: what was said while ours was not reached arrives on both sides", [true, false]),
        ("outage: what was said while theirs was not reached arrives on both sides", [false, true]),
    ] {
        steps.run(name, || shared.cut(ours, theirs, cut));
    }
    steps.run("outage: what was said while theirs was dead arrives on both sides", || {
        shared.while_theirs_is_dead(theirs, client)
    });
    steps.run("outage: our server is killed while it is spoken to, and misses nothing", || {
        shared.killed(ours, client)
    });
    steps.run(
        "outage: our server is killed with a transaction whose answer is under way, and takes it once",
        || shared.killed_before_it_answers(ours, client),
    );
    steps.run("outage: what we had acknowledged before we were killed arrives there", || {
        shared.killed_speaking(ours, client)
    });
    steps.run("outage: both servers have the same state and the same events afterwards", || shared.agree());
}

/// Two people in a room.
struct Shared {
    here: User,
    there: User,
    room: String,
}

impl Shared {
    fn make(ours: &Freehold, theirs: &Synapse, client: &Client) -> Result<Self> {
        let here = User::register(client, ours.tenant(0)?, "steady")?;
        let there = User::register(client, theirs, "steady")?;
        let room = here.create_room(&json!({"preset": "public_chat"}))?;
        there.join(&room, server_of(here.id())?)?;
        let shared = Shared { here, there, room };
        let event = shared.here.say(&shared.room, "are you there?")?;
        until("the first message", || shared.there.sees(&shared.room, &event))?;
        Ok(shared)
    }

    fn cut(&self, ours: &Freehold, theirs: &Synapse, cut: [bool; 2]) -> Result<()> {
        let links = [ours.tenant(0)?.link(), theirs.link()];
        let cut_links = || links.iter().zip(cut).filter(|(_, is_cut)| *is_cut).map(|(link, _)| link);
        cut_links().for_each(|link| link.cut());
        let said = self.say_both(&format!("while cut {cut:?}"));
        cut_links().for_each(|link| link.heal());
        self.all_arrive(&said?, &format!("healed {cut:?}"))
    }

    fn while_theirs_is_dead(&self, theirs: &mut Synapse, client: &Client) -> Result<()> {
        let of_there = self.there.say(&self.room, "before theirs died")?;
        theirs.kill()?;
        let mut of_here = Vec::new();
        for number in 0..MESSAGES {
            of_here.push(self.here.say(&self.room, &format!("while theirs is dead {number}"))?);
        }
        theirs.begin(client)?;
        self.all_arrive(&[of_here, vec![of_there]], "after their death")
    }

    fn killed(&self, ours: &mut Freehold, client: &Client) -> Result<()> {
        let mut said = Vec::new();
        for number in 0..MESSAGES {
            if number == MESSAGES / 2 {
                ours.kill_and_start(client)?;
            }
            said.push(self.there.say(&self.room, &format!("over a death {number}"))?);
            thread::sleep(Duration::from_millis(20));
        }
        self.arrive(&self.here, &said)?;
        self.came_once(&said)
    }

    /// It takes what it is sent, and dies before anybody is told.
    fn killed_before_it_answers(&self, ours: &mut Freehold, client: &Client) -> Result<()> {
        let open = self.there.say(&self.room, "so that there is a connection")?;
        self.arrive(&self.here, &[open])?;
        ours.tenant(0)?.link().mute();
        let taken = self.there.say(&self.room, "taken and not answered")?;
        let arrived = self.arrive(&self.here, std::slice::from_ref(&taken));
        ours.kill_and_start(client)?;
        ours.tenant(0)?.link().heal();
        arrived?;
        let later = self.there.say(&self.room, "after the answer that never came")?;
        let said = [taken, later];
        self.arrive(&self.here, &said)?;
        self.came_once(&said)
    }

    fn killed_speaking(&self, ours: &mut Freehold, client: &Client) -> Result<()> {
        let mut said = Vec::new();
        for number in 0..MESSAGES {
            said.push(self.here.say(&self.room, &format!("before a death {number}"))?);
        }
        ours.kill_and_start(client)?;
        self.arrive(&self.there, &said)
    }

    /// Whether our timeline has each of some events once.
    fn came_once(&self, said: &[String]) -> Result<()> {
        let timeline = self.here.all_events(&self.room)?;
        for event in said {
            let count = timeline.iter().filter(|seen| *seen == event).count();
            if count != 1 {
                return Err(Failure::new(format!("{event} is in the timeline {count} times")));
            }
        }
        Ok(())
    }

    /// Whether both servers hold the same events, as their timelines show them, and the same state.
    fn agree(&self) -> Result<()> {
        until("both servers to have the same state and events", || {
            let held = |user: &User| {
                let mut events = user.all_events(&self.room)?;
                events.sort();
                Ok::<_, Failure>((user.state(&self.room)?, events))
            };
            matches!((held(&self.here), held(&self.there)), (Ok(here), Ok(there)) if here == there)
        })
    }

    /// Says something on both sides, and gives the events of each.
    fn say_both(&self, text: &str) -> Result<[Vec<String>; 2]> {
        let (mut of_here, mut of_there) = (Vec::new(), Vec::new());
        for number in 0..MESSAGES {
            of_here.push(self.here.say(&self.room, &format!("{text} here {number}"))?);
            of_there.push(self.there.say(&self.room, &format!("{text} there {number}"))?);
        }
        Ok([of_here, of_there])
    }

    fn all_arrive(&self, [of_here, of_there]: &[Vec<String>; 2], when: &str) -> Result<()> {
        // A new message wakes who has given up on the other for a while.
        let say = |user: &User| user.say(&self.room, &format!("back again, {when}"));
        let wake = [say(&self.here)?, say(&self.there)?];
        self.arrive(&self.there, of_here)?;
        self.arrive(&self.here, of_there)?;
        let [of_here, of_there] = wake;
        self.arrive(&self.there, &[of_here])?;
        self.arrive(&self.here, &[of_there])
    }

    fn arrive(&self, reader: &User, events: &[String]) -> Result<()> {
        for (number, event) in events.iter().enumerate() {
            until(&format!("message {number} at {}", reader.id()), || reader.sees(&self.room, event))?;
        }
        if events.is_empty() { Err(Failure::new("nothing was said")) } else { Ok(()) }
    }
}
