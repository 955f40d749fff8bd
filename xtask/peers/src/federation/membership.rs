//! Who comes in and goes, and what they find: invitations, knocks, aliases, access control lists, upgrades.

use serde_json::json;

use super::{Pair, steps::Steps};
use crate::{
    failure::{Context, Failure, Result},
    home::Home,
    user::{User, escaped, string, until},
};

/// Two people who know of each other.
struct People {
    host: User,
    guest: User,
}

type Step = fn(&Pair<'_>, &People) -> Result<()>;

pub(super) fn run(pair: &Pair<'_>, steps: &mut Steps) {
    let suffix = if pair.direction.starts_with("ours") { "o" } else { "t" };
    let registered = steps.run(&format!("{}: people register", pair.direction), || {
        let register =
            |server: &dyn Home, name: &str| User::register(pair.client, server, &format!("{name}{suffix}"));
        Ok(People { host: register(pair.first, "host")?, guest: register(pair.second, "guest")? })
    });
    let Some(people) = registered else { return };
    let all: [(&str, Step); 8] = [
        ("an invitation is shown with the room's name, and accepted", invited),
        ("an invitation is refused", refused),
        ("an invitation is taken back", rescinded),
        ("a knock is let in", knocked),
        ("who is in one room may join another without an invitation", restricted),
        ("an alias leads to a room, and the directory lists it", aliased),
        ("an access control list shuts a server out", shut_out),
        ("people follow an upgrade", upgraded),
    ];
    for (name, step) in all {
        steps.run(&format!("{}: {name}", pair.direction), || step(pair, &people));
    }
}

impl People {
    fn private_room(&self, name: &str) -> Result<String> {
        self.host.create_room(&json!({"preset": "private_chat", "name": name}))
    }

    fn public_room(&self, name: &str) -> Result<String> {
        self.host.create_room(&json!({"preset": "public_chat", "name": name}))
    }

    /// Waits until the host sees the guest with that membership.
    fn host_sees(&self, room: &str, membership: &str) -> Result<()> {
        until(&format!("the guest with membership {membership}"), || {
            self.host.membership(room, self.guest.id()).is_some_and(|seen| seen == membership)
        })
    }

    /// Each says something that the other reads.
    fn talk(&self, room: &str) -> Result<()> {
        let of_host = self.host.say(room, "from the host")?;
        until("the guest to see what the host says", || self.guest.sees(room, &of_host))?;
        let of_guest = self.guest.say(room, "from the guest")?;
        until("the host to see what the guest says", || self.host.sees(room, &of_guest))
    }
}

fn invited(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("for two")?;
    people.host.act(&room, "invite", &people.guest)?;
    until("the invitation", || people.guest.invite(&room).is_ok_and(|invite| invite.is_some()))?;
    let state = people.guest.invite(&room)?.context("the invitation")?;
    if !state.to_string().contains("for two") {
        return Err(Failure::new(format!("the invitation does not tell the room's name: {state}")));
    }
    people.guest.join(&room, server_of(people.host.id())?)?;
    people.host_sees(&room, "join")?;
    people.talk(&room)?;
    people.guest.leave(&room)?;
    people.host_sees(&room, "leave")
}

fn refused(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("refused")?;
    people.host.act(&room, "invite", &people.guest)?;
    until("the invitation", || people.guest.invite(&room).is_ok_and(|invite| invite.is_some()))?;
    people.guest.leave(&room)?;
    people.host_sees(&room, "leave")
}

fn rescinded(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("rescinded")?;
    people.host.act(&room, "invite", &people.guest)?;
    until("the invitation", || people.guest.invite(&room).is_ok_and(|invite| invite.is_some()))?;
    people.host.act(&room, "kick", &people.guest)?;
    until("the end of the invitation", || people.guest.invite(&room).is_ok_and(|invite| invite.is_none()))
}

fn knocked(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("with a door")?;
    people.host.set(&room, "m.room.join_rules", &json!({"join_rule": "knock"}))?;
    let via = escaped(server_of(people.host.id())?);
    let path = format!("/knock/{}?server_name={via}&via={via}", escaped(&room));
    people.guest.call("POST", &path, Some(&json!({})))?;
    people.host_sees(&room, "knock")?;
    people.host.act(&room, "invite", &people.guest)?;
    until("the invitation", || people.guest.invite(&room).is_ok_and(|invite| invite.is_some()))?;
    people.guest.join(&room, server_of(people.host.id())?)?;
    people.talk(&room)
}

fn restricted(_: &Pair<'_>, people: &People) -> Result<()> {
    let via = server_of(people.host.id())?;
    let lobby = people.public_room("lobby")?;
    let room = people.private_room("behind the lobby")?;
    let allow = json!([{"type": "m.room_membership", "room_id": lobby}]);
    people.host.set(&room, "m.room.join_rules", &json!({"join_rule": "restricted", "allow": allow}))?;
    if people.guest.join(&room, via).is_ok() {
        return Err(Failure::new("the guest came in without being in the lobby"));
    }
    people.guest.join(&lobby, via)?;
    people.host_sees(&lobby, "join")?;
    people.guest.join(&room, via)?;
    people.host_sees(&room, "join")?;
    people.talk(&room)
}

fn aliased(pair: &Pair<'_>, people: &People) -> Result<()> {
    let local = format!("well-known-{}", if pair.direction.starts_with("ours") { "o" } else { "t" });
    let room = people.host.create_room(&json!({
        "preset": "public_chat", "name": "listed", "room_alias_name": local, "visibility": "public",
    }))?;
    let server = server_of(people.host.id())?;
    let alias = escaped(&format!("#{local}:{server}"));
    let found = people.guest.call("GET", &format!("/directory/room/{alias}"), None)?;
    if string(&found, "room_id")? != room {
        return Err(Failure::new(format!("the alias leads to {found}")));
    }
    let path = format!("/publicRooms?server={}&limit=100", escaped(server));
    let listed = people.guest.call("GET", &path, None)?;
    if !listed.to_string().contains(&room) {
        return Err(Failure::new(format!("the directory does not list the room: {listed}")));
    }
    people.guest.call("POST", &format!("/join/{alias}"), Some(&json!({})))?;
    people.talk(&room)
}

fn shut_out(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.public_room("with a list")?;
    people.guest.join(&room, server_of(people.host.id())?)?;
    people.talk(&room)?;
    let denied = server_name_for_lists(server_of(people.guest.id())?);
    people.host.set(&room, "m.room.server_acl", &json!({"allow": ["*"], "deny": [denied]}))?;
    let of_host = people.host.say(&room, "only we read this")?;
    // Whether the guest's server lets its user speak is its own affair; nobody else hears it.
    let unheard = people.guest.say(&room, "does anybody hear me?");
    let marker = people.host.say(&room, "a marker")?;
    until("the host to see the marker", || people.host.sees(&room, &marker))?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    match unheard {
        Ok(event) if people.host.sees(&room, &event) => {
            Err(Failure::new("a server that is shut out was heard"))
        }
        _ if people.host.sees(&room, &of_host) => Ok(()),
        _ => Err(Failure::new("the host does not see what the host said")),
    }
}

/// Access control lists know hosts, not ports.
fn server_name_for_lists(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

fn upgraded(_: &Pair<'_>, people: &People) -> Result<()> {
    let via = server_of(people.host.id())?;
    let room = people.host.create_room(&json!({"preset": "public_chat", "room_version": "10"}))?;
    people.guest.join(&room, via)?;
    let path = format!("/rooms/{}/upgrade", escaped(&room));
    let answer = people.host.call("POST", &path, Some(&json!({"new_version": "12"})))?;
    let replacement = string(&answer, "replacement_room")?;
    until("the tombstone", || {
        let tombstone = people.guest.get(&room, "m.room.tombstone");
        tombstone.is_ok_and(|content| content.to_string().contains(&replacement))
    })?;
    people.guest.join(&replacement, via)?;
    people.talk(&replacement)
}

/// The server of a user.
pub(super) fn server_of(user_id: &str) -> Result<&str> {
    Ok(user_id.split_once(':').context("the server of a user")?.1)
}
