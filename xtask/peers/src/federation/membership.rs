//! Who comes in and goes, and what they find: invitations, knocks, aliases, access control lists, upgrades.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    Pair,
    people::{People, server_of},
    steps::Steps,
};
use crate::{
    failure::{Context, Failure, Result},
    user::{escaped, string, until},
};

type Step = fn(&Pair<'_>, &People) -> Result<()>;

pub(super) fn run(pair: &Pair<'_>, steps: &mut Steps) {
    let registered =
        steps.run(&format!("{}: people register", pair.direction), || People::register(pair, ""));
    let Some(people) = registered else { return };
    let all: [(&str, Step); 8] = [
        ("an invitation is shown with the room's name, and accepted", invited),
        ("an invitation is refused", refused),
        ("an invitation is taken back", rescinded),
        ("a knock is let in", knocked),
        ("who is in one room may join another without an invitation", restricted),
        ("an alias leads to a room, and the directory lists it", aliased),
        ("an access control list shuts a server out, and lets it in again", shut_out),
        ("people follow an upgrade", upgraded),
    ];
    for (name, step) in all {
        steps.run(&format!("{}: {name}", pair.direction), || step(pair, &people));
    }
}

fn invited(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("for two")?;
    people.host_does(&room, "invite", "invite")?;
    let state = people.guest.invite(&room)?.context("the invitation")?;
    if !state.to_string().contains("for two") {
        return Err(Failure::new(format!("the invitation does not tell the room's name: {state}")));
    }
    people.guest_joins(&room)?;
    people.talk(&room)?;
    people.guest_leaves(&room)
}

fn refused(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("refused")?;
    people.host_does(&room, "invite", "invite")?;
    people.guest_leaves(&room)
}

fn rescinded(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("rescinded")?;
    people.host_does(&room, "invite", "invite")?;
    people.host_does(&room, "kick", "leave")?;
    people.guest_is_refused(&room, "with an invitation that was taken back")
}

fn knocked(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.private_room("with a door")?;
    people.host.set(&room, "m.room.join_rules", &json!({"join_rule": "knock"}))?;
    people.guest_knocks(&room)?;
    people.host_does(&room, "invite", "invite")?;
    people.guest_joins(&room)?;
    people.talk(&room)
}

fn restricted(_: &Pair<'_>, people: &People) -> Result<()> {
    let lobby = people.public_room("lobby")?;
    let room = people.private_room("behind the lobby")?;
    let allow = json!([{"type": "m.room_membership", "room_id": lobby}]);
    people.host.set(&room, "m.room.join_rules", &json!({"join_rule": "restricted", "allow": allow}))?;
    people.guest_is_refused(&room, "without being in the lobby")?;
    people.guest_joins(&lobby)?;
    people.guest_joins(&room)?;
    people.talk(&room)
}

fn aliased(pair: &Pair<'_>, people: &People) -> Result<()> {
    let local = format!("well-known-{}", pair.suffix());
    let room = people.host.create_room(&json!({
        "preset": "public_chat", "name": "listed", "room_alias_name": local, "visibility": "public",
    }))?;
    let server = people.via()?;
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
    people.both_see(&room, "join")?;
    people.talk(&room)
}

fn shut_out(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.public_room("with a list")?;
    people.guest_joins(&room)?;
    people.talk(&room)?;
    let denied = server_name_for_lists(server_of(people.guest.id())?);
    people.host.set(&room, "m.room.server_acl", &json!({"allow": ["*"], "deny": [denied]}))?;
    let of_host = people.host.say(&room, "only we read this")?;
    // Whether the guest's server lets its user speak is its own affair; nobody else hears it.
    let unheard = people.guest.say(&room, "does anybody hear me?");
    let marker = people.host.say(&room, "a marker")?;
    until("the host to see the marker", || people.host.sees(&room, &marker))?;
    thread::sleep(Duration::from_secs(2));
    match unheard {
        Ok(event) if people.host.sees(&room, &event) => {
            return Err(Failure::new("a server that is shut out was heard"));
        }
        _ if people.host.sees(&room, &of_host) => {}
        _ => return Err(Failure::new("the host does not see what the host said")),
    }
    let open = json!({"allow": ["*"], "deny": []});
    people.host.set(&room, "m.room.server_acl", &open)?;
    people.both_have(&room, "m.room.server_acl", &open)?;
    people.talk(&room)
}

/// Access control lists know hosts, not ports.
fn server_name_for_lists(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

fn upgraded(_: &Pair<'_>, people: &People) -> Result<()> {
    let room = people.host.create_room(&json!({"preset": "public_chat", "room_version": "10"}))?;
    people.guest_joins(&room)?;
    let path = format!("/rooms/{}/upgrade", escaped(&room));
    let answer = people.host.call("POST", &path, Some(&json!({"new_version": "12"})))?;
    let replacement = string(&answer, "replacement_room")?;
    let leads_on = |content: &Value| content.to_string().contains(&replacement);
    for user in [&people.host, &people.guest] {
        until(&format!("the tombstone at {}", user.id()), || {
            user.get(&room, "m.room.tombstone").is_ok_and(|content| leads_on(&content))
        })?;
    }
    people.guest_joins(&replacement)?;
    for user in [&people.host, &people.guest] {
        let create = user.get(&replacement, "m.room.create")?;
        if !create.to_string().contains(&room) {
            return Err(Failure::new(format!(
                "{} is not told what the new room follows: {create}",
                user.id()
            )));
        }
    }
    people.talk(&replacement)
}
