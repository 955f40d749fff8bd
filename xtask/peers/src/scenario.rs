//! What happens in a room: people of two servers join, quarrel and part, and the servers lose each other twice.

use std::{
    thread,
    time::{Duration, Instant},
};

use freehold_event::RoomVersion;
use serde_json::{Value, json};

use crate::{
    failure::{Context, Failure, Result},
    home::Home,
    http::Client,
    user::User,
};

const CONVERGE_SECONDS_MAX: u64 = 60;

/// Two servers with their people. The names are the field's usual ones: alice and bob are on the first server.
pub(crate) struct World<'a> {
    first: &'a dyn Home,
    second: &'a dyn Home,
    alice: User,
    bob: User,
    carol: User,
    dave: User,
    erin: User,
}

/// A room whose history is made and on whose state both servers agree.
pub(crate) struct Room {
    pub(crate) version: &'static RoomVersion,
    pub(crate) room_id: String,
}

impl<'a> World<'a> {
    /// Registers everybody; names carry the round so that each room has people of its own.
    pub(crate) fn populate(
        client: &Client,
        first: &'a dyn Home,
        second: &'a dyn Home,
        round: &str,
    ) -> Result<Self> {
        let register =
            |server: &dyn Home, name: &str| User::register(client, server, &format!("{name}{round}"));
        Ok(Self {
            first,
            second,
            alice: register(first, "alice")?,
            bob: register(first, "bob")?,
            carol: register(second, "carol")?,
            dave: register(second, "dave")?,
            erin: register(second, "erin")?,
        })
    }

    /// The first server's view of the room's current state.
    pub(crate) fn state(&self, room: &Room) -> Result<Vec<(String, String, String)>> {
        self.alice.state(&room.room_id)
    }

    /// Makes a room and its history.
    pub(crate) fn make_room(&self, version: &str) -> Result<Room> {
        let version = RoomVersion::find(version).context(format!("room version {version}"))?;
        let room_id = self.create(version.id())?;
        self.gather(&room_id)?;
        self.quarrel(&room_id)?;
        if version.rules().authorization.restricted_join_rule {
            self.join_restricted(&room_id)?;
        }
        self.fork_over_power(&room_id)?;
        self.fork_over_membership(&room_id)?;
        self.alice.set(&room_id, "m.room.join_rules", &json!({"join_rule": "public"}))?;
        self.converge(&room_id)?;
        Ok(Room { version, room_id })
    }

    fn create(&self, version: &str) -> Result<String> {
        self.alice.create_room(&json!({
            "preset": "public_chat", "room_version": version, "name": format!("version {version}"),
            // Both sides of a fork must be able to change the levels.
            "power_level_content_override": {"events": {"m.room.power_levels": 70, "m.room.tombstone": 150}},
        }))
    }

    fn gather(&self, room: &str) -> Result<()> {
        let via = self.first.server_name();
        self.alice.act(room, "invite", &self.bob)?;
        self.bob.join(room, via)?;
        self.carol.join(room, via)?;
        self.dave.join(room, via)?;
        self.alice.say(room, "welcome")?;
        self.carol.say(room, "hello from the other server")?;
        self.set_levels(&self.alice, room, &[(&self.carol, 90), (&self.bob, 50)])?;
        self.converge(room)
    }

    fn quarrel(&self, room: &str) -> Result<()> {
        self.bob.act(room, "kick", &self.dave)?;
        self.converge(room)?;
        self.dave.join(room, self.first.server_name())?;
        self.converge(room)?;
        self.carol.act(room, "ban", &self.dave)?;
        self.carol.act(room, "unban", &self.dave)?;
        self.converge(room)?;
        self.carol.act(room, "invite", &self.dave)?;
        self.dave.join(room, self.second.server_name())?;
        let regretted = self.dave.say(room, "regretted")?;
        self.dave.redact(room, &regretted)?;
        self.converge(room)
    }

