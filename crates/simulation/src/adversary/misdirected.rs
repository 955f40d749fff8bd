//! Requests that are not for whom they reach, or not of whom they name.

use std::net::SocketAddr;

use freehold_federation::http::{Request, StatusCode};
use freehold_federation::{Endpoint, Transport as _};
use freehold_signing::{XMatrix, sign_request};
use hyper::body::Bytes;
use ruma_common::ServerName;
use serde_json::json;

use super::{Adversary, PATIENCE, Scene};
use crate::hosted::signer;
use crate::laws::Violation;
use crate::wires::PORT;

/// What is signed, and what is said about it.
struct Claim<'c> {
    /// Whom the request reaches.
    at: &'c str,
    /// For whom it is signed.
    signed_for: &'c str,
    /// For whom it is said to be.
    named: Option<&'c str>,
    /// Of whom it is said to be.
    origin: &'c str,
}

impl Adversary {
    /// Sends each tenant what was signed for another, or in the name of another. Nobody may take it.
    pub(super) async fn misdirect(&self, scene: &Scene<'_>) {
        let own = scene.who.server_name().as_str();
        let all = self.all_others();
        for (at, other) in all.iter().zip(all.iter().cycle().skip(1)) {
            let honest = Claim { at, signed_for: at, named: Some(at), origin: own };
            let mut claims = vec![Claim { origin: at, ..honest }];
            if at != other {
                claims.push(Claim { at, signed_for: other, named: Some(other), origin: own });
                claims.push(Claim { at, signed_for: other, named: Some(at), origin: own });
                claims.push(Claim { at, signed_for: other, named: None, origin: own });
                claims.push(Claim { at, signed_for: at, named: Some(at), origin: other });
            }
            for claim in claims {
                self.make(scene, claim).await;
            }
        }
    }

    async fn make(&self, scene: &Scene<'_>, claim: Claim<'_>) {
        let number = self.lock().requests;
        let uri = format!("/_matrix/federation/v1/send/astray-{number}");
        let body = json!({ "origin": claim.origin, "origin_server_ts": 1, "pdus": [] }).to_string();
        let name = |name: &str| ServerName::parse(name).unwrap();
        let destination = name(claim.signed_for);
        let signed = freehold_signing::Request {
            method: "PUT",
            uri: &uri,
            destination: &destination,
            content: Some(body.as_bytes()),
        };
        let signed = sign_request(&signed, &signer(scene.who.server_name())).unwrap();
        let said = XMatrix { origin: name(claim.origin), destination: claim.named.map(name), ..signed };
        {
            let mut sent = self.lock();
            sent.requests += 1;
            sent.bytes += body.len() as u64;
        }
        let request = Request::put(format!("https://{}{uri}", claim.at))
            .header("authorization", said.to_string())
            .body(Bytes::from(body))
            .unwrap();
        if self.answer(scene, claim.at, request).await.is_some_and(|status| status.is_success()) {
            let Claim { at, signed_for, named, origin } = claim;
            let found =
                format!("{at} took what {origin} signed for {signed_for}, and said to be for {named:?}");
            self.heard.lock().unwrap().push(Violation { law: "address", found });
        }
    }

    async fn answer(&self, scene: &Scene<'_>, at: &str, request: Request<Bytes>) -> Option<StatusCode> {
        let link = self.world.wires.link(self.place, scene.process.life.clone());
        let address = *link.addresses(at).await.ok()?.records.first()?;
        let endpoint = Endpoint { address: SocketAddr::new(address, PORT), certificate_name: at.to_owned() };
        let answered = tokio::time::timeout(PATIENCE, link.send(&endpoint, request));
        let answered = scene.process.life.during(answered).await?.ok()?.ok()?;
        Some(answered.status())
    }
}
