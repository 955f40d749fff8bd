//! Invitations by address: an identity server of the run's own knows the address, and who has it in the end.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use freehold_signing::SigningKey;
use serde_json::{Value, json};

use super::{Pair, people::People, steps::Steps};
use crate::{
    failure::{Failure, Result},
    http::Call,
    server::Reserved,
    user::escaped,
};

pub(super) fn run(pair: &Pair<'_>, steps: &mut Steps) {
    let name = "who is invited by address comes in once the address is theirs";
    steps.run(&format!("{}: {name}", pair.direction), || invited(pair));
}

/// To whom the invitation goes.
const ADDRESS: &str = "guest@example.org";

fn invited(pair: &Pair<'_>) -> Result<()> {
    let identity = IdentityServer::start(pair)?;
    let people = People::register(pair, "mail")?;
    let room = people.private_room("by letter")?;
    let token = identity.keep_invitation(pair, &people, &room)?;
    let place = format!("/rooms/{}/state/m.room.third_party_invite/{token}", escaped(&room));
    people.host.call("GET", &place, None)?;
    // With a key that the room does not know; whatever the answer is, nobody is invited.
    let forger = IdentityServer { seed: [7; 32], ..identity.clone() };
    let _ = forger.tell(pair, &people, (&room, &token));
    if people.host.membership(&room, people.guest.id()).is_some() {
        return Err(Failure::new("somebody is invited by what the identity server did not sign"));
    }
    identity.tell(pair, &people, (&room, &token))?;
    people.both_see(&room, "invite")?;
    let place = format!("/rooms/{}/state/m.room.member/{}", escaped(&room), escaped(people.guest.id()));
    let content = people.host.call("GET", &place, None)?;
    if !content.to_string().contains(&token) {
        return Err(Failure::new(format!("the invitation does not say what it follows from: {content}")));
    }
    people.guest_joins(&room)?;
    people.talk(&room)?;
    people.agree(&room)
}

/// An identity server that knows one address.
#[derive(Clone)]
struct IdentityServer {
    name: String,
    /// From which its key is made.
    seed: [u8; 32],
    /// How many invitations it was asked to keep.
    kept: Arc<AtomicU32>,
}

impl IdentityServer {
    fn start(pair: &Pair<'_>) -> Result<Self> {
        let reserved = Reserved::take()?;
        let name = reserved.server_name().to_owned();
        let identity = IdentityServer { name, seed: [9; 32], kept: Arc::default() };
        let answering = identity.clone();
        reserved.answer_with(pair.authority, move |target| answering.answer(target))?;
        Ok(identity)
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_seed(&self.seed)
    }

    fn answer(&self, target: &str) -> Option<String> {
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        let answer = match path.strip_prefix("/_matrix/identity/v2/")? {
            "pubkey/isvalid" => json!({"valid": true}),
            "hash_details" => json!({"algorithms": ["sha256"], "lookup_pepper": "of one run"}),
            // The address is nobody's yet.
            "lookup" => json!({"mappings": {}}),
            "store-invite" => {
                let mut content = self.content();
                let token = token(self.kept.fetch_add(1, Ordering::SeqCst));
                content.as_object_mut()?.insert("token".to_owned(), json!(token));
                content
            }
            _ => return None,
        };
        Some(answer.to_string())
    }

    /// The content of an `m.room.third_party_invite`.
    fn content(&self) -> Value {
        let public_key = self.key().verifying_key().to_base64();
        let key_validity_url = format!("https://{}/_matrix/identity/v2/pubkey/isvalid", self.name);
        json!({
            "display_name": "g...@e...", "public_key": public_key, "key_validity_url": key_validity_url,
            "public_keys": [{"public_key": public_key, "key_validity_url": key_validity_url}],
        })
    }

    /// The host invites the address; gives the token of the invitation.
    fn keep_invitation(&self, pair: &Pair<'_>, people: &People, room: &str) -> Result<String> {
        let token = token(self.kept.load(Ordering::SeqCst));
        if pair.second_is_ours() {
            // Synapse asks the identity server for whoever invites.
            let invitation = json!({
                "id_server": self.name, "id_access_token": "of one run", "medium": "email", "address": ADDRESS,
            });
            people.host.call("POST", &format!("/rooms/{}/invite", escaped(room)), Some(&invitation))?;
        } else {
            // With ours, clients do.
            let place = format!("/rooms/{}/state/m.room.third_party_invite/{token}", escaped(room));
            people.host.call("PUT", &place, Some(&self.content()))?;
        }
        Ok(token)
    }

    /// Tells the guest's server that the address is the guest's, as identity servers do.
    fn tell(&self, pair: &Pair<'_>, people: &People, (room, token): (&str, &str)) -> Result<()> {
        let mxid = people.guest.id();
        // Names in order, without blanks: the canonical form.
        let mut signed = json!({"mxid": mxid, "token": token});
        let signature = self.key().sign(signed.to_string().as_bytes()).to_base64();
        if let Some(signed) = signed.as_object_mut() {
            signed.insert("signatures".to_owned(), json!({self.name.as_str(): {"ed25519:0": signature}}));
        }
        let invite = json!({
            "medium": "email", "address": ADDRESS, "mxid": mxid, "room_id": room, "sender": people.host.id(),
            "signed": signed,
        });
        let body = json!({"medium": "email", "address": ADDRESS, "mxid": mxid, "invites": [invite]});
        let url = format!("https://{}/_matrix/federation/v1/3pid/onbind", pair.second.server_name());
        let call =
            Call { method: "POST", url, authorization: None, body: Some(body.to_string().into_bytes()) };
        pair.client.send(call).map(drop)
    }
}

fn token(number: u32) -> String {
    format!("token{number}")
}
