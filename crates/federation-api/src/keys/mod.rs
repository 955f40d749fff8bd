//! Keys: a tenant's own, and as a notary those of others
//! (<https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>).

mod notary;
mod own;

use axum::http::Method;

use crate::endpoints::Endpoints;

/// The endpoints of this area. Everybody may ask them: who asks for keys has none to check a signature with.
pub(crate) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(Method::GET, "/_matrix/key/v2/server", own::keys)
        .open(Method::GET, "/_matrix/key/v2/server/{key_id}", own::keys)
        .open(Method::GET, "/_matrix/key/v2/query/{server_name}", notary::one)
        .open(Method::POST, "/_matrix/key/v2/query", notary::several)
}
