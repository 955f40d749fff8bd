//! What a server of ours says about itself: how long its own handling of requests took.

use hyper::Method;

use crate::http::{Call, Http, Outcome};

/// Asks a server of ours for its metrics.
pub(crate) struct Metrics(Http);

/// The syncs that were answered, and how long the server took for them together.
#[derive(Clone, Copy)]
pub(crate) struct Syncs {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
}

impl Metrics {
    /// Of the listener that serves nothing else.
    pub(crate) fn of(http: Http) -> Self {
        Metrics(http)
    }

    /// The syncs so far.
    pub(crate) async fn syncs(&self) -> Outcome<Syncs> {
        let call = Call { method: Method::GET, host: "metrics", path: "/metrics", token: None, body: None };
        let body = self.0.send(call).await?;
        let text = String::from_utf8_lossy(&body);
        let value = |what: &str| {
            let name = format!("freehold_request_seconds_{what}{{area=\"sync\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok());
            value.ok_or_else(|| format!("the metrics lack `{}`", name.trim()))
        };
        Ok(Syncs { count: value("count")?, seconds: value("sum")? })
    }
}
