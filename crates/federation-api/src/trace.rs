//! One span per request, with a number for it, its tenant and who asks; never queries or bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, field};

use crate::connection::Connection;

/// Numbers the requests of this process.
#[derive(Clone, Default)]
pub(crate) struct RequestNumbers(Arc<AtomicU64>);

/// Runs a request within its span. The span names the route, not the path, which holds identifiers.
pub(crate) async fn in_span(State(numbers): State<RequestNumbers>, request: Request, next: Next) -> Response {
    let number = numbers.0.fetch_add(1, Ordering::Relaxed);
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let tenant =
        request.extensions().get::<Connection>().map(|connection| connection.tenant.server_name().as_str());
    let span = tracing::info_span!(
        "federation",
        number,
        method = request.method().as_str(),
        route,
        tenant,
        origin = field::Empty,
        status = field::Empty
    );
    let answered = async {
        let response = next.run(request).await;
        tracing::Span::current().record("status", response.status().as_u16());
        tracing::debug!("answered");
        response
    };
    answered.instrument(span).await
}
