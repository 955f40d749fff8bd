//! Who is hosted by a process, and the keys of everybody.

use freehold_canonical_json::{Object, Value};
use freehold_federation::{OwnDocuments, TenantsByNumber};
use freehold_federation_api::{Tenants, Unserved};
use freehold_keyring::Purpose;
use freehold_rooms::{Identities, SigningError};
use freehold_signing::{KeyId, KeyValidity, ServerSigner, Signer, SigningKey, VerifyingKey, sign_json};
use freehold_store::{BoxFuture, Tenant, TenantNumber};
use freehold_testkit::Rng;
use ruma_common::ServerName;

/// The tenants of a process.
#[derive(Clone)]
pub(crate) struct Hosted {
    tenants: Vec<Tenant>,
}

/// For how long a key document is valid, in milliseconds.
const VALID_MS: i64 = 24 * 60 * 60 * 1000;

impl Hosted {
    /// Tenants with these names.
    pub(crate) fn new(names: &[String]) -> Self {
        let tenants = (1..).zip(names).map(|(number, name)| {
            Tenant::new(TenantNumber(number), ServerName::parse(name.as_str()).unwrap())
        });
        Hosted { tenants: tenants.collect() }
    }

    /// The tenants.
    pub(crate) fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// The tenant with a host name.
    pub(crate) fn find(&self, name: &str) -> Option<Tenant> {
        self.tenants.iter().find(|tenant| *tenant.server_name() == *name).cloned()
    }

    fn document(tenant: &Tenant, now_ts: i64) -> Vec<u8> {
        let signer = signer(tenant.server_name());
        let key = signer.verifying_key().to_base64();
        let mut keys = Object::new();
        keys.insert(key_id().as_str().to_owned(), Object::from_iter([("key", Value::from(key))]));
        let mut document = Object::new();
        document.insert("server_name", Value::from(tenant.server_name().to_string()));
        document.insert("valid_until_ts", Value::from(now_ts + VALID_MS));
        document.insert("verify_keys", keys);
        document.insert("old_verify_keys", Object::new());
        sign_json(&mut document, &signer).unwrap();
        document.to_canonical_vec()
    }
}

fn key_id() -> KeyId {
    KeyId::ed25519("sim").unwrap()
}

/// With what a server signs: a key that hangs on its name alone.
pub(crate) fn signer(server: &ServerName) -> ServerSigner {
    let seed = Rng::new(4).fork(server.as_str()).bytes32();
    ServerSigner::new(server.to_owned(), key_id(), SigningKey::from_seed(&seed))
}

impl Identities for Hosted {
    fn tenant(&self, server_name: &ServerName) -> Option<Tenant> {
        self.find(server_name.as_str())
    }

    fn signer(
        &self,
        tenant: &Tenant,
        _: Purpose<'_>,
        _: i64,
    ) -> Result<Box<dyn Signer + Send + Sync>, SigningError> {
        Ok(Box::new(signer(tenant.server_name())))
    }

    fn published_key(
        &self,
        tenant: &Tenant,
        key: &KeyId,
        now_ts: i64,
    ) -> Option<(VerifyingKey, KeyValidity)> {
        let validity = KeyValidity::Current { valid_until_ts: now_ts + VALID_MS };
        (*key == key_id()).then(|| (signer(tenant.server_name()).verifying_key().clone(), validity))
    }
}

impl OwnDocuments for Hosted {
    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Option<Vec<u8>> {
        Some(Hosted::document(tenant, now_ts))
    }
}

impl TenantsByNumber for Hosted {
    fn tenant(&self, number: TenantNumber) -> Option<Tenant> {
        self.tenants.iter().find(|tenant| tenant.number() == number).cloned()
    }
}

impl Tenants for Hosted {
    fn speaks_with(&self, _: &Tenant, _: &ServerName) -> bool {
        true
    }

    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Result<Vec<u8>, Unserved> {
        Ok(Hosted::document(tenant, now_ts))
    }
}

impl freehold_media::Policies for Hosted {
    fn policy<'a>(&'a self, _: &'a Tenant) -> BoxFuture<'a, freehold_media::MediaPolicy> {
        Box::pin(std::future::ready(freehold_media::MediaPolicy::default()))
    }

    fn reach<'a>(&'a self, _: &'a Tenant, server_name: &'a ServerName) -> BoxFuture<'a, Option<Tenant>> {
        Box::pin(std::future::ready(self.find(server_name.as_str())))
    }
}
