//! Base64 as the network writes and reads it.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use zeroize::Zeroizing;

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
    let mut out = [0; N];
    decode_into(text, &mut out).then_some(out)
}

/// Like [`decode`], but leaves no copy behind: for secrets.
pub(crate) fn decode_into<const N: usize>(text: &str, out: &mut [u8; N]) -> bool {
    let mut standard = Zeroizing::new([0; TEXT_BYTES_MAX]);
    // Longer input cannot be a key or a signature; refusing it here bounds the work.
    let Some(standard) = standard.get_mut(..text.len()) else {
        return false;
    };
    for (to, from) in standard.iter_mut().zip(text.bytes()) {
        *to = to_standard(from);
    }
    STANDARD.decode_slice(&*standard, out) == Ok(N)
}

/// The length of the longest thing that is read, a padded signature of 64 bytes.
const TEXT_BYTES_MAX: usize = 88;

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
