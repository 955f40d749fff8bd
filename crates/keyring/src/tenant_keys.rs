//! All keys of one tenant, and their form at rest.
//!
//! Which key signs, which ones are published and which ones are old are functions of the record and
//! the time; no job has to run for a rotation to take place.

use freehold_signing::{InvalidKey, KeyId, VerifyingKey};
use ruma_common::{OwnedServerName, ServerName};
use thiserror::Error;

use crate::{MasterKeyId, seal::Sealed};

/// A key of a tenant.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TenantKey {
    pub(crate) key_id: KeyId,
    /// The public half, not decompressed: a record may hold hundreds, and one of them signs.
    pub(crate) key: [u8; 32],
    /// Signs from this time on, unless a later key has taken over.
    pub(crate) signs_from_ts: i64,
    /// Published under `old_verify_keys` from this time on.
    pub(crate) expired_ts: Option<i64>,
    /// Absent for an old key of which only the public half came to us.
    pub(crate) sealed: Option<Sealed>,
}

/// What a key is good for at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPhase {
    /// Published, and will sign later.
    Announced,
    /// Signs.
    Signing,
    /// Still published for what it signed a short while ago.
    Overlapping,
    /// Published as an old key.
    Old,
}

/// The keys of a tenant in the order they came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TenantKeys {
    pub(crate) tenant: OwnedServerName,
    pub(crate) keys: Vec<TenantKey>,
}

impl TenantKey {
    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey, RecordError> {
        Ok(VerifyingKey::from_bytes(&self.key)?)
    }

    pub(crate) fn is_expired(&self, now_ts: i64) -> bool {
        self.expired_ts.is_some_and(|expired_ts| expired_ts <= now_ts)
    }
}

impl TenantKeys {
    pub(crate) fn new(tenant: &ServerName) -> Self {
        Self { tenant: tenant.to_owned(), keys: Vec::new() }
    }

    pub(crate) fn find(&self, key_id: &KeyId) -> Option<&TenantKey> {
        self.keys.iter().find(|key| key.key_id == *key_id)
    }

    /// The position of the key that signs: of those in use, the one that began last; of those that
    /// began together, the one that came first.
    pub(crate) fn signing_index(&self, now_ts: i64) -> Option<usize> {
        let usable =
            |key: &TenantKey| key.sealed.is_some() && key.signs_from_ts <= now_ts && !key.is_expired(now_ts);
        let mut best: Option<(usize, i64)> = None;
        for (index, key) in self.keys.iter().enumerate().filter(|(_, key)| usable(key)) {
            if best.is_none_or(|(_, since)| key.signs_from_ts > since) {
                best = Some((index, key.signs_from_ts));
            }
        }
        best.map(|(index, _)| index)
    }

    pub(crate) fn phase(&self, index: usize, now_ts: i64) -> Option<KeyPhase> {
        let key = self.keys.get(index)?;
        Some(match () {
            () if key.is_expired(now_ts) => KeyPhase::Old,
            () if self.signing_index(now_ts) == Some(index) => KeyPhase::Signing,
            () if key.signs_from_ts > now_ts => KeyPhase::Announced,
            () => KeyPhase::Overlapping,
        })
    }

    /// When the published document changes by itself next: a key expires.
    pub(crate) fn next_expiry_ts(&self, now_ts: i64) -> Option<i64> {
        self.keys.iter().filter_map(|key| key.expired_ts).filter(|expired_ts| *expired_ts > now_ts).min()
    }

