//! Refusal of keys that somebody else can guess.
//!
//! Two kinds are caught: key pairs whose secret half has been published, listed by public key, and
//! seeds with a structure that no generator worth the name produces. The second kind is a net
//! against mistakes (a zeroed buffer, a pass phrase used as a seed), not a proof of randomness:
//! only the generator can give that.

use thiserror::Error;

/// The reason why a key is taken to be guessable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Predictable {
    /// The secret half of this key is public knowledge.
    #[error("the secret half of this key has been published ({origin})")]
    Published {
        /// Where it was published.
        origin: &'static str,
    },
    /// All bytes, or all words of 2, 4, 8 or 16 bytes, are equal.
    #[error("the seed repeats itself every {period} bytes")]
    Repeats {
        /// Length of the repeated part, in bytes.
        period: usize,
    },
    /// The bytes, or the words of 2, 4 or 8 bytes, form an arithmetic progression.
    #[error("the seed counts in steps over words of {width} bytes")]
    Counts {
        /// Width of the words that count, in bytes.
        width: usize,
    },
    /// The seed is printable text, perhaps padded with zeros.
    #[error("the seed is printable text")]
    Text,
    /// Too few different bytes.
    #[error("the seed has only {distinct} different bytes")]
    FewBytes {
        /// Number of different byte values among the 32.
        distinct: u32,
    },
    /// Far too many or too few bits are set.
    #[error("{ones} of the 256 bits of the seed are set")]
    Unbalanced {
        /// Number of bits that are set.
        ones: u32,
    },
}

/// Says whether the secret half of a public key is known to the public.
///
/// # Errors
///
/// [`Predictable::Published`] with the place of publication.
pub(crate) fn check_public_key(public: &[u8; 32]) -> Result<(), Predictable> {
    match PUBLISHED.iter().find(|known| known.public == *public) {
        Some(known) => Err(Predictable::Published { origin: known.origin }),
        None => Ok(()),
    }
}

/// Says whether a 32-byte secret shows a structure that random bytes do not have.
///
/// A good generator fails these tests together less than once in 10^12 times, so a refusal means a
/// broken generator or a secret that was made by hand.
///
/// # Errors
///
/// The first structure found.
pub(crate) fn check_secret(secret: &[u8; 32]) -> Result<(), Predictable> {
    check_repetition(secret)?;
    check_counting(secret)?;
    check_text(secret)?;
    check_distribution(secret)
}

fn check_repetition(secret: &[u8; 32]) -> Result<(), Predictable> {
    let repeats = |period: &usize| secret.iter().zip(secret.iter().skip(*period)).all(|(a, b)| a == b);
    match [1, 2, 4, 8, 16].into_iter().find(repeats) {
        Some(period) => Err(Predictable::Repeats { period }),
        None => Ok(()),
    }
}

fn check_counting(secret: &[u8; 32]) -> Result<(), Predictable> {
    let reversed = {
        let mut bytes = *secret;
        bytes.reverse();
        bytes
    };
    // Reading backwards covers both byte orders of each width.
    let counts = |width: &usize| counts_in(secret, *width) || counts_in(&reversed, *width);
    let found = [1, 2, 4, 8].into_iter().find(counts);
    // INVARIANT: the seed is wiped by its owner; so is this copy.
    drop(zeroize::Zeroizing::new(reversed));
    match found {
        Some(width) => Err(Predictable::Counts { width }),
        None => Ok(()),
    }
}

fn counts_in(bytes: &[u8; 32], width: usize) -> bool {
    let mask = u64::MAX >> (64 - 8 * width);
    let word = |chunk: &[u8]| chunk.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let words = || bytes.chunks_exact(width).map(word);
    let mut steps = words().zip(words().skip(1)).map(|(a, b)| b.wrapping_sub(a) & mask);
    let first = steps.next();
    steps.all(|step| Some(step) == first)
}

fn check_text(secret: &[u8; 32]) -> Result<(), Predictable> {
    let padding = secret.iter().rev().take_while(|byte| **byte == 0).count();
    let text =
        secret.iter().take(32 - padding).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if text { Err(Predictable::Text) } else { Ok(()) }
}

fn check_distribution(secret: &[u8; 32]) -> Result<(), Predictable> {
    let distinct =
        u32::try_from(secret.iter().collect::<std::collections::BTreeSet<_>>().len()).unwrap_or(u32::MAX);
    if distinct < DISTINCT_BYTES_MIN {
        return Err(Predictable::FewBytes { distinct });
    }
    let ones = secret.iter().map(|byte| byte.count_ones()).sum();
    if !(BITS_SET_MIN..=256 - BITS_SET_MIN).contains(&ones) {
        return Err(Predictable::Unbalanced { ones });
    }
    Ok(())
}

