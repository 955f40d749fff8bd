//! End-to-end encryption: keys, to-device messages, backups.

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
}
