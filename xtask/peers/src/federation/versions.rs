//! Rooms of every version: all memberships and all join rules, as both servers see them.

use freehold_event::RoomVersion;
use serde_json::{Value, json};

use super::{Pair, people::People, steps::Steps};
use crate::{
    failure::{Context, Result},
    user::until,
};

pub(super) fn run(pair: &Pair<'_>, versions: &[String], steps: &mut Steps) {
    for version in versions {
        let name = "every membership and join rule of version";
        steps.run(&format!("{}: {name} {version} is the same on both servers", pair.direction), || {
            visited(pair, version)
        });
    }
}

/// A room, and another whose members may come into it.
struct Visit {
    people: People,
    room: String,
    lobby: String,
    /// Whether who comes and goes is one of ours.
    guest_is_ours: bool,
}

fn visited(pair: &Pair<'_>, version: &str) -> Result<()> {
    let rules = RoomVersion::find(version).context(format!("room version {version}"))?.rules();
    let people = People::register(pair, &format!("v{version}"))?;
    let room = people.host.create_room(&json!({"preset": "private_chat", "room_version": version}))?;
    let lobby = people.host.create_room(&json!({"preset": "public_chat", "room_version": version}))?;
    let visit = Visit { people, room, lobby, guest_is_ours: pair.second_is_ours() };
    visit.by_invitation().context("by invitation")?;
    visit.while_public().context("while it is public")?;
    if rules.authorization.knocking {
        visit.by_knocking().context("by knocking")?;
    }
    if rules.authorization.restricted_join_rule {
        visit.by_way_of_the_lobby("restricted").context("while it is restricted")?;
    }
    if rules.authorization.knock_restricted_join_rule {
        visit.by_way_of_the_lobby("knock_restricted").context("while knocking and the lobby lead in")?;
        visit.by_knocking_at_a_room_with_a_lobby().context("by knocking at a restricted room")?;
    }
    visit.to_the_end().context("in the end")
}

impl Visit {
    fn rule(&self, rule: &str) -> Result<()> {
        let mut content = json!({"join_rule": rule});
        if rule.ends_with("restricted")
            && let Some(content) = content.as_object_mut()
        {
            let allow = json!([{"type": "m.room_membership", "room_id": self.lobby}]);
            content.insert("allow".to_owned(), allow);
        }
        self.people.host.set(&self.room, "m.room.join_rules", &content).map(drop)
    }

    fn by_invitation(&self) -> Result<()> {
        let Visit { people, room, .. } = self;
        people.guest_is_refused(room, "without an invitation")?;
        people.host_does(room, "invite", "invite")?;
        people.guest_leaves(room)?;
        people.host_does(room, "invite", "invite")?;
        people.guest_joins(room)?;
        people.talk(room)?;
        people.redact(room)?;
        people.host_does(room, "kick", "leave")
    }

    fn while_public(&self) -> Result<()> {
        let Visit { people, room, .. } = self;
        self.rule("public")?;
        people.guest_joins(room)?;
        people.guest_leaves(room)?;
        people.guest_joins(room)?;
        people.host_does(room, "ban", "ban")?;
        people.guest_is_refused(room, "although banned")?;
        // Of this the guest's server is not told, which is not in the room.
        people.host.act(room, "unban", &people.guest)?;
        people.host_sees(room, "leave")
    }

    fn by_knocking(&self) -> Result<()> {
        let Visit { people, room, .. } = self;
        self.rule("knock")?;
        people.guest_is_refused(room, "without knocking")?;
        people.guest_knocks(room)?;
        // Synapse tells nobody of this whose server is not in the room, and does not listen to who tells it.
        people.host.act(room, "kick", &people.guest)?;
        people.host_sees(room, "leave")?;
        people.guest_knocks(room)?;
        // A Synapse takes a knock back for itself only.
        if self.guest_is_ours {
            people.guest.leave(room)?;
            people.host_sees(room, "leave")?;
            until("the knock to be gone", || people.guest.standing(room).is_ok_and(|seen| seen != "knock"))?;
            people.guest_knocks(room)?;
        }
        people.host_does(room, "invite", "invite")?;
        people.guest_joins(room)?;
        people.guest_leaves(room)
    }

    fn by_way_of_the_lobby(&self, rule: &str) -> Result<()> {
        let Visit { people, room, lobby, .. } = self;
        self.rule(rule)?;
        people.guest_is_refused(room, "without being in the lobby")?;
        people.guest_joins(lobby)?;
        people.guest_joins(room)?;
        people.talk(room)?;
        people.guest_leaves(room)?;
        people.guest_leaves(lobby)
    }

    /// Who is not in the lobby knocks.
    fn by_knocking_at_a_room_with_a_lobby(&self) -> Result<()> {
        let Visit { people, room, .. } = self;
        people.guest_is_refused(room, "without being in the lobby any more")?;
        people.guest_knocks(room)?;
        people.host_does(room, "invite", "invite")?;
        people.guest_joins(room)?;
        people.guest_leaves(room)
    }

    fn to_the_end(&self) -> Result<()> {
        let Visit { people, room, .. } = self;
        self.rule("public")?;
        people.guest_joins(room)?;
        let topic: Value = json!({"topic": "all have come and gone"});
        people.host.set(room, "m.room.topic", &topic)?;
        people.both_have(room, "m.room.topic", &topic)?;
        people.talk(room)?;
        people.agree(room)
    }
}
