//! Why a signature does not count.

use crate::KeyId;

/// Why an object or an event is not validly signed by a server.
///
/// The signer is at fault, except for [`NoUsableKey`](Self::NoUsableKey): there the caller may not
/// have the key yet, fetches what is named, and asks again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A server that must sign has an identifier that holds no valid server name.
    #[error("{id:?} names no server that could have signed")]
    NoServer {
        /// The identifier: of a user, or of an event.
        id: String,
    },
    /// There is no entry for the server under `signatures`.
    #[error("not signed by {server}")]
    NotSigned {
        /// The server that must sign.
        server: String,
    },
    /// The entry of the server holds signatures of unknown algorithms only.
    #[error("signed by {server} with unknown algorithms only")]
    NoKnownAlgorithm {
        /// The server that must sign.
        server: String,
    },
    /// None of the keys the server signed with is known and good for the time in question.
    #[error("no usable key of {server}: unknown {unknown:?}, not valid at the time {out_of_time:?}")]
    NoUsableKey {
        /// The server that must sign.
        server: String,
        /// Keys the source does not have.
        unknown: Vec<KeyId>,
        /// Keys the source has, but which are not, or not known to be, valid at the time.
        out_of_time: Vec<KeyId>,
    },
    /// The signature with a usable key is not a string of base64 of 64 bytes.
    #[error("the signature of {server} with {key_id} is malformed")]
    Malformed {
        /// The server that signed.
        server: String,
        /// The key it names.
        key_id: KeyId,
    },
    /// The signature with a usable key is wrong.
    #[error("the signature of {server} with {key_id} is wrong")]
    Wrong {
        /// The server that signed.
        server: String,
        /// The key it names.
        key_id: KeyId,
    },
}
