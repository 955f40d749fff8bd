//! The provider's own domain.

use freehold_tenancy::BaseDomain;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The provider's own domain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProviderDomain(pub(crate) BaseDomain);

impl<'de> Deserialize<'de> for ProviderDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            |_| D::Error::custom(format!("`{text}` is not a domain: expected a name as m.example.net"));
        BaseDomain::parse(&text).map(ProviderDomain).map_err(wrong)
    }
}
