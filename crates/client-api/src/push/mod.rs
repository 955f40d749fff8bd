//! Push: the rules by which events notify.

mod rules;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .route_also(rules::get_all, &["/_matrix/client/v3/pushrules"])
        .route_also(rules::get_global, &["/_matrix/client/v3/pushrules/global"])
        .route(rules::get_rule)
        .route(rules::set_rule)
        .route(rules::delete_rule)
        .route(rules::is_enabled)
        .route(rules::set_enabled)
        .route(rules::get_actions)
        .route(rules::set_actions)
}
