//! What is new: sync, receipts, typing, presence.

mod in_pieces;
mod presence;
mod receipts;
#[expect(clippy::module_inception, reason = "the endpoint is called as its area is")]
mod sync;
mod typing;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .route(sync::sync)
        .route(receipts::create_receipt)
        .route(receipts::set_read_markers)
        .route(typing::set_typing)
        .route(presence::set_presence)
        .route(presence::get_presence)
}
