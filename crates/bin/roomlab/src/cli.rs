//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::generate::GenerateArgs;
use crate::minimise::Predicate;

/// The researcher's bench for Matrix rooms: generate, verify, resolve, explain, compare, minimise and draw.
///
/// A room is a file of JSON Lines: one PDU in federation format on each line. The room version is read from the
/// create event, or from a first line {"room_version": "11"}. `-` is standard input.
#[derive(Debug, Parser)]
#[command(name = "roomlab", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, nothing wrong was found
  1  done, and something was found: an event that is not in order, a disagreement
  2  the command line is wrong
  3  the input is not a room, not keys, or not what the command needs
  4  a file could not be read or written
  5  a library stopped, for instance over its budget";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a room at random
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// Check format, hashes, ids, signatures and authorisation of every event
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Resolve the state at the end of the room, or after given events
    #[command(after_help = RESOLVE_EXAMPLES)]
    Resolve(ResolveArgs),
    /// Tell step by step why an event is or is not in the state
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Resolve every merge of a room with three implementations and compare
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Cut a room down to the smallest that still shows something
    #[command(after_help = MINIMISE_EXAMPLES)]
    Minimise(MinimiseArgs),
    /// Draw the event graph as a self-contained HTML page or SVG image
    #[command(after_help = DRAW_EXAMPLES)]
    Draw(DrawArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  roomlab completions bash > /etc/bash_completion.d/roomlab")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command
    #[command(
        after_help = "Examples:\n  roomlab man | man -l -\n  roomlab man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// Write roomlab.1 and one page for each command into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  roomlab generate --seed 7 > room.jsonl
  roomlab generate --room-version 12 --servers 4 --events 300 --forks 5 --keys-out keys.jsonl -o room.jsonl";

const VERIFY_EXAMPLES: &str = "\
Examples:
  roomlab verify room.jsonl --keys keys.jsonl
  roomlab verify --json room.jsonl | jq '.findings[] | select(.check == \"signature\")'

The key file holds, one JSON value on each line, answers to /_matrix/key/v2/server, answers of notaries, or
objects {\"example.org\": {\"ed25519:1\": \"<base64>\"}}. Without one, signatures are not checked.";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  roomlab resolve room.jsonl
  roomlab resolve room.jsonl --at '$one' --at '$two' --diff
  roomlab resolve room.jsonl --algorithm v2.1 --json";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  roomlab explain '$event' room.jsonl
  roomlab explain '$event' room.jsonl --algorithm v2";

const COMPARE_EXAMPLES: &str = "\
Examples:
  roomlab compare room.jsonl
  roomlab generate --seed 9 | roomlab compare --save cases -

Compared are this workspace's resolver, its naive transcription of the specification, and ruma-state-res (which has no v1).";

const MINIMISE_EXAMPLES: &str = "\
Examples:
  roomlab minimise room.jsonl --still disagreement > small.jsonl
  roomlab minimise room.jsonl --still 'loses=$event' -o small.jsonl
  roomlab minimise room.jsonl --still denied=4.3.3 --relink

Predicates:
  disagreement     the implementations of `compare` disagree
  wins=EVENT       the event is in the state at the end of the room
  loses=EVENT      the event takes part in a conflict and is not in the state at the end of the room
  denied=RULE      a rule (by its number in the room version, such as 4.3.3, or its name, such as JoinBanned)
                   denies some event, on receipt or where forks meet

Every event that is left keeps its parents and its auth events, so what is left is a room (unless --relink is given).";

const DRAW_EXAMPLES: &str = "\
Examples:
  roomlab draw room.jsonl -o room.html
  roomlab draw room.jsonl -o room.svg --lanes servers";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The room
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Keys of the servers; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The room
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Resolve the states after these events instead of those at the end of the room
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub(crate) at: Vec<String>,
    /// Print only the keys on which the forks disagree
    #[arg(long)]
    pub(crate) diff: bool,
    /// Use this algorithm instead of that of the room version, here and in the whole history
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The event id
    pub(crate) event: String,
    /// The room
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Use this algorithm instead of that of the room version, here and in the whole history
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The rooms
    #[arg(default_value = "-")]
    pub(crate) files: Vec<PathBuf>,
    /// Where to save rooms on which the implementations disagree
    #[arg(long, value_name = "DIR", default_value = "disagreements")]
    pub(crate) save: PathBuf,
    /// Use this algorithm instead of that of the room version, here and in the whole history
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
pub(crate) struct MinimiseArgs {
    /// The room
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// What the smaller room must still show, see below
    #[arg(long, value_name = "PREDICATE")]
    pub(crate) still: Predicate,
    /// Where to write the smaller room
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Take events out of the middle too: what came after them comes after their parents then.
    /// Event ids change, and signatures no longer hold
    #[arg(long)]
    pub(crate) relink: bool,
    /// Use this algorithm instead of that of the room version, here and in the whole history
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) algorithm: Option<Algorithm>,
}

#[derive(Debug, Args)]
pub(crate) struct DrawArgs {
    /// The room
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Where to write the drawing
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// What to draw; by default what the name of the output says, or else HTML
    #[arg(long)]
    pub(crate) format: Option<DrawFormat>,
    /// What has a lane of its own
    #[arg(long, default_value = "forks")]
    pub(crate) lanes: Lanes,
    /// Use this algorithm instead of that of the room version
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) algorithm: Option<Algorithm>,
}

/// A state resolution algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// Of room version 1
    V1,
    /// Of room versions 2 to 11
    V2,
    /// Of room version 12 (MSC4297)
    #[value(name = "v2.1")]
    V2_1,
}

/// What `draw` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawFormat {
    /// A page with search, filters and a panel for the event
    Html,
    /// An image; hovering shows the event
    Svg,
}

/// What has a lane of its own in a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lanes {
    /// Each fork
    Forks,
    /// Each server
    Servers,
}
