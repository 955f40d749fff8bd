//! Whether the keys of identity servers are still valid: their servers are asked by who invited
//! (<https://spec.matrix.org/v1.19/client-server-api/#third-party-invites>).

use std::borrow::Cow;

use freehold_canonical_json::{member, string_member};
use freehold_signing::verify_third_party_invite;
use serde_json::json;

use super::NotServed;
use crate::rooms::Rooms;

/// A key with where it is asked whether it is valid. "If this URL is absent, the key must be considered valid indefinitely."
#[derive(Debug, PartialEq, Eq)]
struct Key {
    public_key: String,
    key_validity_url: Option<String>,
}

/// How many keys of an invite are looked at. Real ones have one or two.
const KEYS_MAX: usize = 8;

impl Rooms {
    /// Asks whether a key is still valid with which an identity server signed what redeems an invite. `signed` and `issued`
    /// are JSON texts: what was signed, and the content of the `m.room.third_party_invite`.
    ///
    /// > H1 MUST verify the request from H3 to ensure the `signed` property is correct as well as the `key_validity_url` as
    /// > still being valid.
    ///
    /// Nobody is asked about keys with which it is not signed: then the rules do not let it pass.
    pub(super) async fn check_keys_valid(&self, signed: &str, issued: &str) -> Result<(), NotServed> {
        let mut is_asked = false;
        for Key { public_key, key_validity_url } in keys_of(signed, issued) {
            let Some(url) = key_validity_url else { return Ok(()) };
            is_asked = true;
            // An identity server that is not there does not say that its key is valid.
            if self.0.outside.remote.is_key_valid(&url, &public_key).await.unwrap_or(false) {
                return Ok(());
            }
        }
        match is_asked {
            true => Err(NotServed::MayNot("the identity server does not say that its key is valid")),
            false => Ok(()),
        }
    }
}

/// The keys of an invite with which something is signed.
fn keys_of(signed: &str, issued: &str) -> Vec<Key> {
    let listed = member(issued, "public_keys").ok().flatten();
    let listed = listed.and_then(|keys| keys.as_array()).into_iter().flatten().filter_map(Result::ok);
    let texts = std::iter::once(issued).chain(listed.map(|key| key.text())).take(KEYS_MAX);
    let mut keys: Vec<Key> = Vec::new();
    for text in texts {
        let Some(public_key) = string_member(text, "public_key") else { continue };
        let alone = json!({ "public_key": public_key }).to_string();
        let key_validity_url = string_member(text, "key_validity_url").map(Cow::into_owned);
        let key = Key { public_key: public_key.into_owned(), key_validity_url };
        if verify_third_party_invite(signed, &alone).is_ok() && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use freehold_signing::SigningKey;

    use super::*;

    #[test]
    fn only_keys_with_which_it_is_signed_are_asked_about() {
        let [first, second, third] = [1, 2, 3].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let [one, two, three] = [&first, &second, &third].map(|key| key.verifying_key().to_base64());
        let text = json!({ "mxid": "@b:x", "token": "t" }).to_string();
        let signature = |key: &SigningKey| key.sign(text.as_bytes()).to_base64();
        let signed = json!({ "mxid": "@b:x", "token": "t", "signatures": {
            "id.example": { "ed25519:0": signature(&second), "ed25519:1": signature(&third) },
        } });
        let issued = json!({
            "display_name": "b", "public_key": one, "key_validity_url": "https://id.example/one",
            "public_keys": [
                { "public_key": one, "key_validity_url": "https://id.example/one" },
                { "public_key": two, "key_validity_url": "https://id.example/two" },
                { "public_key": two, "key_validity_url": "https://id.example/two" },
                { "public_key": three }, "no key", { "public_key": 7 },
            ],
        });
        let keys = keys_of(&signed.to_string(), &issued.to_string());
        let key = |public_key: &str, url: Option<&str>| Key {
            public_key: public_key.to_owned(),
            key_validity_url: url.map(str::to_owned),
        };
        assert_eq!(keys, [key(&two, Some("https://id.example/two")), key(&three, None)]);
        assert_eq!(keys_of("{}", &issued.to_string()), []);
        assert_eq!(keys_of(&signed.to_string(), "[]"), []);
    }
}
