//! Invitations, by e-mail address too, and knocks.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use super::world::World;
use crate::builder::Draft;

impl World {
    /// Invitations and knocks.
    pub(super) fn invitation(&mut self) {
        let host = self.some_powerful_user();
        let guest = self.some_user();
        match self.rng.below(4) {
            0 => drop(self.send(Draft::member(&host, &guest, "invite"))),
            1 => {
                self.set_join_rule(&host, "knock");
                self.send(Draft::member(&guest, &guest, "knock"));
                self.deliver_something();
                self.send(Draft::member(&host, &guest, "invite"));
            }
            2 => drop(self.send(Draft::member(&guest, &guest, "knock"))),
            _ => {
                self.send(Draft::member(&guest, &guest, "leave"));
                self.send(Draft::member(&host, &guest, "invite"));
            }
        }
        self.send(Draft::member(&guest, &guest, "join"));
    }

    /// An invitation by e-mail address, and its acceptance; the signature is right or wrong.
    pub(super) fn third_party_invite(&mut self) {
        let (host, guest) = (self.some_powerful_user(), self.some_user());
        let identity = SigningKey::from_bytes(&self.rng.bytes32());
        let public_key = STANDARD_NO_PAD.encode(identity.verifying_key().as_bytes());
        let token = format!("token{}", self.rng.below(5));
        let content = json!({
            "display_name": "g...@e...",
            "key_validity_url": "https://identity.example/valid",
            "public_key": public_key,
            "public_keys": [{ "public_key": public_key }],
        });
        self.send(Draft::state(&host, "m.room.third_party_invite", &token, content));
        let signer = if self.rng.chance(80) { identity } else { SigningKey::from_bytes(&[7; 32]) };
        let content = json!({
            "membership": "invite",
            "third_party_invite": { "display_name": "g...@e...", "signed": signed(&guest, &token, &signer) },
        });
        self.send(Draft::member(&guest, &guest, "leave"));
        self.send(Draft::state(&host, "m.room.member", &guest, content));
        self.send(Draft::member(&guest, &guest, "join"));
    }
}

/// What an identity server signs when the owner of an address shows up.
fn signed(mxid: &str, token: &str, key: &SigningKey) -> Value {
    let mut signed = json!({ "mxid": mxid, "token": token });
    // `serde_json` sorts members and writes no white space: this is canonical JSON.
    let signature = STANDARD_NO_PAD.encode(key.sign(signed.to_string().as_bytes()).to_bytes());
    if let Value::Object(object) = &mut signed {
        object.insert("signatures".to_owned(), json!({ "identity.example": { "ed25519:0": signature } }));
    }
    signed
}