/// Of 32 random bytes about 30 differ; 16 or fewer do so less than once in 10^13 times.
const DISTINCT_BYTES_MIN: u32 = 17;

/// Of 256 random bits 128 are set, with a standard deviation of 8; this is 8.5 deviations away.
const BITS_SET_MIN: u32 = 60;

struct Published {
    public: [u8; 32],
    origin: &'static str,
}

/// Key pairs whose secret half anybody can look up.
const PUBLISHED: &[Published] = &[
    Published {
        public: [
            0x97, 0xf3, 0xbd, 0x87, 0x13, 0x15, 0x28, 0x1e, 0x8b, 0x83, 0xed, 0xc7, 0xa9, 0xfd, 0x05, 0x41,
            0x06, 0x61, 0x54, 0x44, 0x90, 0x70, 0xcc, 0xdb, 0x3c, 0xdd, 0x42, 0xcf, 0x69, 0xcc, 0xde, 0x88,
        ],
        origin: "CVE-2026-24044: Go math/rand with seed 0, as ess-helm used it",
    },
    Published {
        public: [
            0x6f, 0x15, 0x81, 0x70, 0x9b, 0xb7, 0xb1, 0xef, 0x03, 0x0d, 0x21, 0x0d, 0xb1, 0x8e, 0x3b, 0x0b,
            0xa1, 0xc7, 0x76, 0xfb, 0xa6, 0x5d, 0x8c, 0xda, 0xad, 0x05, 0x41, 0x51, 0x42, 0xd1, 0x89, 0xf8,
        ],
        origin: "Go math/rand with seed 1, its default before Go 1.20",
    },
    Published {
        public: [
            0x8e, 0xd9, 0x04, 0x20, 0x80, 0x2c, 0x83, 0xb4, 0x1e, 0x4a, 0x7f, 0xa9, 0x4c, 0xe5, 0xf0, 0x57,
            0x92, 0xea, 0x8b, 0xff, 0x3d, 0x7a, 0x63, 0x57, 0x2e, 0x5c, 0x73, 0x45, 0x4e, 0xae, 0xf5, 0x1d,
        ],
        origin: "Go math/rand with seed 2",
    },
    Published {
        public: [
            0x5c, 0x65, 0xf4, 0x25, 0x14, 0xb6, 0x01, 0xfd, 0xdb, 0x7b, 0x79, 0x27, 0xcf, 0x67, 0xc1, 0x89,
            0x16, 0xc0, 0xa6, 0x39, 0xb6, 0x0e, 0x1e, 0xb5, 0x81, 0x70, 0xc9, 0x03, 0xc9, 0x1c, 0x24, 0xd2,
        ],
        origin: "test vectors of the Matrix specification",
    },
    Published {
        public: [
            0x3f, 0x11, 0x00, 0x8d, 0x4f, 0x19, 0xd7, 0xcc, 0x68, 0xe5, 0x6b, 0xf4, 0xb8, 0x05, 0xc7, 0xb0,
            0x5a, 0x82, 0x70, 0x22, 0xcc, 0x04, 0x43, 0xea, 0xf6, 0x9c, 0x80, 0x8e, 0x8f, 0xf6, 0xf2, 0x9f,
        ],
        origin: "tests of ess-helm",
    },
    Published {
        public: [
            0x83, 0xaf, 0xe4, 0xa8, 0x9e, 0xde, 0x03, 0x50, 0x9e, 0x85, 0xaf, 0xc5, 0x1a, 0xd1, 0xb9, 0x2b,
            0xee, 0x3c, 0x21, 0xd9, 0x33, 0xb6, 0x35, 0xd5, 0x65, 0x44, 0xa0, 0xea, 0x26, 0xdf, 0x4c, 0x71,
        ],
        origin: "tests of ess-helm",
    },
    Published {
        public: [
            0x73, 0x77, 0x77, 0x6f, 0xff, 0xf2, 0x7f, 0x60, 0x45, 0xe1, 0x19, 0x3a, 0xa1, 0x25, 0xa8, 0x23,
            0x1f, 0x5e, 0x6d, 0x07, 0x43, 0xea, 0xc6, 0x71, 0x21, 0xf1, 0x55, 0xd0, 0x97, 0x83, 0xdc, 0x1b,
        ],
        origin: "tests of ess-helm",
    },
    Published {
        public: [
            0x4c, 0x40, 0x5c, 0x05, 0xe8, 0x35, 0xb5, 0x54, 0xe2, 0xc7, 0x0a, 0x3e, 0x79, 0xa5, 0xf7, 0x98,
            0x0c, 0x66, 0x33, 0xca, 0x95, 0xa9, 0x16, 0x74, 0x1e, 0xed, 0x7a, 0x31, 0x86, 0x86, 0x3d, 0xe4,
        ],
        origin: "tests of Dendrite",
    },
    Published {
        public: [
            0xb8, 0x16, 0xad, 0x48, 0x46, 0xc1, 0x3b, 0xab, 0xbb, 0x48, 0xdc, 0x2f, 0x37, 0x05, 0x45, 0x08,
            0x3e, 0x17, 0x19, 0xa4, 0xb4, 0x8a, 0x43, 0xc8, 0xd4, 0xf3, 0x20, 0x3f, 0x99, 0xe5, 0x87, 0x77,
        ],
        origin: "tests of matrix-media-repo",
    },
    Published {
        public: [
            0x37, 0x5c, 0x2d, 0xc7, 0x7f, 0x6b, 0x5e, 0x7b, 0x82, 0xb1, 0xb8, 0xed, 0xdd, 0x88, 0x6b, 0x6f,
            0x48, 0xe4, 0x3c, 0x8f, 0xf3, 0x23, 0x99, 0x29, 0x84, 0x85, 0x7d, 0x6a, 0x2d, 0x5e, 0x9d, 0x6d,
        ],
        origin: "tests of matrix-media-repo",
    },
    Published {
        public: [
            0x4e, 0x88, 0x5e, 0x91, 0x85, 0xf3, 0x2f, 0x1e, 0xd5, 0xcd, 0x5f, 0x05, 0xb4, 0xb4, 0x25, 0x23,
            0x75, 0xec, 0x49, 0xd3, 0xef, 0xd4, 0x28, 0xe1, 0x55, 0x86, 0x39, 0xad, 0x99, 0x85, 0x0a, 0xf5,
        ],
        origin: "tests of matrix-media-repo",
    },
    Published {
        public: [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ],
        origin: "test vectors of RFC 8032",
    },
    Published {
        public: [
            0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
            0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
        ],
        origin: "test vectors of RFC 8032",
    },
    Published {
        public: [
            0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58,
            0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25,
        ],
        origin: "test vectors of RFC 8032",
    },
    Published {
        public: [
            0x27, 0x81, 0x17, 0xfc, 0x14, 0x4c, 0x72, 0x34, 0x0f, 0x67, 0xd0, 0xf2, 0x31, 0x6e, 0x83, 0x86,
            0xce, 0xff, 0xbf, 0x2b, 0x24, 0x28, 0xc9, 0xc5, 0x1f, 0xef, 0x7c, 0x59, 0x7f, 0x1d, 0x42, 0x6e,
        ],
        origin: "test vectors of RFC 8032",
    },
    Published {
        public: [
            0xec, 0x17, 0x2b, 0x93, 0xad, 0x5e, 0x56, 0x3b, 0xf4, 0x93, 0x2c, 0x70, 0xe1, 0x24, 0x50, 0x34,
            0xc3, 0x54, 0x67, 0xef, 0x2e, 0xfd, 0x4d, 0x64, 0xeb, 0xf8, 0x19, 0x68, 0x34, 0x67, 0xe2, 0xbf,
        ],
        origin: "test vectors of RFC 8032",
    },
];

