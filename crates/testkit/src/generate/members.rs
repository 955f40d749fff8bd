//! What people do to memberships and join rules.

use serde_json::json;

use super::world::World;
use crate::builder::Draft;

impl World {
    /// People join, leave, and change their profile.
    pub(super) fn membership(&mut self) {
        let server = self.some_server();
        let user = self.some_user_of(server);
        let draft = match self.rng.below(4) {
            0 => Draft::member(&user, &user, "leave"),
            1 => Draft::member(&user, &user, "join"),
            _ => {
                let name = format!("{}", self.rng.below(100));
                let content = json!({ "membership": "join", "displayname": name });
                Draft::state(&user, "m.room.member", &user, content)
            }
        };
        self.send_from(server, draft);
    }

    /// A ban races with what the banned user does.
    pub(super) fn ban_race(&mut self) {
        let (judge, victim) = (self.some_powerful_user(), self.some_user());
        self.send(Draft::member(&judge, &victim, "ban"));
        for _ in 0..1 + self.rng.below(2) {
            let draft = match self.rng.below(4) {
                0 => Draft::member(&victim, &victim, "leave"),
                1 => Draft::state(&victim, "m.room.topic", "", json!({ "topic": "still here" })),
                2 => Draft::member(&victim, &judge, "ban"),
                _ => {
                    let content = json!({ "membership": "join", "displayname": "again" });
                    Draft::state(&victim, "m.room.member", &victim, content)
                }
            };
            self.send(draft);
        }
        if self.rng.chance(30) {
            self.send(Draft::member(&judge, &victim, "leave"));
        }
    }

    /// A kick, and the user comes back.
    pub(super) fn kick_rejoin(&mut self) {
        let (judge, victim) = (self.some_powerful_user(), self.some_user());
        self.send(Draft::member(&judge, &victim, "leave"));
        self.deliver_something();
        self.send(Draft::member(&victim, &victim, "join"));
        if self.rng.chance(40) {
            self.send(Draft::member(&judge, &victim, "leave"));
        }
    }

    /// The join rule changes while people join.
    pub(super) fn join_rule_flip(&mut self) {
        let judge = self.some_powerful_user();
        let newcomer = self.some_user();
        let rules = ["public", "invite", "knock", "restricted", "knock_restricted", "private"];
        let rule = *self.rng.pick(&rules).unwrap_or(&"public");
        self.set_join_rule(&judge, rule);
        self.send(Draft::member(&newcomer, &newcomer, "join"));
        if self.rng.chance(50) {
            let other = self.some_powerful_user();
            self.set_join_rule(&other, if self.rng.clone().chance(50) { "public" } else { "invite" });
        }
    }

    /// Sets the join rule.
    pub(super) fn set_join_rule(&mut self, sender: &str, rule: &str) -> String {
        let mut content = json!({ "join_rule": rule });
        if rule.contains("restricted") {
            content = json!({
                "join_rule": rule,
                "allow": [{ "type": "m.room_membership", "room_id": "!other:s0.example" }],
            });
        }
        self.send(Draft::state(sender, "m.room.join_rules", "", content)).0
    }

    /// Somebody joins a restricted room, vouched for by a member (or by somebody who is none).
    pub(super) fn restricted_join(&mut self) {
        let judge = self.some_powerful_user();
        let rule = if self.rng.chance(50) { "restricted" } else { "knock_restricted" };
        self.set_join_rule(&judge, rule);
        let newcomer = self.some_user();
        self.send(Draft::member(&newcomer, &newcomer, "leave"));
        let voucher = if self.rng.chance(70) { judge } else { self.some_user() };
        let content = json!({ "membership": "join", "join_authorised_via_users_server": voucher });
        let server = self.server_of_user(&voucher_server(&content));
        self.send_from(server, Draft::state(&newcomer, "m.room.member", &newcomer, content));
    }
}

/// A restricted join goes through the server of the user who vouches.
fn voucher_server(content: &serde_json::Value) -> String {
    let voucher = content.get("join_authorised_via_users_server").and_then(serde_json::Value::as_str);
    voucher.unwrap_or_default().to_owned()
}
