//! The stage after the content hash was checked.

use freehold_canonical_json::{Limits, Object, ObjectWriter, Value, parse};

use crate::{
    error::FormatError,
    field::Field,
    pdu::{Pdu, ReferenceLimits},
};

/// A well-formed event whose content hash was compared with its content.
///
/// If they differ, what is inside is the redacted copy, so an event that does not say what its
/// hash covers cannot get past this stage. The only ways here are [`Pdu::check_content_hash`] and
/// making an event oneself ([`NewPdu`](crate::NewPdu)).
#[must_use = "its content may have been redacted, and its signatures are not checked yet"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedPdu {
    pdu: Pdu,
    verdict: ContentHashVerdict,
}

/// What came out of comparing an event with its content hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentHashVerdict {
    /// The event is what its hash covers.
    Intact,
    /// The event is not what its hash covers (most often because it was redacted before it was
    /// sent), and was redacted.
    Redacted,
}

impl Pdu {
    /// Compares the event with its content hash.
    ///
    /// > If the hash check fails, then it is assumed that this is because we have only been given a
    /// > redacted version of the event. To enforce this, the receiving server should use the redacted
    /// > copy it calculated rather than the full copy it received.
    ///
    /// ([Validating hashes and signatures on received
    /// events](https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events);
    /// the signatures, which come first there, are the same on both copies.)
    pub fn check_content_hash(self) -> HashedPdu {
        if self.claimed_content_hash() == Some(self.content_hash()) {
            return HashedPdu::intact(self);
        }
        HashedPdu { pdu: self.redacted(), verdict: ContentHashVerdict::Redacted }
    }

    /// The same event with one signature more.
    fn with_signature(&self, server_name: &str, key_id: &str, signature: &str) -> Result<Self, FormatError> {
        let mut signatures =
            parse(self.signatures().as_bytes(), &Limits::RELAXED)?.into_object().unwrap_or_default();
        let mut of_server =
            signatures.remove(server_name).and_then(Value::into_object).unwrap_or_else(Object::new);
        of_server.insert(key_id, signature);
        signatures.insert(server_name, of_server);
        let json = self.with_signatures(&signatures);
        Self::parse_with(&json, self.version(), ReferenceLimits::BACKFILL)
    }

    fn with_signatures(&self, signatures: &Object<'_>) -> Vec<u8> {
        let signatures = String::from_utf8(signatures.to_canonical_vec()).unwrap_or_default();
        let mut json = Vec::with_capacity(self.canonical_json().len() + signatures.len());
        let mut writer = ObjectWriter::new(&mut json);
        for member in self.members() {
            if member.key() == Field::Signatures.name() {
                writer.value(Field::Signatures.name(), &signatures);
            } else {
                writer.members(member.text());
            }
        }
        writer.finish();
        json
    }
}

impl HashedPdu {
    pub(crate) fn intact(pdu: Pdu) -> Self {
        Self { pdu, verdict: ContentHashVerdict::Intact }
    }

    /// The event: as received, or redacted.
    pub fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// What came out of the comparison.
    pub fn verdict(&self) -> ContentHashVerdict {
        self.verdict
    }

    /// The event, back at the stage before.
    pub fn into_pdu(self) -> Pdu {
        self.pdu
    }

    /// The event with one signature more, as unpadded Base64; the one before under the same name
    /// and key id is replaced.
    ///
    /// For the server that makes an event, and for those that sign the event of another: the
    /// authoriser of a restricted join, the invited user's server, a policy server. Nothing checks
    /// the signature here.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] when there is no room left for it.
    pub fn with_signature(
        &self,
        server_name: &str,
        key_id: &str,
        signature: &str,
    ) -> Result<Self, FormatError> {
        let pdu = self.pdu.with_signature(server_name, key_id, signature)?;
        Ok(Self { pdu, verdict: self.verdict })
    }
}
