//! Who is online on one server is seen to be on the other.

use serde_json::{Value, json};

use super::{Pair, people::server_of, steps::Steps};
use crate::{
    failure::Result,
    user::{User, escaped, until},
};

pub(super) fn run(pair: &Pair<'_>, steps: &mut Steps) {
    steps.run(&format!("{}: who comes and goes is seen there", pair.direction), || seen(pair));
}

fn seen(pair: &Pair<'_>) -> Result<()> {
    let suffix = pair.suffix();
    let person = User::register(pair.client, pair.first, &format!("present{suffix}"))?;
    let viewer = User::register(pair.client, pair.second, &format!("watching{suffix}"))?;
    let room = person.create_room(&json!({"preset": "public_chat"}))?;
    viewer.join(&room, server_of(person.id())?)?;
    let path = format!("/presence/{}/status", escaped(person.id()));
    for (presence, status) in [("online", "here I am"), ("unavailable", "at lunch")] {
        let until_seen = || {
            let told: Option<Value> = viewer.call("GET", &path, None).ok();
            let says =
                |told: &Value, name, expected: &str| told.get(name).is_some_and(|said| said == expected);
            told.is_some_and(|told| says(&told, "presence", presence) && says(&told, "status_msg", status))
        };
        person.call("PUT", &path, Some(&json!({"presence": presence, "status_msg": status})))?;
        until(&format!("{} to be seen as {presence}", person.id()), until_seen)?;
    }
    Ok(())
}
