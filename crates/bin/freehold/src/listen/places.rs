//! How many connections a listener holds open, in all and from where.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// The places of a listener. A clone has the same.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_address_max: usize,
    /// Whose connections are those of many others.
    proxies: Arc<[IpNet]>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of a connection, until this is dropped.
pub(super) struct Place {
    places: Places,
    from: Option<IpAddr>,
    _one: OwnedSemaphorePermit,
}

impl Places {
    /// As many as the configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        let proxies = config.trusted_proxies.iter().map(|network| network.0).collect();
        Places {
            all: Arc::new(Semaphore::new(config.limits.connections.get().min(Semaphore::MAX_PERMITS))),
            of_address_max: config.limits.connections_of_address.get(),
            proxies,
            held: Arc::default(),
        }
    }

    /// Waits until there is one more place for a connection from anywhere.
    pub(super) async fn one(&self) -> OwnedSemaphorePermit {
        loop {
            // It is never closed.
            if let Ok(one) = self.all.clone().acquire_owned().await {
                return one;
            }
        }
    }

    /// Gives the place to a connection from an address; `None` if there are too many from there. Connections from this machine, over
    /// a unix socket and of trusted proxies are not counted.
    pub(super) fn give(&self, one: OwnedSemaphorePermit, address: Option<IpAddr>) -> Option<Place> {
        let is_proxy = |address: &IpAddr| {
            address.is_loopback() || self.proxies.iter().any(|network| network.contains(address))
        };
        let from = address.filter(|address| !is_proxy(address)).map(network);
        if let Some(from) = from {
            let mut held = self.lock();
            let count = held.entry(from).or_default();
            if *count >= self.of_address_max {
                return None;
            }
            *count += 1;
        }
        Some(Place { places: self.clone(), from, _one: one })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(from) = self.from else { return };
        let mut held = self.places.lock();
        match held.get_mut(&from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&from)),
        }
    }
}

/// One host has as many IPv6 addresses as it likes within its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn places(settings: &str) -> Places {
        let config = crate::config::parse(settings, std::path::Path::new("test")).unwrap();
        Places::new(&config)
    }

    fn from(places: &Places, address: &str) -> Option<Place> {
        places.give(places.one().now_or_never()?, address.parse().ok())
    }

    #[test]
    fn an_address_has_some_places_and_proxies_have_any() {
        let places = places(
            "trusted_proxies = [\"192.0.2.0/24\"]\n[limits]\nconnections = 20\nconnections_of_address = 2\n",
        );
        let strangers: Vec<_> = (0..2).map(|_| from(&places, "203.0.113.1").unwrap()).collect();
        assert!(from(&places, "203.0.113.1").is_none());
        let neighbours =
            [from(&places, "203.0.113.2"), from(&places, "2001:db8::1"), from(&places, "2001:db8::2")];
        assert!(neighbours.iter().all(Option::is_some));
        assert!(from(&places, "2001:db8::3").is_none(), "they are of one network");
        let proxied: Vec<_> = (0..5).filter_map(|_| from(&places, "192.0.2.1")).collect();
        let local: Vec<_> = (0..5).filter_map(|_| from(&places, "127.0.0.1")).collect();
        let unix: Vec<_> = (0..5).filter_map(|_| from(&places, "no address")).collect();
        assert_eq!([proxied.len(), local.len(), unix.len()], [5; 3]);
        drop(strangers);
        assert!(from(&places, "203.0.113.1").is_some());
        drop((neighbours, proxied, local, unix));
        assert!(places.lock().is_empty());
        assert_eq!(places.all.available_permits(), 20);
    }

    #[test]
    fn when_all_places_are_taken_the_next_connection_waits() {
        let places = places("[limits]\nconnections = 2\n");
        let held = [from(&places, "203.0.113.1"), from(&places, "203.0.113.2")];
        assert!(places.one().now_or_never().is_none());
        drop(held);
        assert!(places.one().now_or_never().is_some());
    }
}
