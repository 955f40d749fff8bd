//! What tenants have settled, as accounts ask for it.

use std::sync::Arc;

use freehold_accounts::{
    AccountPolicy, AdministrativeAct, Policies, Registration, ServerFailure, TermsDocument, Translation,
};
use freehold_store::{Batch, BoxFuture, Tenant};
use freehold_tenancy::{Act, By, Policy, RegistrationMode, Tenancy, TenantState};
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
        Box::pin(async move {
            if server_name == asker.server_name() {
                return Ok(true);
            }
            let Some(found) = self.0.by_server_name(server_name) else { return Ok(false) };
            Ok(found.state == TenantState::Active
                && self.speaks_with(asker, server_name).await?
                && self.speaks_with(&found.tenant, asker.server_name()).await?)
        })
    }

    fn record(&self, batch: &mut Batch, tenant: &Tenant, act: &AdministrativeAct<'_>) {
        let by = By::User(act.by.to_owned());
        let act = Act { by: &by, name: act.name, details: json!({ "user_id": act.user_id }) };
        self.0.record(batch, Some(tenant.number()), &act);
    }
}

impl AccountPolicies {
    async fn speaks_with(&self, tenant: &Tenant, server_name: &ServerName) -> Result<bool, ServerFailure> {
        let policy = self.0.policy(tenant).await;
        let policy = policy.map_err(|error| ServerFailure::Policy(error.to_string()))?;
        Ok(policy.federation.allows(server_name) && !policy.features_off.contains("federation"))
    }
}

fn account_policy(policy: &Policy) -> AccountPolicy {
    AccountPolicy {
        registration: match policy.registration.mode {
            RegistrationMode::Closed => Registration::Closed,
            RegistrationMode::Tokens | RegistrationMode::Invitation => Registration::Token,
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
        translations: translations.collect(),
    }
}
