//! Listeners: sockets on which connections are accepted and served.

mod places;
mod serving;
mod socket;
mod tls;
mod watched;

use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use places::Places;
pub(crate) use serving::Serving;
pub(crate) use socket::{BindError, Inherited, Socket};
pub(crate) use tls::{Certificates, TlsError, renew_certificates};

use crate::config::Listener;

/// Where a request comes from; the listener puts this into its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The other end of the connection; `None` on a unix socket.
    pub(crate) address: Option<IpAddr>,
    /// The host that the client named when TLS began.
    pub(crate) sni: Option<Arc<str>>,
    /// The listener.
    pub(crate) listener: Arc<ListenerFacts>,
}

/// What handlers may know of a listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerFacts {
    /// Whether only this machine reaches it.
    pub(crate) is_local: bool,
    /// The tenant for hosts that nobody has.
    pub(crate) default_tenant: Option<String>,
    /// Whether clients reach it over TLS.
    pub(crate) is_tls: bool,
}

impl ListenerFacts {
    pub(crate) fn of(listener: &Listener) -> Self {
        ListenerFacts {
            is_local: listener.address.is_local(),
            default_tenant: listener.default_tenant.clone(),
            is_tls: !listener.tls.is_empty(),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}
