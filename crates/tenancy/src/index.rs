//! Which tenants there are, in memory: found by server name and by host without reading the store.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use freehold_store::tables::tenancy::{Control, TenantRow, TenantState};
use freehold_store::{Tenant, TenantNumber};
use hashbrown::HashTable;
use ruma_common::ServerName;

use crate::federation::Federation;
use crate::hostname::Hostname;
use crate::policy::{Policy, Retention};

/// What is known of a tenant without reading the store.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) tenant: Tenant,
    pub(crate) state: TenantState,
    pub(crate) control: Control,
    /// The first is the one that is published.
    pub(crate) hostnames: Box<[Box<str>]>,
    /// Whether a policy of its own lies in the store.
    pub(crate) has_policy: bool,
    /// Whether it does not keep everything for ever.
    pub(crate) forgets: bool,
    /// With which servers it speaks, if not with all: asked for other tenants' requests, too.
    pub(crate) federation: Option<Arc<Federation>>,
    /// When control of the domain was last looked at, in minutes since the Unix epoch.
    pub(crate) checked_minute: u32,
}

impl Entry {
    pub(crate) fn new(number: TenantNumber, row: &TenantRow) -> Self {
        Entry {
            tenant: Tenant::new(number, row.server_name.clone()),
            state: row.state,
            control: row.control,
            hostnames: row.hostnames.iter().map(|name| name.as_str().into()).collect(),
            has_policy: false,
            forgets: false,
            federation: None,
            checked_minute: 0,
        }
    }

    /// All hosts that lead to the tenant: its hostnames, and its own domain when it has no port.
    fn hosts(&self) -> impl Iterator<Item = &str> {
        let name = self.tenant.server_name();
        let own = name.port().is_none().then(|| name.host());
        let listed = self.hostnames.iter().map(|host| &**host);
        listed.chain(own.filter(|own| !self.hostnames.iter().any(|host| **host == **own)))
    }
}

/// The hosts of a tenant, as they are kept unique in the store.
pub(crate) fn hosts_of(row: &TenantRow) -> Vec<String> {
    Entry::new(TenantNumber(0), row).hosts().map(str::to_owned).collect()
}

/// The tenants. Two tables of four and eight bytes for each entry point into one list; no name is held twice.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The tenant of number `n` is entry `n - 1`: numbers begin at 1 and have no gaps.
    entries: Vec<Entry>,
    by_server_name: HashTable<u32>,
    /// Entry, and which of its hosts.
    by_host: HashTable<(u32, u32)>,
    hasher: RandomState,
}

impl Index {
    /// Sets what is known of a tenant: the next one, or one that is there. `false` if there would be a gap.
    #[must_use]
    pub(crate) fn set(&mut self, entry: Entry) -> bool {
        let Some(at) = entry.tenant.number().0.checked_sub(1) else { return false };
        match self.entries.get(at as usize) {
            Some(_) => self.replace(at, entry),
            None if self.entries.len() == at as usize => {
                self.entries.push(entry);
                self.insert_name(at);
                self.insert_hosts(at);
                true
            }
            None => false,
        }
    }

    pub(crate) fn set_policy(&mut self, number: TenantNumber, policy: &Policy) {
        if let Some(entry) = self.get_mut(number) {
            entry.has_policy = true;
            entry.forgets = policy.retention != Retention::default();
            entry.federation = policy.limited_federation().map(Arc::new);
        }
    }

    pub(crate) fn set_checked(&mut self, number: TenantNumber, minute: u32) {
        if let Some(entry) = self.get_mut(number) {
            entry.checked_minute = minute;
        }
    }

    fn get_mut(&mut self, number: TenantNumber) -> Option<&mut Entry> {
        self.entries.get_mut(number.0.checked_sub(1)? as usize)
    }

    pub(crate) fn get(&self, number: TenantNumber) -> Option<&Entry> {
        self.entries.get(number.0.checked_sub(1)? as usize)
    }

    pub(crate) fn by_server_name(&self, name: &str) -> Option<&Entry> {
        let hash = self.hasher.hash_one(name);
        let at = self.by_server_name.find(hash, |at| self.name(*at) == Some(name))?;
        self.entries.get(*at as usize)
    }

    /// The tenant of a `Host` header or SNI name: a server name with its port, or a hostname whatever the port.
    pub(crate) fn by_host(&self, host: &str) -> Option<&Entry> {
        if let Some(entry) =
            self.by_server_name(host).filter(|entry| entry.tenant.server_name().port().is_some())
        {
            return Some(entry);
        }
        let hostname = Hostname::parse(host).ok()?;
        self.by_hostname(hostname.as_str())
    }

    pub(crate) fn by_hostname(&self, hostname: &str) -> Option<&Entry> {
        let hash = self.hasher.hash_one(hostname);
        let (at, _) = self.by_host.find(hash, |place| self.host(*place) == Some(hostname))?;
        self.entries.get(*at as usize)
    }

