//! Two tenants of our process in one room with a Synapse: each sees what a server of its own would see.

use serde_json::{Value, json};

use super::{people::server_of, steps::Steps};
use crate::{
    failure::{Failure, Result},
    freehold::Freehold,
    http::Client,
    synapse::Synapse,
    user::{User, escaped, until},
};

pub(super) fn run(ours: &Freehold, theirs: &Synapse, client: &Client, steps: &mut Steps) {
    steps.run(
        "tenants: two tenants and a Synapse share a room, and who comes late sees no more than its right",
        || late_tenant(ours, theirs, client),
    );
    steps.run("tenants: a room of one tenant is unknown at the other", || unknown(ours, client));
}

fn late_tenant(ours: &Freehold, theirs: &Synapse, client: &Client) -> Result<()> {
    let first = User::register(client, ours.tenant(0)?, "early")?;
    let second = User::register(client, ours.tenant(1)?, "late")?;
    let third = User::register(client, theirs, "between")?;
    let room = first.create_room(&json!({
        "preset": "public_chat",
        "initial_state": [{
            "type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": "joined"},
        }],
    }))?;
    third.join(&room, server_of(first.id())?)?;
    let early = third.say(&room, "before the second tenant came")?;
    until("the first tenant to read it", || first.sees(&room, &early))?;
    // It finds the room through the Synapse, as any server would.
    second.join(&room, server_of(third.id())?)?;
    until("the Synapse to know of the second tenant", || {
        third.membership(&room, second.id()).is_some_and(|membership| membership == "join")
    })?;
    if second.sees(&room, &early) {
        return Err(Failure::new("the second tenant reads what was said before it came"));
    }
    let later = third.say(&room, "to everybody")?;
    for reader in [&first, &second] {
        until(&format!("{} to read it", reader.id()), || reader.sees(&room, &later))?;
    }
    let answer = second.say(&room, "thank you")?;
    for reader in [&first, &third] {
        until(&format!("{} to read the answer", reader.id()), || reader.sees(&room, &answer))?;
    }
    Ok(())
}

fn unknown(ours: &Freehold, client: &Client) -> Result<()> {
    let first = User::register(client, ours.tenant(0)?, "owner")?;
    let second = User::register(client, ours.tenant(1)?, "stranger")?;
    let room = first.create_room(&json!({"preset": "private_chat"}))?;
    let invented = "!nobodyknowsthisroom:127.0.0.1";
    let answers = [room.as_str(), invented].map(|room| {
        let path = format!("/rooms/{}/state", escaped(room));
        second
            .call("GET", &path, None)
            .map(|state: Value| state.to_string())
            .map_err(|failure| failure.to_string())
    });
    match answers {
        [Err(existing), Err(missing)]
            if existing.replace(&escaped(&room), "") == missing.replace(&escaped(invented), "") =>
        {
            Ok(())
        }
        answers => Err(Failure::new(format!("the answers differ: {answers:?}"))),
    }
}
