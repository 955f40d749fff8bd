//! How many files and connections the system lets the process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files of the store, and connections to other servers.
const BESIDE_CONNECTIONS: u64 = 512;

/// Asks the system for as many as it allows: a shell passes on a soft limit of mostly 1,024, and whoever opens as many connections keeps
/// the store from its files. Warns when they are fewer than listeners may hold connections.
pub(crate) fn allow(config: &Config) {
    let wanted = wanted(config);
    if let Some(allowed) = raised().filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            allowed,
            wanted,
            "the system allows fewer open files than `limits.connections` takes: raise LimitNOFILE, or lower it"
        );
    }
}

fn wanted(config: &Config) -> u64 {
    let of_each = u64::try_from(config.limits.connections.get()).unwrap_or(u64::MAX);
    let listeners = u64::try_from(config.listener.len()).unwrap_or(u64::MAX);
    of_each.saturating_mul(listeners).saturating_add(BESIDE_CONNECTIONS)
}

/// Raises the soft limit to the hard one. Gives what it is then; `None` when there is none.
fn raised() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        // Some systems have a bound of their own below the hard limit.
        Err(_) => before.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_may_be_open_as_the_system_lets_us_ask_for() {
        let allowed = raised();
        assert_eq!(allowed, getrlimit(Resource::Nofile).current);
        assert!(allowed.is_none() || allowed >= getrlimit(Resource::Nofile).maximum);
    }

    #[test]
    fn what_is_wanted_grows_with_the_listeners() {
        let mut config = Config::default();
        let none = wanted(&config);
        config.listener.push(Default::default());
        assert_eq!(wanted(&config) - none, config.limits.connections.get() as u64);
    }
}