    /// The entries after `number`, in the order of numbers.
    pub(crate) fn after(&self, number: TenantNumber) -> impl Iterator<Item = &Entry> {
        self.entries.iter().skip(number.0 as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn replace(&mut self, at: u32, entry: Entry) -> bool {
        let same_name = self.name(at) == Some(entry.tenant.server_name().as_str());
        if !same_name {
            return false;
        }
        self.by_host.retain(|(entry, _)| *entry != at);
        if let Some(place) = self.entries.get_mut(at as usize) {
            *place = entry;
        }
        self.insert_hosts(at);
        true
    }

    fn insert_name(&mut self, at: u32) {
        let Index { entries, by_server_name, hasher, .. } = self;
        let hash_of = |at: &u32| {
            entries.get(*at as usize).map_or(0, |entry| hasher.hash_one(entry.tenant.server_name().as_str()))
        };
        by_server_name.insert_unique(hash_of(&at), at, hash_of);
    }

    fn insert_hosts(&mut self, at: u32) {
        let Index { entries, by_host, hasher, .. } = self;
        let hash_of = |(at, which): &(u32, u32)| {
            host_of(entries, (*at, *which)).map_or(0, |host| hasher.hash_one(host))
        };
        let hosts = entries.get(at as usize).map_or(0, |entry| entry.hosts().count());
        for which in (0..).take(hosts) {
            by_host.insert_unique(hash_of(&(at, which)), (at, which), hash_of);
        }
    }

    fn name(&self, at: u32) -> Option<&str> {
        self.entries.get(at as usize).map(|entry| entry.tenant.server_name()).map(ServerName::as_str)
    }

    fn host(&self, place: (u32, u32)) -> Option<&str> {
        host_of(&self.entries, place)
    }
}

fn host_of(entries: &[Entry], (at, which): (u32, u32)) -> Option<&str> {
    entries.get(at as usize)?.hosts().nth(which as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server_name: &str, hostnames: &[&str]) -> TenantRow {
        TenantRow {
            server_name: ServerName::parse(server_name).unwrap(),
            hostnames: hostnames.iter().map(|name| (*name).to_owned()).collect(),
            state: TenantState::Active,
            since_ts: 0,
            created_ts: 0,
            control: Control::Vouched,
            challenge: String::new(),
            owner: None,
        }
    }

    fn index(rows: &[TenantRow]) -> Index {
        let mut index = Index::default();
        for (number, row) in (1..).zip(rows) {
            assert!(index.set(Entry::new(TenantNumber(number), row)));
        }
        index
    }

    #[test]
    fn a_tenant_is_found_by_its_hostnames_its_domain_and_its_name_with_port() {
        let index = index(&[
            row("example.org", &["example-org.m.example.net", "matrix.example.org"]),
            row("example.org:8448", &["other.m.example.net"]),
            row("[::1]:8008", &["[::1]"]),
        ]);
        let number = |host: &str| index.by_host(host).map(|entry| entry.tenant.number().0);
        for (host, expected) in [
            ("example.org", Some(1)),
            ("EXAMPLE.org:443", Some(1)),
            ("matrix.example.org", Some(1)),
            ("example-org.m.example.net:8448", Some(1)),
            ("example.org:8448", Some(2)),
            ("other.m.example.net", Some(2)),
            ("[::1]:9", Some(3)),
            ("m.example.net", None),
            ("", None),
        ] {
            assert_eq!(number(host), expected, "{host}");
        }
        assert_eq!(index.by_server_name("example.org:8448").map(|entry| entry.tenant.number().0), Some(2));
        assert!(index.by_server_name("matrix.example.org").is_none());
    }

    #[test]
    fn hostnames_change_and_names_do_not() {
        let mut index =
            index(&[row("example.org", &["a.example.net"]), row("example.com", &["b.example.net"])]);
        assert!(index.set(Entry::new(TenantNumber(1), &row("example.org", &["c.example.net"]))));
        assert!(index.by_host("a.example.net").is_none());
        assert_eq!(index.by_host("c.example.net").map(|entry| entry.tenant.number().0), Some(1));
        assert!(!index.set(Entry::new(TenantNumber(1), &row("example.net", &[]))));
        assert!(!index.set(Entry::new(TenantNumber(4), &row("example.net", &[]))));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn every_one_of_many_tenants_is_found() {
        let rows: Vec<TenantRow> =
            (0..2000).map(|n| row(&format!("t{n}.example.org"), &[&format!("t{n}.example.net")])).collect();
        let index = index(&rows);
        for row in &rows {
            let name = row.server_name.as_str();
            assert_eq!(index.by_server_name(name).unwrap().tenant.server_name().as_str(), name);
            assert_eq!(index.by_host(&row.hostnames[0]).unwrap().tenant.server_name().as_str(), name);
            assert_eq!(index.by_host(name).unwrap().tenant.server_name().as_str(), name);
        }
    }
}
