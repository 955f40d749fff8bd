//! Consent to documents after an account was made: to new versions of them, and to those that came later.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_store::tables::accounts::{ACCEPTED_TERMS, AcceptedTermsRow};
use freehold_store::{Actor, Batch, UserNumber};
use sha2::{Digest, Sha256};

use crate::accounts::Accounts;
use crate::failure::ServerFailure;
use crate::interactive::{Purpose, Stage};
use crate::policies::TermsDocument;

impl Accounts {
    /// Where a user accepts what the tenant wants to be accepted before people go on: the session of user-interactive
    /// authentication of which `m.login.terms` is the one stage. `None` when there is nothing to accept.
    ///
    /// As long as the documents stay the same, so does the session, until this process ends.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub async fn consent_session(&self, actor: &Actor) -> Result<Option<String>, ServerFailure> {
        let missing = self.not_accepted(actor).await?;
        if missing.is_empty() {
            return Ok(None);
        }
        let session = self.session_about(actor, &missing)?;
        let flows = vec![vec![Stage::Terms]];
        self.0.interactions.ensure(&session, (Purpose::consent(actor), flows, missing), self.now_ts());
        Ok(Some(session))
    }

    /// The documents that must be accepted and were not, in the version that they have now.
    async fn not_accepted(&self, actor: &Actor) -> Result<Vec<TermsDocument>, ServerFailure> {
        let policy = self.policy(&actor.tenant).await?;
        let wanted: Vec<&TermsDocument> = policy.terms.iter().filter(|document| document.required).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<(UserNumber, String)> =
            wanted.iter().map(|document| (actor.user, document.name.clone())).collect();
        let accepted = self.store().snapshot()?.get_many(&ACCEPTED_TERMS, &keys).await?;
        let lacks = |document: &TermsDocument, row: Option<AcceptedTermsRow>| {
            row.is_none_or(|row| row.version != document.version)
        };
        let wanted = wanted.into_iter().zip(accepted).filter(|(document, row)| lacks(document, row.clone()));
        Ok(wanted.map(|(document, _)| document.clone()).collect())
    }

    /// A name that nobody guesses, and that is the same for the same documents.
    fn session_about(&self, actor: &Actor, documents: &[TermsDocument]) -> Result<String, ServerFailure> {
        let mut hash = Sha256::new();
        hash.update(self.0.interactions.secret()?);
        hash.update(actor.user.0.to_be_bytes());
        for text in documents.iter().flat_map(|document| [&document.name, &document.version]) {
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        }
        Ok(BASE64_URL_SAFE_NO_PAD.encode(hash.finalize()))
    }

    /// Writes down that a user accepted documents.
    pub(crate) async fn accept_terms(
        &self,
        user: UserNumber,
        documents: &[TermsDocument],
    ) -> Result<(), ServerFailure> {
        let mut batch = Batch::new();
        for document in documents {
            let row = AcceptedTermsRow { version: document.version.clone(), ts: self.now_ts() };
            batch.put(&ACCEPTED_TERMS, &(user, document.name.clone()), &row);
        }
        self.store().commit(batch).await?;
        Ok(())
    }
}