    /// The record as it is stored.
    ///
    /// Format 1, integers big endian: `01`, u16 length and tenant, u16 number of keys; per key u8
    /// length and identifier, 32 bytes public key, i64 `signs_from_ts`, u8 flags (1: has
    /// `expired_ts`, 2: has a sealed seed), then i64 `expired_ts` and 80 bytes of seal as flagged.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.keys.len() * 192);
        bytes.push(FORMAT);
        let tenant = self.tenant.as_bytes();
        bytes.extend_from_slice(&(tenant.len() as u16).to_be_bytes());
        bytes.extend_from_slice(tenant);
        bytes.extend_from_slice(&(self.keys.len() as u16).to_be_bytes());
        self.keys.iter().for_each(|key| encode_key(key, &mut bytes));
        bytes
    }

    /// Reads a record of `tenant`.
    pub(crate) fn decode(bytes: &[u8], tenant: &ServerName) -> Result<Self, RecordError> {
        let (owner, keys) = decode_keys(bytes)?;
        if owner != tenant.as_bytes() {
            return Err(RecordError::OtherTenant);
        }
        Ok(Self { tenant: tenant.to_owned(), keys })
    }

    /// The public halves of the keys whose secrets are here.
    pub(crate) fn held(&self) -> Vec<[u8; 32]> {
        self.keys.iter().filter(|key| key.sealed.is_some()).map(|key| key.key).collect()
    }
}

/// The public halves of the keys whose secrets are in a record, whosever it is, and under which master keys those are sealed.
pub(crate) fn held_in(record: &[u8]) -> Result<Vec<([u8; 32], MasterKeyId)>, RecordError> {
    let (_, keys) = decode_keys(record)?;
    Ok(keys.iter().filter_map(|key| Some((key.key, key.sealed.as_ref()?.master_key))).collect())
}

/// The most keys a tenant may have, old ones included, so that the key document stays servable.
///
/// The keys of nine years of weekly rotation; the document then has some 50 KB.
pub(crate) const TENANT_KEYS_MAX: usize = 480;

/// Why a stored record is not used. It is kept as it is in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Written by a later version of this crate, or not by this crate.
    #[error("the record has format {format}, expected {FORMAT}")]
    Format {
        /// The format found.
        format: u8,
    },
    /// The store answered with the record of somebody else.
    #[error("the record is of another tenant")]
    OtherTenant,
    /// A public key in it is none.
    #[error("the record holds a malformed key: {0}")]
    Key(#[from] InvalidKey),
    /// Cut off, or changed.
    #[error("the record is damaged at byte {offset}")]
    Damaged {
        /// Where reading failed.
        offset: usize,
    },
}

const FORMAT: u8 = 1;
const HAS_EXPIRED_TS: u8 = 1;
const HAS_SEALED: u8 = 2;

fn encode_key(key: &TenantKey, bytes: &mut Vec<u8>) {
    let key_id = key.key_id.as_str().as_bytes();
    bytes.push(key_id.len() as u8);
    bytes.extend_from_slice(key_id);
    bytes.extend_from_slice(&key.key);
    bytes.extend_from_slice(&key.signs_from_ts.to_be_bytes());
    let expires = if key.expired_ts.is_some() { HAS_EXPIRED_TS } else { 0 };
    let sealed = if key.sealed.is_some() { HAS_SEALED } else { 0 };
    bytes.push(expires | sealed);
    if let Some(expired_ts) = key.expired_ts {
        bytes.extend_from_slice(&expired_ts.to_be_bytes());
    }
    if let Some(sealed) = &key.sealed {
        let parts: [&[u8]; 4] = [&sealed.master_key.0, &sealed.nonce, &sealed.ciphertext, &sealed.tag];
        parts.into_iter().for_each(|part| bytes.extend_from_slice(part));
    }
}

