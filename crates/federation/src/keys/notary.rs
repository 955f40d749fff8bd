//! Telling others the keys of third parties.

use freehold_keyring::{NotaryQuery, Purpose, notary_answer};
use freehold_rooms::SigningError;
use freehold_signing::MalformedSignatures;
use freehold_store::Tenant;
use thiserror::Error;

use super::driver::RemoteKeyring;

/// What our own tenants publish.
pub trait OwnDocuments: Send + Sync {
    /// The key document of a tenant, signed, as it is published at `now_ts` (milliseconds since the Unix epoch).
    fn key_document(&self, tenant: &Tenant, now_ts: i64) -> Option<Vec<u8>>;
}

impl RemoteKeyring {
    /// The answer of a tenant to a query for the keys of others
    /// (<https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server>): a JSON document with
    /// `server_keys`, each signed by its server and by the tenant.
    ///
    /// Everybody is answered. Servers that cannot be reached are left out, or told of as they were last known. Tenants of
    /// this process are answered for like others.
    ///
    /// # Errors
    /// [`NotaryError`].
    pub async fn notary(&self, tenant: &Tenant, query: &NotaryQuery) -> Result<Vec<u8>, NotaryError> {
        let _place = self.0.queries.try_acquire().ok_or(NotaryError::Busy)?;
        let now_ts = self.0.clock.now_ts();
        let mut documents = Vec::new();
        let mut others = Vec::new();
        for server in query.servers() {
            match self.0.identities.tenant(server) {
                Some(own) => documents.extend(self.0.documents.key_document(&own, now_ts)),
                None => others.push(server),
            }
        }
        let waits = {
            let mut machine = self.lock();
            let waits = machine.keys.need_documents(&query.about(&others), now_ts);
            waits.into_iter().map(|id| machine.wait(id)).collect()
        };
        self.wait_for(waits).await;
        {
            let machine = self.lock();
            documents
                .extend(others.iter().filter_map(|server| Some(machine.keys.document(server)?.to_vec())));
        }
        let Some(first) = query.servers().next() else {
            return Ok(b"{\"server_keys\":[]}".to_vec());
        };
        // The purpose names one server for the record; the signature is the same for all.
        let purpose = Purpose::Notary { server: first };
        let signer = self.0.identities.signer(tenant, purpose, now_ts)?;
        Ok(notary_answer(documents.iter().map(Vec::as_slice), &&*signer)?)
    }
}

/// Why a notary query is not answered.
#[derive(Debug, Error)]
pub enum NotaryError {
    /// As many queries as may be are being answered: ask again later.
    #[error("too many queries for keys are being answered")]
    Busy,
    /// Nothing can be signed for the tenant.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A document that is kept cannot be signed: it was damaged.
    #[error("a document is damaged: {0:?}")]
    Damaged(MalformedSignatures),
}

impl From<MalformedSignatures> for NotaryError {
    fn from(error: MalformedSignatures) -> Self {
        NotaryError::Damaged(error)
    }
}
