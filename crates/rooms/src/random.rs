//! Identifiers that nobody can guess.

use std::fmt;

use crate::error::ActionError;

/// Gives random bytes for identifiers that nobody may guess: of rooms, and of events where their author chooses them.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// There are none to be had; `bytes` is not used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// Why there are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes")]
pub struct NoEntropy;

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";

/// 18 letters and digits: more than 100 bits.
pub(crate) fn opaque(entropy: &dyn Entropy) -> Result<String, ActionError> {
    let mut bytes = [0_u8; 18];
    entropy.fill(&mut bytes).map_err(|NoEntropy| ActionError::Random)?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 63)).map_or('A', |letter| char::from(*letter));
    Ok(bytes.iter().map(letter).collect())
}
