//! A server that is killed while people use it: nothing acknowledged is lost, nothing half-written is seen, and what was under way
//! can be asked for again.
//!
//! Without arguments it is killed a few times. `cargo xtask crash --server --times 200` does more of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that is a program of its own"
)]

mod client;
mod people;
mod rounds;
mod running;

/// How often the server is killed if nobody says otherwise.
const TIMES: u64 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    if has("--list") {
        // How nextest asks what there is to run.
        if !has("--ignored") {
            println!("a_killed_server_loses_nothing_it_acknowledged: test");
        }
        return;
    }
    rounds::kill_many_times(after("--times").map_or(TIMES, |times| times.parse().unwrap()));
}
