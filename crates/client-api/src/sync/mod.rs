//! What is new: sync, receipts, typing.

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
}
