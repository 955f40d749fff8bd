//! Before every request of a tenant: whose host it is, where it comes from, and whether the tenant is in service.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use freehold_client_api::{Connection, Rate, TenantsByHost};
use freehold_federation_api as federation_api;
use freehold_store::Tenant;
use freehold_tenancy::{By, Found, NewTenant, Tenancy, TenantState, is_development};
use ipnet::IpNet;
use serde_json::json;

use crate::listen::Peer;

/// What the gate knows.
#[derive(Clone)]
pub(crate) struct Gate {
    tenancy: Tenancy,
    localhost_tenants: bool,
    trusted_proxies: Arc<[IpNet]>,
}

/// The most tenants that come into being because somebody on this machine asked for them.
const LOCALHOST_TENANTS_MAX: usize = 1000;

impl Gate {
    pub(crate) fn new(tenancy: Tenancy, localhost_tenants: bool, trusted_proxies: Arc<[IpNet]>) -> Self {
        Gate { tenancy, localhost_tenants, trusted_proxies }
    }

    async fn find(&self, host: &str, peer: &Peer) -> Option<Found> {
        if let Some(found) = self.tenancy.by_host(host) {
            return Some(found);
        }
        let name = freehold_tenancy::Hostname::parse(host).ok()?;
        if self.localhost_tenants && peer.listener.is_local && is_development(name.as_str()) {
            return self.make_localhost_tenant(name.into_string()).await;
        }
        let default = peer.listener.default_tenant.as_deref()?;
        self.tenancy.by_host(default)
    }

    /// Whether the host that was named when TLS began is not another tenant's.
    fn agrees(&self, peer: &Peer, found: &Found) -> bool {
        let named = peer.sni.as_deref().and_then(|sni| self.tenancy.by_host(sni));
        named.is_none_or(|named| named.tenant == found.tenant)
    }

    async fn make_localhost_tenant(&self, server_name: String) -> Option<Found> {
        if self.tenancy.count() >= LOCALHOST_TENANTS_MAX {
            tracing::warn!(server_name, "there are too many tenants to add one for trying out");
            return None;
        }
        let new = NewTenant { server_name: server_name.clone(), ..NewTenant::default() };
        match self.tenancy.add(new, &By::Schedule).await {
            Ok(_) => tracing::info!(server_name, "added a tenant for trying out"),
            // Another request was first, or the name departed.
            Err(error) => tracing::debug!(server_name, %error, "no tenant for trying out was added"),
        }
        self.tenancy.by_host(&server_name)
    }

    fn client_address(&self, request: &Request, peer: &Peer) -> Option<IpAddr> {
        let trusted = |address: &IpAddr| self.trusted_proxies.iter().any(|network| network.contains(address));
        // Whoever reaches a unix socket is a proxy that the operator put there.
        let believed = peer.address.as_ref().is_none_or(trusted);
        if !believed {
            return peer.address;
        }
        // From the right: each trusted proxy wrote down whom it saw; the first that is none of them is the client.
        let headers =
            request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<IpAddr> =
            headers.flat_map(|value| value.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
        hops.iter().rev().find(|hop| !trusted(hop)).or(hops.first()).copied().or(peer.address)
    }
}

/// The host that a request names: in its target if that is absolute, as in HTTP/2, else in its header.
pub(crate) fn host_of(request: &Request) -> Option<String> {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    Some(named.trim_end_matches('.').to_ascii_lowercase())
}

/// Lets requests pass to tenants that are in service. What tenants publish passes for those that wait for their proof,
/// or could not be proved, too.
pub(crate) async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
    let found = match host_of(&request) {
        Some(host) => gate.find(&host, &peer).await,
        None => None,
    };
    let Some(found) = found.filter(|found| gate.agrees(&peer, found)) else {
        return refusal(Closed::Misdirected);
    };
    let reason = closed(found.state).filter(|_| !is_published(request.uri().path()));
    // A browser that is not told that it may ask does not show why it was refused. Who departed was never here.
    let is_question = request.method() == Method::OPTIONS;
    if let Some(reason) = reason.filter(|reason| *reason == Closed::Misdirected || !is_question) {
        return refusal(reason);
    }
    let client_address = gate.client_address(&request, &peer);
    let tenant = found.tenant.clone();
    request.extensions_mut().insert(federation_api::Connection { tenant, address: client_address });
    let default_tenant = Some(found.tenant.clone());
    request.extensions_mut().insert(Connection { client_address, default_tenant });
    request.extensions_mut().insert(found.clone());
    // Services ask for the policy without waiting: it has to be in memory.
    if let Err(error) = gate.tenancy.policy(&found.tenant).await {
        tracing::error!(tenant = %found.tenant.server_name(), %error, "a policy cannot be read");
        return refusal(Closed::Stopped);
    }
    let mut response = next.run(request).await;
    response.extensions_mut().insert(found);
    response
}

/// What a tenant publishes, whatever its state.
fn is_published(path: &str) -> bool {
    path.starts_with("/.well-known/matrix/") || path.starts_with("/_matrix/key/v2/server")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Misdirected,
    NotYet,
    Stopped,
}

fn closed(state: TenantState) -> Option<Closed> {
    match state {
        TenantState::Active => None,
        TenantState::Pending => Some(Closed::NotYet),
        TenantState::Suspended | TenantState::Leaving => Some(Closed::Stopped),
        TenantState::Departed => Some(Closed::Misdirected),
    }
}

fn refusal(closed: Closed) -> Response {
    let (status, errcode, error) = match closed {
        Closed::Misdirected => (
            StatusCode::MISDIRECTED_REQUEST,
            "M_UNRECOGNIZED",
            "this server is not responsible for the requested host",
        ),
        Closed::NotYet => {
            (StatusCode::FORBIDDEN, "M_FORBIDDEN", "control of this domain has not been proved yet")
        }
        Closed::Stopped => (StatusCode::FORBIDDEN, "M_FORBIDDEN", "this domain is not in service"),
    };
    let mut response = (status, Json(json!({ "errcode": errcode, "error": error }))).into_response();
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The tenants that are in service, for the client-server API.
#[derive(Clone, Debug)]
pub(crate) struct InService(pub(crate) Tenancy);

impl TenantsByHost for InService {
    fn tenant_of_host(&self, host: &str) -> Option<Tenant> {
        let found = self.0.by_host(host)?;
        (found.state == TenantState::Active).then_some(found.tenant)
    }

    fn rate_of(&self, tenant: &Tenant) -> Option<Rate> {
        let per_second = self.0.policy_in_memory(tenant)?.quotas.requests_per_second?;
        Some(Rate { per_second, burst: per_second.saturating_mul(BURST_SECONDS) })
    }
}

/// How many seconds' requests of a tenant may come at once.
const BURST_SECONDS: u32 = 10;
