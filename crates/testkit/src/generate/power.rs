//! What people do to the power levels.

use serde_json::{Map, Value, json};

use super::world::World;
use crate::builder::Draft;

impl World {
    /// The power levels that a server knows, with something changed by a user.
    pub(super) fn power_levels_draft(&mut self, server: usize, user: &str) -> Draft {
        let target = self.some_user();
        let level = *self.rng.pick(&[0, 10, 25, 50, 50, 75, 99, 100, 101, -1]).unwrap_or(&0);
        let level = self.written(level);
        let mut content = self.power_levels_at(server);
        match self.rng.below(8) {
            0 => set(&mut content, "events", "m.room.topic", level),
            1 => set(&mut content, "notifications", "room", level),
            2 => {
                let name =
                    self.rng.pick(&["ban", "kick", "invite", "redact", "state_default", "events_default"]);
                content.insert((*name.unwrap_or(&"users_default")).to_owned(), level);
            }
            3 => {
                if let Some(Value::Object(users)) = content.get_mut("users") {
                    users.remove(&target);
                }
            }
            _ => set(&mut content, "users", &target, level),
        }
        Draft::state(user, "m.room.power_levels", "", Value::Object(content))
    }

    /// The content of the power levels event as a server has it.
    fn power_levels_at(&mut self, server: usize) -> Map<String, Value> {
        let state = self.state_at(server);
        self.content_in(&state, "m.room.power_levels", "")
    }

    /// A level, now and then written in one of the forms that the room version also accepts.
    fn written(&mut self, level: i64) -> Value {
        let version = *self.room.differences();
        if version.float_levels && self.floats && self.rng.chance(25) {
            return json!(level as f64 + 0.5);
        }
        if version.string_levels && self.rng.chance(15) {
            return json!(format!(" +00{level} ").replace("+00-", "-"));
        }
        if self.rng.chance(2) {
            return json!("many");
        }
        json!(level)
    }

    /// Sends the power levels that the sender's server knows, with the level of one user set.
    pub(super) fn set_level(&mut self, sender: &str, target: &str, level: i64) -> String {
        let server = self.server_of_user(sender);
        let mut content = self.power_levels_at(server);
        set(&mut content, "users", target, json!(level));
        self.send(Draft::state(sender, "m.room.power_levels", "", Value::Object(content))).0
    }

    /// One change of the power levels.
    pub(super) fn power_change(&mut self) {
        let user = self.some_powerful_user();
        let server = self.server_of_user(&user);
        let draft = self.power_levels_draft(server, &user);
        self.send_from(server, draft);
    }

    /// Two people with power change the power levels at the same time.
    pub(super) fn power_struggle(&mut self) {
        let (one, other) = (self.some_powerful_user(), self.some_powerful_user());
        let level = self.rng.between(0, 100);
        self.set_level(&one, &other, level);
        let level = self.rng.between(0, 100);
        self.set_level(&other, &one, level);
        if self.rng.chance(50) {
            let third = self.some_user();
            self.set_level(&one, &third, 50);
        }
    }

    /// Two servers demote each other's people, blow by blow.
    pub(super) fn demotion_war(&mut self) {
        let (one, other) = (self.some_powerful_user(), self.some_powerful_user());
        for _ in 0..1 + self.rng.below(3) {
            let (victim, level) = (self.some_user(), self.rng.between(0, 60));
            self.set_level(&one, &victim, level);
            let (victim, level) = (self.some_user(), self.rng.between(0, 60));
            self.set_level(&other, &victim, level);
        }
        // The last blow: each lays down the own power.
        if self.rng.chance(30) {
            self.set_level(&one, &one, 0);
        }
    }

    /// A long chain of power levels against a single change.
    pub(super) fn power_chain(&mut self) {
        let (one, other) = (self.some_powerful_user(), self.some_powerful_user());
        let Some(pawn) = self.users.last().cloned() else { return };
        for level in 0..3 + self.rng.below(4) {
            self.set_level(&one, &pawn, i64::try_from(level).unwrap_or(0));
        }
        self.set_level(&other, &pawn, 20);
        self.traffic();
    }

    /// Creators, additional ones included, use or exceed their privilege.
    pub(super) fn creators(&mut self) {
        let Some(creator) = self.users.first().cloned() else { return };
        let second = self.users.get(1).cloned().unwrap_or_default();
        match self.rng.below(4) {
            // Nobody may name a creator in the power levels (version 12).
            0 => drop(self.set_level(&creator, &second, 50)),
            1 => drop(self.set_level(&second, &creator, 0)),
            2 => drop(self.send(Draft::member(&second, &creator, "ban"))),
            _ => {
                let draft = Draft::state(&second, "m.room.tombstone", "", json!({ "body": "gone" }));
                self.send(draft);
            }
        }
    }
}

fn set(content: &mut Map<String, Value>, map: &str, key: &str, level: Value) {
    let entries = content.entry(map).or_insert_with(|| json!({}));
    if let Value::Object(entries) = entries {
        entries.insert(key.to_owned(), level);
    }
}
