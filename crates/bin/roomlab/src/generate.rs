//! `roomlab generate`: rooms made at random.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use freehold_event::RoomVersion;
use freehold_signing::SigningKey;
use freehold_testkit::{GenerateConfig, Recipe, Room, Sealing, generate};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Report, write_file};

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The same seed and options make the same room
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The room version; chosen by the seed if not given
    #[arg(long, value_name = "VERSION", value_parser = room_version)]
    room_version: Option<&'static RoomVersion>,
    /// How many servers are in the room
    #[arg(long, value_name = "N", default_value_t = 3)]
    servers: usize,
    /// How many users the servers have together
    #[arg(long, value_name = "N", default_value_t = 6)]
    users: usize,
    /// How many events to make at least
    #[arg(long, value_name = "N", default_value_t = 60)]
    events: usize,
    /// How many forks to leave open at the end
    #[arg(long, value_name = "N", default_value_t = 3)]
    forks: usize,
    /// What the users do, everything if not given; may be given several times
    #[arg(long, value_name = "RECIPE", value_delimiter = ',', value_parser = recipe)]
    attack: Vec<Recipe>,
    /// Where to write the room
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Where to write the public keys of the servers, for `verify --keys`
    #[arg(long, value_name = "FILE")]
    keys_out: Option<PathBuf>,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    seed: u64,
    room_version: &'static str,
    room_id: String,
    events: usize,
    rejected: usize,
    fork_heads: Vec<String>,
}

/// Runs the command. The room goes to the output, the report about it elsewhere.
pub(crate) fn run(args: &GenerateArgs) -> Result<Made, Failure> {
    let config = GenerateConfig {
        version: args.room_version,
        servers: args.servers.max(1),
        users: args.users.max(1),
        events: args.events,
        forks: args.forks,
        recipes: args.attack.clone(),
        sealing: Sealing::Signed,
        ..GenerateConfig::default()
    };
    let room = generate(args.seed, &config);
    write_file(&args.output, &lines(&room))?;
    if let Some(path) = &args.keys_out {
        write_file(path, keys_line(&room).as_bytes())?;
    }
    Ok(Made {
        seed: args.seed,
        room_version: room.version.id(),
        room_id: room.room_id.clone(),
        events: room.events.len(),
        rejected: room.events.values().filter(|event| event.rejected).count(),
        fork_heads: room.fork_heads.clone(),
    })
}

fn lines(room: &Room) -> Vec<u8> {
    let mut lines = Vec::new();
    for pdu in room.events_in_order().filter_map(|event| event.pdu.as_ref()) {
        lines.extend_from_slice(pdu.as_bytes());
        lines.push(b'\n');
    }
    lines
}

fn keys_line(room: &Room) -> String {
    let keys = room.keys.iter().map(|(server, seed)| {
        let key = SigningKey::from_seed(seed);
        (server.clone(), json!({ "ed25519:1": key.verifying_key().to_base64() }))
    });
    format!("{}\n", Value::Object(keys.collect()))
}

fn room_version(id: &str) -> Result<&'static RoomVersion, String> {
    RoomVersion::find(id).ok_or_else(|| format!("the specification has no room version {id:?}"))
}

fn recipe(name: &str) -> Result<Recipe, String> {
    Recipe::find(name).ok_or_else(|| {
        let names: Vec<String> = Recipe::ALL.iter().map(|recipe| recipe.name()).collect();
        format!("there are: {}", names.join(", "))
    })
}

impl Report for Made {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "seed {}: room {}, version {}, {} events ({} rejected)",
            self.seed, self.room_id, self.room_version, self.events, self.rejected
        )?;
        writeln!(out, "forks end at {}", self.fork_heads.join(", "))
    }

    fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "room_id": self.room_id,
            "room_version": self.room_version,
            "events": self.events,
            "rejected": self.rejected,
            "fork_heads": self.fork_heads,
        })
    }
}