#[cfg(test)]
mod tests {
    use freehold_signing::SigningKey;
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// CVE-2026-24044: ess-helm drew every server's key from Go's `math/rand` with seed 0, so all of
    /// them had this one. Synapse refuses its public half since 1.147.1, but compares it with padding
    /// against text without, which never matches; here bytes are compared with bytes.
    #[test]
    fn cve_2026_24044_the_key_of_ess_helm_is_refused() {
        let key = SigningKey::from_base64_seed("AZT9wvov/MBB0/8SBFtzyG5P+V/2YqXu6Cq99EotC3U").unwrap();
        assert_eq!(key.verifying_key().to_base64(), "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og");
        let error = check_public_key(key.verifying_key().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("CVE-2026-24044"), "{error}");
    }

    #[test]
    fn every_published_secret_is_listed_by_its_public_key() {
        for (seed, origin) in SEEDS {
            let key = SigningKey::from_base64_seed(seed).unwrap();
            let refused = check_public_key(key.verifying_key().as_bytes());
            assert_eq!(refused, Err(Predictable::Published { origin }), "{seed}");
        }
        assert_eq!(SEEDS.len(), PUBLISHED.len());
    }

    #[test]
    fn seeds_made_by_hand_are_refused() {
        let counting = |step: u8| -> [u8; 32] { std::array::from_fn(|index| step.wrapping_mul(index as u8)) };
        let words = |words: [u64; 4]| -> [u8; 32] {
            std::array::from_fn(|index| words[index / 8].to_be_bytes()[index % 8])
        };
        let little = |words: [u64; 4]| -> [u8; 32] {
            std::array::from_fn(|index| words[index / 8].to_le_bytes()[index % 8])
        };
        let mut name = [0; 32];
        name[..11].copy_from_slice(b"example.org");
        let mut few = [0; 32];
        few[..16].copy_from_slice(&Sha256::digest(b"few")[..16]);
        for (seed, expected) in [
            ([0; 32], Predictable::Repeats { period: 1 }),
            ([0xa5; 32], Predictable::Repeats { period: 1 }),
            (words([7, 7, 7, 7]), Predictable::Repeats { period: 8 }),
            (counting(1), Predictable::Counts { width: 1 }),
            (counting(251), Predictable::Counts { width: 1 }),
            (words([1 << 40, 2 << 40, 3 << 40, 4 << 40]), Predictable::Counts { width: 8 }),
            (little([5, 6, 7, 8]), Predictable::Counts { width: 8 }),
            (*b"an all too secret signing seed!!", Predictable::Text),
            (name, Predictable::Text),
            (few, Predictable::FewBytes { distinct: 17 - 1 }),
        ] {
            let found = check_secret(&seed);
            match expected {
                Predictable::FewBytes { .. } => assert!(matches!(found, Err(Predictable::FewBytes { .. }))),
                _ => assert_eq!(found, Err(expected), "{seed:?}"),
            }
        }
        let mut light = (0..=255_u8).filter(|byte| byte.count_ones() <= 2);
        let light: [u8; 32] = std::array::from_fn(|_| light.next().unwrap());
        assert!(matches!(check_secret(&light), Err(Predictable::Unbalanced { .. })), "{light:?}");
    }

