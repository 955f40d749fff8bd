//! The signatures of several events.

use freehold_event::HashedPdu;
use ruma_common::OwnedServerName;

use crate::{
    Claim, KeySource, SignatureError, SignedPdu,
    equation::which_hold,
    event::{check, check_of},
    proven::Proven,
    required::{entry, required_signatures},
};

/// [`verify_event`](crate::verify_event) of several events, each with the answer that it gives; together they take less time
/// ([`which_hold`]).
pub fn verify_events(
    events: Vec<HashedPdu>,
    keys: &impl KeySource,
    now_ms: i64,
) -> Vec<Result<SignedPdu, SignatureError>> {
    let proven = proven(&events, keys, now_ms);
    let verified = |(event, proven): (HashedPdu, Vec<Proven>)| {
        check(event.pdu(), (keys, &proven), now_ms)?;
        Ok(SignedPdu::trust(event, Vec::new()))
    };
    events.into_iter().zip(proven).map(verified).collect()
}

/// What holds of that which must hold for each event.
fn proven(events: &[HashedPdu], keys: &impl KeySource, now_ms: i64) -> Vec<Vec<Proven>> {
    let servers = events.iter().map(|event| required_signatures(event.pdu()).unwrap_or_default());
    let servers: Vec<Vec<OwnedServerName>> = servers.collect();
    let (mut places, mut named) = (Vec::new(), Vec::new());
    for (place, (event, servers)) in events.iter().zip(&servers).enumerate() {
        for server in servers {
            let Some(entry) = entry(event.pdu(), server.as_str()) else { continue };
            for signature in check_of(event.pdu(), server, (keys, &[]), now_ms).named(entry) {
                places.push(place);
                named.push((event.pdu().signed_bytes(), signature));
            }
        }
    }
    let claims: Vec<Claim<'_>> =
        named.iter().map(|(message, (key, signature))| Claim { key, message, signature }).collect();
    let mut proven: Vec<Vec<Proven>> = events.iter().map(|_| Vec::new()).collect();
    for ((place, claim), holds) in places.iter().zip(&claims).zip(which_hold(&claims, keys.prepared())) {
        if let Some(proven) = proven.get_mut(*place).filter(|_| holds) {
            proven.push(Proven::computed(claim.key, claim.signature));
        }
    }
    proven
}
