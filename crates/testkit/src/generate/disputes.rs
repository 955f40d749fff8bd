//! The shapes that MSC4297 ("State Resolution v2.1") is about.

use serde_json::json;

use super::world::World;
use crate::builder::Draft;

impl World {
    /// Problem A: conflicted state was sent by somebody who has left since. The leaving is in every
    /// fork, so it is unconflicted, and with it in place first the old events of that person are
    /// not allowed any more.
    pub(super) fn problem_a(&mut self) {
        let leaver = self.some_powerful_user();
        let server = self.server_of_user(&leaver);
        let pawn = self.some_user();
        let fork = self.heads_at(server);
        let rule = self.set_join_rule(&leaver, "invite");
        let levels = self.set_level(&leaver, &pawn, 30);
        let left = Draft::member(&leaver, &leaver, "leave");
        let (left, _) = self.send_from(server, left.after(&[rule, levels]));
        // The other fork knows of the leaving, and of nothing else.
        let other = self.some_powerful_user();
        let own = Draft::state(&other, "m.room.join_rules", "", json!({ "join_rule": "public" }));
        let server = self.server_of_user(&other);
        let (own, _) = self.send_from(server, own.after(&fork));
        let topic = Draft::state(&other, "m.room.topic", "", json!({ "topic": "merged" }));
        self.send_from(server, topic.after(&[left, own]));
    }

    /// Problem B: the conflicted events hang on events that every fork has in its auth chain, so
    /// that the auth difference does not show what lies between them.
    pub(super) fn problem_b(&mut self) {
        let (one, other) = (self.some_powerful_user(), self.some_powerful_user());
        let pawn = self.some_user();
        let server = self.server_of_user(&one);
        let start = self.heads_at(server);
        // A chain of three power levels; each fork's state cites another link of it.
        let first = self.set_level(&one, &pawn, 40);
        let second = self.set_level(&one, &other, 60);
        let third = self.set_level(&one, &pawn, 10);
        let name = |n: usize| json!({ "name": format!("fork {n}") });
        let (a, _) = self.send_from(server, Draft::state(&one, "m.room.name", "", name(1)).after(&[first]));
        let (b, _) = self.send_from(server, Draft::state(&one, "m.room.name", "", name(2)).after(&[third]));
        let ban = Draft::member(&one, &other, "ban");
        let (ban, _) = self.send_from(server, ban.after(&[second]));
        let back = Draft::state(&other, "m.room.topic", "", json!({ "topic": "evaded" }));
        let server = self.server_of_user(&other);
        let (back, _) = self.send_from(server, back.after(&start));
        let merge = [a, b, ban, back];
        let message = Draft::message(&one, "m.room.message", json!({ "body": "merge" }));
        let server = self.server_of_user(&one);
        self.send_from(server, message.after(&merge));
    }
}
