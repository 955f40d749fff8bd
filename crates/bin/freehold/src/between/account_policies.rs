//! What tenants have settled, as accounts ask for it.

use std::sync::Arc;

use freehold_accounts::{
    AccountPolicy, AdministrativeAct, Doer, Policies, Registration, ServerFailure, TermsDocument, Translation,
};
use freehold_store::{Batch, BoxFuture, Tenant};
use freehold_tenancy::{Act, By, Policy, RegistrationMode, Tenancy};
use ruma_common::ServerName;
use serde_json::json;

/// The policies of tenants, for accounts.
pub(crate) struct AccountPolicies(pub(crate) Tenancy);

impl Policies for AccountPolicies {
    fn policy<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Result<Arc<AccountPolicy>, ServerFailure>> {
        Box::pin(async move {
            let policy = self.0.policy(tenant).await;
            policy
                .map(|policy| Arc::new(account_policy(&policy)))
                .map_err(|error| ServerFailure::Policy(error.to_string()))
        })
    }

    fn reaches<'a>(
        &'a self,
        asker: &'a Tenant,
        server_name: &'a ServerName,
    ) -> BoxFuture<'a, Result<bool, ServerFailure>> {
        Box::pin(std::future::ready(Ok(self.0.reach(asker, server_name).is_some())))
    }

    fn record(&self, batch: &mut Batch, tenant: &Tenant, act: &AdministrativeAct<'_>) {
        let by = match act.by {
            Doer::Operator => By::Operator,
            Doer::User(user_id) => By::User(user_id.to_owned()),
            Doer::Tool => By::Tool,
        };
        let act = Act {
            by: &by,
            name: act.name,
            details: act.user_id.map_or_else(|| json!({}), |user_id| json!({ "user_id": user_id })),
        };
        self.0.record(batch, Some(tenant.number()), &act);
    }
}

fn account_policy(policy: &Policy) -> AccountPolicy {
    AccountPolicy {
        registration: match policy.registration.mode {
            RegistrationMode::Closed => Registration::Closed,
            RegistrationMode::Tokens => Registration::Token,
            RegistrationMode::Invitation => Registration::Invitation,
            RegistrationMode::Open => Registration::Open,
        },
        terms: policy.terms.iter().map(|(name, document)| terms_document(name, document)).collect(),
        users_max: policy.quotas.users,
        shared_secret: policy.registration.shared_secret.clone(),
        admins: policy.admins.clone(),
        ..AccountPolicy::default()
    }
}

fn terms_document(name: &str, document: &freehold_tenancy::Document) -> TermsDocument {
    let translations = document.languages.iter().map(|(language, translation)| {
        let (name, url) = (translation.name.clone(), translation.url.clone());
        (language.clone(), Translation { name, url })
    });
    TermsDocument {
        name: name.to_owned(),
        version: document.version.clone(),
        required: document.required,
        translations: translations.collect(),
    }
}
