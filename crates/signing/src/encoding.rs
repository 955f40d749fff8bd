//! Base64 as the network writes and reads it.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};

/// Writes [unpadded base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64).
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads exactly `N` bytes of base64, standard or URL-safe, padded or not.
///
/// The specification writes the standard alphabet without padding. What is read is as wide as what
/// the reference implementation (`unpaddedbase64`) and ruma read, or two servers would differ over
/// the same event: either alphabet, also mixed, padding or none, and any value in the unused last
/// bits. Unlike Python's decoder it does not skip characters outside the alphabet.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Longer input cannot be N bytes; refusing it here bounds the work.
    if text.len() > N.div_ceil(3) * 4 {
        return None;
    }
    let mut out = [0; N];
    let decoded = if text.bytes().any(|byte| matches!(byte, b'-' | b'_')) {
        let standard: Vec<u8> = text.bytes().map(to_standard).collect();
        STANDARD.decode_slice(standard, &mut out)
    } else {
        STANDARD.decode_slice(text, &mut out)
    };
    (decoded == Ok(N)).then_some(out)
}

fn to_standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_the_network_uses() {
        let bytes = [0xfb, 0xff, 0xfe, 0x00];
        for text in ["+//+AA", "-__-AA", "+/_-AA", "+//+AA==", "-__-AA==", "+//+AP", "+//+AA="] {
            assert_eq!(decode(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "+//+", "+//+AAAA", "+//+A", "+//+A*", "+//+ AA", "+//+AA\n", "+//+AA===", "é//+A"]
        {
            assert_eq!(decode::<4>(text), None, "{text}");
        }
    }
}