/// The tenant that a record names, and its keys.
fn decode_keys(record: &[u8]) -> Result<(&[u8], Vec<TenantKey>), RecordError> {
    let mut reader = Reader { rest: record, total: record.len() };
    let [format] = reader.array()?;
    if format != FORMAT {
        return Err(RecordError::Format { format });
    }
    let length = u16::from_be_bytes(reader.array()?);
    let tenant = reader.take(length.into())?;
    let count = u16::from_be_bytes(reader.array()?);
    let keys = (0..count).map(|_| decode_key(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    if reader.rest.is_empty() { Ok((tenant, keys)) } else { Err(reader.damaged()) }
}

fn decode_key(reader: &mut Reader<'_>) -> Result<TenantKey, RecordError> {
    let [length] = reader.array()?;
    let damaged = reader.damaged();
    let key_id = str::from_utf8(reader.take(length.into())?).map_err(|_| damaged)?;
    let key_id = KeyId::parse(key_id).map_err(|_| damaged)?;
    let key = reader.array()?;
    let signs_from_ts = i64::from_be_bytes(reader.array()?);
    let [flags] = reader.array()?;
    if flags & !(HAS_EXPIRED_TS | HAS_SEALED) != 0 {
        return Err(damaged);
    }
    let expired_ts = match flags & HAS_EXPIRED_TS {
        0 => None,
        _ => Some(i64::from_be_bytes(reader.array()?)),
    };
    let sealed = match flags & HAS_SEALED {
        0 => None,
        _ => Some(Sealed {
            master_key: MasterKeyId(reader.array()?),
            nonce: reader.array()?,
            ciphertext: reader.array()?,
            tag: reader.array()?,
        }),
    };
    Ok(TenantKey { key_id, key, signs_from_ts, expired_ts, sealed })
}

struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(self.damaged())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn damaged(&self) -> RecordError {
        RecordError::Damaged { offset: self.total - self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use freehold_signing::SigningKey;

    use super::*;

    fn key(version: &str, signs_from_ts: i64, expired_ts: Option<i64>, sealed: bool) -> TenantKey {
        let sealed = sealed.then_some(Sealed {
            master_key: MasterKeyId([1; 8]),
            nonce: [2; 24],
            ciphertext: [3; 32],
            tag: [4; 16],
        });
        let public = *SigningKey::from_seed(&[version.len() as u8; 32]).verifying_key().as_bytes();
        TenantKey { key_id: KeyId::ed25519(version).unwrap(), key: public, signs_from_ts, expired_ts, sealed }
    }

    fn tenant() -> OwnedServerName {
        ServerName::parse("example.org").unwrap()
    }

    #[test]
    fn the_phase_of_a_key_follows_from_the_time() {
        use KeyPhase::{Announced, Old, Overlapping, Signing};
        let record = TenantKeys {
            tenant: tenant(),
            keys: vec![key("a", 0, Some(30), true), key("bb", 20, None, true), key("ccc", 0, Some(5), false)],
        };
        for (now_ts, expected) in [
            (-1, [Announced, Announced, Announced]),
            (0, [Signing, Announced, Overlapping]),
            (5, [Signing, Announced, Old]),
            (20, [Overlapping, Signing, Old]),
            (30, [Old, Signing, Old]),
        ] {
            let phases: Vec<_> = (0..3).map(|index| record.phase(index, now_ts).unwrap()).collect();
            assert_eq!(phases, expected, "at {now_ts}");
        }
    }

    #[test]
    fn of_keys_that_begin_together_the_first_signs() {
        let record =
            TenantKeys { tenant: tenant(), keys: vec![key("a", 7, None, true), key("b", 7, None, true)] };
        assert_eq!(record.signing_index(7), Some(0));
    }

    #[test]
    fn a_record_reads_back_and_no_prefix_of_it_does() {
        let record = TenantKeys {
            tenant: tenant(),
            keys: vec![
                key("a", 1, None, true),
                key("bb", -5, Some(i64::MAX), false),
                key("ccc", 0, Some(0), true),
            ],
        };
        let bytes = record.encode();
        assert!(TenantKeys::decode(&bytes, &tenant()).unwrap() == record);
        for end in 0..bytes.len() {
            assert!(TenantKeys::decode(&bytes[..end], &tenant()).is_err(), "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(TenantKeys::decode(&longer, &tenant()), Err(RecordError::Damaged { .. })));
        let other = ServerName::parse("example.com").unwrap();
        assert!(matches!(TenantKeys::decode(&bytes, &other), Err(RecordError::OtherTenant)));
    }
}
