//! What the server can do: versions and capabilities.

mod capabilities;
mod versions;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default().route(versions::versions).route(capabilities::capabilities)
}
