//! Identifiers that nobody can guess.

use crate::error::ActionError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";

/// 18 letters and digits from the operating system's generator: more than 100 bits.
pub(crate) fn opaque() -> Result<String, ActionError> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(|_| ActionError::Random)?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 63)).map_or('A', |letter| char::from(*letter));
    Ok(bytes.iter().map(letter).collect())
}