    /// Erin may join because she is in another room; a server in the room must authorise her.
    fn join_restricted(&self, room: &str) -> Result<()> {
        let lobby = self.alice.create_room(&json!({"preset": "public_chat", "room_version": "10"}))?;
        self.erin.join(&lobby, self.first.server_name())?;
        let rule = json!({
            "join_rule": "restricted",
            "allow": [{"type": "m.room_membership", "room_id": lobby}],
        });
        self.alice.set(room, "m.room.join_rules", &rule)?;
        self.converge(room)?;
        self.erin.join(room, self.first.server_name())?;
        self.converge(room)
    }

    fn fork_over_power(&self, room: &str) -> Result<()> {
        self.part();
        self.alice.set(room, "m.room.topic", &json!({"topic": "the first server's"}))?;
        self.set_levels(&self.alice, room, &[(&self.bob, 0), (&self.dave, 10)])?;
        self.alice.set(
            room,
            "m.room.history_visibility",
            &json!({"history_visibility": "world_readable"}),
        )?;
        self.carol.set(room, "m.room.topic", &json!({"topic": "the second server's"}))?;
        self.set_levels(&self.carol, room, &[(&self.dave, 60)])?;
        self.dave.set(room, "m.room.name", &json!({"name": "named by dave, whose power is disputed"}))?;
        self.dave.say(room, "alone")?;
        self.meet(room)
    }

    fn fork_over_membership(&self, room: &str) -> Result<()> {
        self.part();
        self.alice.act(room, "ban", &self.dave)?;
        self.alice.set(room, "m.room.join_rules", &json!({"join_rule": "invite"}))?;
        self.bob.leave(room)?;
        self.set_levels(&self.alice, room, &[(&self.carol, 75)])?;
        self.carol.set(room, "m.room.topic", &json!({"topic": "while carol was being demoted"}))?;
        self.carol.act(room, "kick", &self.bob)?;
        self.set_levels(&self.carol, room, &[(&self.dave, 70)])?;
        self.dave.set(room, "m.room.name", &json!({"name": "while dave was being banned"}))?;
        self.dave.say(room, "banned elsewhere")?;
        self.meet(room)
    }

    fn part(&self) {
        self.first.link().cut();
        self.second.link().cut();
    }

    fn meet(&self, room: &str) -> Result<()> {
        self.first.link().heal();
        self.second.link().heal();
        self.converge(room)
    }

    fn set_levels(&self, by: &User, room: &str, levels: &[(&User, i64)]) -> Result<()> {
        let mut content = by.get(room, "m.room.power_levels")?;
        let users =
            content.get_mut("users").and_then(Value::as_object_mut).context("`users` of the levels")?;
        users.extend(levels.iter().map(|(user, level)| (user.id().to_owned(), json!(level))));
        by.set(room, "m.room.power_levels", &content).map(drop)
    }

    /// Waits until each server has seen what the other's people say, and both tell the same state.
    fn converge(&self, room: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(CONVERGE_SECONDS_MAX);
        let mut round = 0;
        while Instant::now() < deadline {
            round += 1;
            let (alices, carols) =
                (self.speak(&self.alice, room, round)?, self.speak(&self.carol, room, round)?);
            if self.both_see(room, &alices, &carols) && self.alice.state(room)? == self.carol.state(room)? {
                return Ok(());
            }
        }
        Err(Failure::new(format!("the servers did not agree on {room} within {CONVERGE_SECONDS_MAX} s")))
    }

    fn speak(&self, user: &User, room: &str, round: u32) -> Result<String> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |now| now.as_millis());
        user.say(room, &format!("do you hear me? {round} {now}"))
    }

    fn both_see(&self, room: &str, alices: &str, carols: &str) -> bool {
        (0..20).any(|_| {
            thread::sleep(Duration::from_millis(150));
            self.alice.sees(room, carols) && self.carol.sees(room, alices)
        })
    }
}

/// The room versions that the servers are asked to make.
pub(crate) const VERSIONS: &[&str] = &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
