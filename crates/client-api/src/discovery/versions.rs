//! [`GET /versions`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions).

use ruma_client_api::discovery::get_supported_versions::{Request, Response};

use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::Body;

/// The versions that are served. Clients refuse servers that do not name old ones too.
const VERSIONS: &[&str] = &[
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
    "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
];

/// Features beside the versions, by the names under which clients look for them. Only what is true is here.
const FEATURES: &[&str] = &[
    // Clients ask for these names though the versions above hold them.
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc2285.stable",
    "org.matrix.msc3916.stable",
    "org.matrix.msc4222",
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
];

/// Answers with what this server can do.
pub(crate) async fn versions(_: Body<Request>) -> Result<Reply<Response>, ApiError> {
    let mut response = Response::new(VERSIONS.iter().map(ToString::to_string).collect());
    response.unstable_features = FEATURES.iter().map(|name| (name.to_string(), true)).collect();
    Ok(Reply(response))
}
