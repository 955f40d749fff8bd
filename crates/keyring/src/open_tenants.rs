//! The tenants whose keys lie open in memory: a bounded number, the least recently used leave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use freehold_signing::{SigningKey, VerifyingKey};
use ruma_common::{OwnedServerName, ServerName};

use crate::{
    key_document::KeyDocument,
    master_key::MasterKeys,
    seal::{self, OpenError, Owner},
    tenant_keys::{RecordError, TenantKeys},
};

/// A tenant in use: its record, and the keys that have been needed since it was loaded.
pub(crate) struct OpenTenant {
    pub(crate) record: TenantKeys,
    /// One place per key of the record, filled on first use.
    keys: Vec<OnceLock<Arc<SigningKey>>>,
    /// The same of the public halves that were looked up.
    public: Vec<OnceLock<Box<VerifyingKey>>>,
    document: Mutex<Option<Arc<KeyDocument>>>,
}

impl OpenTenant {
    pub(crate) fn new(record: TenantKeys) -> Self {
        let keys = record.keys.iter().map(|_| OnceLock::new()).collect();
        let public = record.keys.iter().map(|_| OnceLock::new()).collect();
        Self { record, keys, public, document: Mutex::new(None) }
    }

    /// The public half of the key at a position of the record, decompressed on first use.
    pub(crate) fn verifying_key(&self, index: usize) -> Result<Option<&VerifyingKey>, RecordError> {
        let (Some(place), Some(key)) = (self.public.get(index), self.record.keys.get(index)) else {
            return Ok(None);
        };
        if let Some(open) = place.get() {
            return Ok(Some(open));
        }
        let opened = Box::new(key.verifying_key()?);
        Ok(Some(place.get_or_init(|| opened)))
    }

    /// The key at a position of the record, unsealed on first use. `None` when it has no secret.
    pub(crate) fn signing_key(
        &self,
        index: usize,
        masters: &MasterKeys,
    ) -> Result<Option<Arc<SigningKey>>, OpenError> {
        let (Some(place), Some(key)) = (self.keys.get(index), self.record.keys.get(index)) else {
            return Ok(None);
        };
        if let Some(open) = place.get() {
            return Ok(Some(open.clone()));
        }
        let Some(sealed) = &key.sealed else { return Ok(None) };
        let owner = Owner { tenant: &self.record.tenant, key_id: &key.key_id, key: &key.key };
        let opened = Arc::new(seal::open(sealed, owner, masters)?);
        Ok(Some(place.get_or_init(|| opened).clone()))
    }

    pub(crate) fn document(&self) -> MutexGuard<'_, Option<Arc<KeyDocument>>> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A map with a bound on its size that forgets what was used longest ago.
pub(crate) struct OpenTenants {
    capacity: usize,
    clock: u64,
    /// Grows with every change to a record, so that a record read before a change is not kept.
    changes: u64,
    by_name: BTreeMap<OwnedServerName, (u64, Arc<OpenTenant>)>,
    by_use: BTreeMap<u64, OwnedServerName>,
}

impl OpenTenants {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, changes: 0, by_name: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn get(&mut self, tenant: &ServerName) -> Option<Arc<OpenTenant>> {
        let (used, open) = self.by_name.get_mut(tenant)?;
        self.clock += 1;
        let name = self.by_use.remove(used)?;
        *used = self.clock;
        self.by_use.insert(self.clock, name);
        Some(open.clone())
    }

    /// Keeps a tenant read when `changes` was the count, unless a record has changed since.
    pub(crate) fn insert(&mut self, open: Arc<OpenTenant>, changes: u64) {
        if changes != self.changes || self.capacity == 0 {
            return;
        }
        let tenant = open.record.tenant.clone();
        self.remove(&tenant);
        while self.by_name.len() >= self.capacity
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_name.remove(&oldest);
        }
        self.clock += 1;
        self.by_use.insert(self.clock, tenant.clone());
        self.by_name.insert(tenant, (self.clock, open));
    }

    /// Forgets a tenant whose record has changed.
    pub(crate) fn changed(&mut self, tenant: &ServerName) {
        self.changes += 1;
        self.remove(tenant);
    }

    pub(crate) fn remove(&mut self, tenant: &ServerName) {
        if let Some((used, _)) = self.by_name.remove(tenant) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str) -> Arc<OpenTenant> {
        Arc::new(OpenTenant::new(TenantKeys::new(&ServerName::parse(name).unwrap())))
    }

    fn holds(tenants: &OpenTenants, name: &str) -> bool {
        tenants.by_name.contains_key(<&ServerName>::try_from(name).unwrap())
    }

    #[test]
    fn the_tenant_used_longest_ago_leaves_first() {
        let mut tenants = OpenTenants::new(2);
        tenants.insert(open("a"), 0);
        tenants.insert(open("b"), 0);
        assert!(tenants.get(<&ServerName>::try_from("a").unwrap()).is_some());
        tenants.insert(open("c"), 0);
        assert!(holds(&tenants, "a") && holds(&tenants, "c") && !holds(&tenants, "b"));
        assert_eq!((tenants.by_name.len(), tenants.by_use.len()), (2, 2));
    }

    #[test]
    fn a_record_read_before_a_change_is_not_kept() {
        let mut tenants = OpenTenants::new(2);
        let before = tenants.changes();
        tenants.changed(<&ServerName>::try_from("a").unwrap());
        tenants.insert(open("a"), before);
        assert_eq!(tenants.len(), 0);
    }
}
