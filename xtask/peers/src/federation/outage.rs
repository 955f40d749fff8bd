//! Servers lose each other, and ours loses its life, under traffic: nothing that was acknowledged is missing afterwards.

use std::{thread, time::Duration};

use serde_json::json;

use super::{membership::server_of, steps::Steps};
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

pub(super) fn run(ours: &mut Freehold, theirs: &Synapse, client: &Client, steps: &mut Steps) {
    let made =
        steps.run("outage: people of both servers share a room", || Shared::make(ours, theirs, client));
    let Some(shared) = made else { return };
    steps.run("outage: what was said while the wire was cut arrives on both sides", || {
        shared.cut(ours, theirs)
    });
    steps.run("outage: our server is killed while it is spoken to, and misses nothing", || {
        shared.killed(ours, client)
    });
    steps.run("outage: what we had acknowledged before we were killed arrives there", || {
        shared.killed_speaking(ours, client)
    });
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

    fn cut(&self, ours: &Freehold, theirs: &Synapse) -> Result<()> {
        let links = [ours.tenant(0)?.link(), theirs.link()];
        links.iter().for_each(|link| link.cut());
        let said = self.say_both("while the wire was cut", |_| Ok(()));
        links.iter().for_each(|link| link.heal());
        self.all_arrive(&said?)
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
        self.arrive(&self.here, &said)
    }

    fn killed_speaking(&self, ours: &mut Freehold, client: &Client) -> Result<()> {
        let mut said = Vec::new();
        for number in 0..MESSAGES {
            said.push(self.here.say(&self.room, &format!("before a death {number}"))?);
        }
        ours.kill_and_start(client)?;
        self.arrive(&self.there, &said)
    }

    /// Says something on both sides, and gives the events of each.
    fn say_both(
        &self,
        text: &str,
        mut meanwhile: impl FnMut(usize) -> Result<()>,
    ) -> Result<[Vec<String>; 2]> {
        let (mut of_here, mut of_there) = (Vec::new(), Vec::new());
        for number in 0..MESSAGES {
            of_here.push(self.here.say(&self.room, &format!("{text} here {number}"))?);
            of_there.push(self.there.say(&self.room, &format!("{text} there {number}"))?);
            meanwhile(number)?;
        }
        Ok([of_here, of_there])
    }

    fn all_arrive(&self, [of_here, of_there]: &[Vec<String>; 2]) -> Result<()> {
        // A new message wakes who has given up on the other for a while.
        let wake = [self.here.say(&self.room, "back again")?, self.there.say(&self.room, "me too")?];
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
