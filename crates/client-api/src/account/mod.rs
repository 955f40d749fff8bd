//! Accounts: registration, login, sessions, devices, profiles, account data.

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
}
