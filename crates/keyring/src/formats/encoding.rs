//! Base64 of secrets, without copies left behind.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use zeroize::Zeroizing;

/// Reads a base64 seed, padded or not. Any other length than 32 bytes is `Err` with that length
/// (0 when it is no base64).
pub(crate) fn decode_seed(text: &str) -> Result<Zeroizing<[u8; 32]>, usize> {
    // 48 bytes suffice to tell a seed from a longer text.
    let mut buffer = Zeroizing::new([0; 48]);
    if text.len() > 64 {
        return Err(text.len() / 4 * 3);
    }
    let length = LENIENT.decode_slice(text, buffer.as_mut_slice()).map_err(|_| 0_usize)?;
    match buffer.first_chunk::<32>() {
        Some(seed) if length == 32 => Ok(Zeroizing::new(*seed)),
        _ => Err(length),
    }
}

pub(crate) fn encode_unpadded(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes))
}

pub(crate) fn encode_padded(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(bytes))
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