    #[test]
    fn hashes_pass_for_random() {
        for index in 0..10_000_u32 {
            assert_eq!(check_secret(&Sha256::digest(index.to_be_bytes()).into()), Ok(()), "{index}");
        }
    }

    const SEEDS: &[(&str, &str)] = &[
        (
            "AZT9wvov/MBB0/8SBFtzyG5P+V/2YqXu6Cq99EotC3U",
            "CVE-2026-24044: Go math/rand with seed 0, as ess-helm used it",
        ),
        (
            "Uv38ByGCZU8WP18PmmIdcpVmx00QA3xNe7sEB9Hixkk",
            "Go math/rand with seed 1, its default before Go 1.20",
        ),
        ("L4KCy+L5aW8xRMCqTO1W29ln3CiXgGrzvtimOsoW4Ys", "Go math/rand with seed 2"),
        ("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "test vectors of the Matrix specification"),
        ("Ozi/KgL1WiuGMmp/GUME26bMWtqH92jF036tK6SIks4", "tests of ess-helm"),
        ("oy11WZaJNEyJbj+I27RlIXhz7JmDsT24yBz0QdvZ4K0", "tests of ess-helm"),
        ("onKBAf8+AkpLkeqTeI7pdR6lKoAq4Hh9pV1AcDWTQvM", "tests of ess-helm"),
        ("7KRZiZ2sTyRR8uqqUjRwczuwRXXkUMYIUHq4Mc3t4bE", "tests of Dendrite"),
        ("1Pu3u3solToI2pTdsHA4wj05bANnzPwJoxPepw2he2s", "tests of matrix-media-repo"),
        ("wdSWsTNSOmMuNA1Ej6JUyeNbiBEt5jexHmVs7mHKZVc", "tests of matrix-media-repo"),
        ("PJt0OaIImDJk8P/PDb4TNQHgI/1AA1C+AaQaABxAcgc", "tests of matrix-media-repo"),
        ("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "test vectors of RFC 8032"),
        ("TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs", "test vectors of RFC 8032"),
        ("xaqN9D+fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc", "test vectors of RFC 8032"),
        ("9eV2fPFTMZUXYw8iaHa4bIFgzFg7wBN0TGvyVfXMDuU", "test vectors of RFC 8032"),
        ("gz/mJAkje51i7HdYdSCRHpp1nOwdGXVbfakBuW3KPUI", "test vectors of RFC 8032"),
    ];
}
