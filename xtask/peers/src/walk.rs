//! A first walk for new users: a domain of ours and a Synapse, Alice and Bob.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    certificates::Authority,
    failure::{Context, Failure, Result},
    freehold::Freehold,
    home::Home,
    http::Client,
    synapse::{Setting, Synapse},
    user::{PASSWORD, User, escaped, until},
};

/// What the walk is made of.
pub(crate) struct Walk<'a> {
    pub(crate) python: &'a Path,
    pub(crate) freehold: &'a Path,
    pub(crate) folder: &'a Path,
    /// Whether both servers stay until somebody presses Enter.
    pub(crate) stays: bool,
}

/// Goes the walk and says each step.
pub(crate) fn run(walk: &Walk<'_>) -> Result<()> {
    let authority = Authority::create(walk.folder)?;
    let client = Client::trusting(&authority.pem())?;
    println!("An authority for this walk signs the certificates of both: {}", authority.file().display());
    let setting = Setting {
        python: walk.python,
        folder: walk.folder,
        authority: &authority,
        client: &client,
        presence: false,
    };
    let theirs = Synapse::start(&setting, "synapse")?;
    println!("Synapse is {}, and clients find it at {}", theirs.server_name(), theirs.client_url());
    let mut ours = Freehold::start(walk.freehold, walk.folder, &authority, &client, 1)?;
    let home = walk.folder.join("freehold");
    {
        let tenant = ours.tenant(0)?;
        println!("Freehold hosts {}, and clients find it at {}", tenant.server_name(), tenant.client_url());
        println!("Its configuration is {}", home.join("freehold.toml").display());
        let room = talk(&client, tenant, &theirs)?;
        operator(walk.freehold, &home, &["doctor", theirs.server_name()])?;
        operator(walk.freehold, &home, &["room", "show", &room])?;
    }
    if walk.stays {
        println!("\nBoth run until you press Enter: log in as alice or bob with the password `{PASSWORD}`.");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("wait for Enter")?;
    }
    ours.stop()
}

/// Alice of ours opens a room and invites Bob of theirs; both say something, and both hear it.
fn talk(client: &Client, ours: &dyn Home, theirs: &dyn Home) -> Result<String> {
    let (alice, bob) = (User::register(client, ours, "alice")?, User::register(client, theirs, "bob")?);
    println!("\n{} opens a room and invites {}", alice.id(), bob.id());
    let room = alice.create_room(&json!({
        "preset": "private_chat", "name": "Across servers", "invite": [bob.id()],
    }))?;
    until("the invite to arrive", || bob.invite(&room).is_ok_and(|invite| invite.is_some()))?;
    println!("{} is invited, and joins {room}", bob.id());
    bob.join(&room, ours.server_name())?;
    for (speaker, listener, text) in
        [(&alice, &bob, "Hello from a domain of mine"), (&bob, &alice, "Hello from Synapse")]
    {
        speaker.say(&room, text)?;
        until("a message to arrive", || last_text(listener, &room).as_deref() == Some(text))?;
        println!("{} reads of {}: {text}", listener.id(), speaker.id());
    }
    Ok(room)
}

/// The newest message of a room.
fn last_text(user: &User, room: &str) -> Option<String> {
    let path = format!("/rooms/{}/messages?dir=b&limit=1", escaped(room));
    let page = user.call("GET", &path, None).ok()?;
    let text = page.get("chunk")?.get(0)?.get("content")?.get("body")?;
    Some(text.as_str()?.to_owned())
}

/// A command of the operator, and what it prints.
fn operator(program: &Path, home: &Path, arguments: &[&str]) -> Result<()> {
    println!("\n$ freehold --config freehold.toml {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(["--config", "freehold.toml"]).args(arguments).current_dir(home).stdin(Stdio::null());
    let status = command.status().context("run a command of the operator")?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("`freehold {}` ended with {status}", arguments.join(" ")))),
    }
}
