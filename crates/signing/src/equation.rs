//! The equation of Ed25519, of one signature or of several at once.

use curve25519_dalek::{EdwardsPoint, constants::ED25519_BASEPOINT_POINT, scalar::Scalar};
use sha2::{Digest as _, Sha512};
use std::sync::LazyLock;

use crate::{PreparedKeys, Signature, VerifyingKey, comb::Comb, verifying_key::is_small_order_r};

/// A signature of a message that is said to be a key's.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    /// The key.
    pub key: &'c VerifyingKey,
    /// The bytes that were signed.
    pub message: &'c [u8],
    /// The signature.
    pub signature: &'c Signature,
}

/// Which of several claims hold, in their order: those for which [`VerifyingKey::verify`] says so.
///
/// Each has its own equation, whose verdict depends on no other claim: this is no batch verification. What they share is one
/// inversion in the field, with which all points are encoded, so that each takes about an eighth less time.
///
/// ```
/// use freehold_signing::{Claim, SigningKey, which_hold};
///
/// let key = SigningKey::from_seed(&[7; 32]);
/// let (signature, key) = (key.sign(b"hello"), key.verifying_key());
/// let claims = [&b"hello"[..], b"hullo"].map(|message| Claim { key, message, signature: &signature });
/// assert_eq!(which_hold(&claims, None), [true, false]);
/// ```
pub fn which_hold(claims: &[Claim<'_>], prepared: Option<&PreparedKeys>) -> Vec<bool> {
    let points: Vec<Option<EdwardsPoint>> = claims.iter().map(|claim| claim.expected(prepared)).collect();
    let computed: Vec<EdwardsPoint> = points.iter().flatten().copied().collect();
    let mut encoded = EdwardsPoint::compress_batch_alloc(&computed).into_iter();
    let is_r = |(claim, point): (&Claim<'_>, Option<EdwardsPoint>)| {
        // The bytes of R equal the bytes of S·B − H(R, A, M)·A.
        point
            .and_then(|_| encoded.next())
            .is_some_and(|bytes| claim.signature.as_bytes().starts_with(bytes.as_bytes()))
    };
    claims.iter().zip(points).map(is_r).collect()
}

/// The multiples of the base point, which every verification needs.
static BASE: LazyLock<Comb> = LazyLock::new(|| Comb::new(&ED25519_BASEPOINT_POINT, 8, 1));

/// The multiples of the point of a key: 11 × 32 points of 160 bytes.
pub(crate) fn table_of(key: &VerifyingKey) -> Comb {
    Comb::new(&key.point(), 6, 4)
}

impl Claim<'_> {
    /// `S·B − H(R, A, M)·A`, which is to be encoded as R; `None` where no R would do.
    fn expected(&self, prepared: Option<&PreparedKeys>) -> Option<EdwardsPoint> {
        let bytes = self.signature.as_bytes();
        let (r, s) = bytes.split_first_chunk::<32>()?;
        if is_small_order_r(bytes) {
            return None;
        }
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s.first_chunk::<32>()?))?;
        let hash = Sha512::new().chain_update(r).chain_update(self.key.as_bytes()).chain_update(self.message);
        let h = Scalar::from_hash(hash);
        Some(match prepared.and_then(|prepared| prepared.table(self.key)) {
            Some(table) => BASE.times(&s) - table.times(&h),
            None => EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-self.key.point(), &s),
        })
    }
}
