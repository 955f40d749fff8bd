//! Everyday events, and the unpleasant ways to send them.

use serde_json::json;

use super::world::World;
use crate::builder::Draft;

impl World {
    /// Messages, topics, names, state of one's own.
    pub(super) fn traffic(&mut self) {
        let server = self.some_server();
        let draft = self.some_traffic(server);
        self.send_from(server, draft);
    }

    /// Any everyday event by a user of a server.
    fn some_traffic(&mut self, server: usize) -> Draft {
        let user = self.some_user_of(server);
        let text = format!("{}", self.rng.below(1000));
        match self.rng.below(8) {
            0 => Draft::message(&user, "m.room.message", json!({ "msgtype": "m.text", "body": text })),
            1 | 2 => Draft::state(&user, "m.room.topic", "", json!({ "topic": text })),
            3 => Draft::state(&user, "m.room.name", "", json!({ "name": text })),
            4 => Draft::state(&user, "org.example.own", &user, json!({ "n": text })),
            5 => {
                let other = self.some_user();
                Draft::state(&user, "org.example.own", &other, json!({ "n": text }))
            }
            6 if self.room.differences().aliases_rule => {
                let server = crate::seal::server_of(&user);
                Draft::state(&user, "m.room.aliases", server, json!({ "aliases": [] }))
            }
            6 => Draft::state(&user, "m.room.aliases", "elsewhere", json!({ "aliases": [] })),
            _ => self.redaction(server, &user),
        }
    }

    fn redaction(&mut self, server: usize, user: &str) -> Draft {
        let target = self.some_known(server).unwrap_or_default();
        if self.room.version().rules().redaction.content_field_redacts {
            let mut draft = Draft::message(user, "m.room.redaction", json!({ "redacts": target }));
            draft.redacts = Some(target);
            return draft;
        }
        let mut draft = Draft::message(user, "m.room.redaction", json!({}));
        draft.redacts = Some(target);
        draft
    }

    /// Several events with one and the same timestamp, or with timestamps that make no sense.
    pub(super) fn equal_timestamps(&mut self) {
        let now_ms = self.room.clock_mut().now_ms();
        self.frozen_ts = Some(now_ms);
        for _ in 0..3 {
            match self.rng.below(3) {
                0 => self.power_change(),
                1 => self.membership(),
                _ => self.traffic(),
            }
        }
        self.frozen_ts = self.rng.chance(30).then(|| now_ms - self.rng.between(0, 60_000));
        self.power_change();
        self.frozen_ts = None;
    }

    /// An event that continues an old part of the graph, as a server that evades a ban would.
    pub(super) fn stale_branch(&mut self) {
        let server = self.some_server();
        let mut old = Vec::new();
        for _ in 0..1 + self.rng.below(2) {
            old.extend(self.some_known(server).filter(|id| !old.contains(id)));
        }
        let user = self.some_user_of(server);
        let draft = match self.rng.below(3) {
            0 => self.power_levels_draft(server, &user),
            1 => Draft::member(&user, &user, if self.rng.chance(50) { "join" } else { "leave" }),
            _ => self.some_traffic(server),
        };
        self.send_from(server, draft.after(&old));
    }

    /// An event with auth events from an older state.
    pub(super) fn stale_auth(&mut self) {
        let server = self.some_server();
        let Some(old) = self.some_known(server) else { return };
        let state = self.room.state_after(&old);
        let user = self.some_user_of(server);
        let draft = match self.rng.below(3) {
            0 => self.power_levels_draft(server, &user),
            1 => {
                let target = self.some_user();
                Draft::member(&user, &target, if self.rng.chance(50) { "ban" } else { "leave" })
            }
            _ => self.some_traffic(server),
        };
        self.send_from(server, draft.authorised_by(state));
    }

    /// An event that is rejected, and one that follows it all the same.
    pub(super) fn rejected(&mut self) {
        let Some(nobody) = self.users.last().cloned() else { return };
        let server = self.server_of_user(&nobody);
        let target = self.some_powerful_user();
        let draft = match self.rng.below(3) {
            0 => Draft::member(&nobody, &target, "ban"),
            1 => {
                Draft::state(&nobody, "m.room.power_levels", "", json!({ "users": { nobody.as_str(): 100 } }))
            }
            _ => Draft::state(&nobody, "m.room.member", &target, json!({ "membership": "tea" })),
        };
        let (event_id, _) = self.send_from(server, draft);
        if self.rng.chance(50) {
            let draft = self.some_traffic(server);
            self.send_from(server, draft.after(&[event_id]));
        }
    }
}
