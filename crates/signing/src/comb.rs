//! Multiples of one point, made beforehand.

use curve25519_dalek::{EdwardsPoint, scalar::Scalar, traits::Identity as _};

/// Multiples of a point, from which its product with any scalar is put together by additions: a digit of
/// the scalar chooses which multiple.
///
/// With one row there are multiples for every digit, and nothing has to be doubled. With more rows they
/// serve that many digits each, and the sum is doubled between the rows.
///
/// Time depends on the scalar, so it is for public ones only.
pub(crate) struct Comb {
    /// Bits of a digit.
    window: u32,
    rows: usize,
    /// For every digit of a row the multiples 1, 2, … up to half of the window.
    multiples: Vec<EdwardsPoint>,
}

/// Scalars are below the group order, which is a little above 2^252.
const SCALAR_BITS: u32 = 253;
/// As many digits as the smallest window makes of a scalar.
const DIGITS_MAX: usize = 64;

impl Comb {
    /// The multiples of a point, for windows of 4 to 8 bits.
    pub(crate) fn new(point: &EdwardsPoint, window: u32, rows: usize) -> Self {
        // A bit more, because the last digit must not carry.
        let digits = (SCALAR_BITS + 1).div_ceil(window) as usize;
        let mut multiples = Vec::with_capacity(digits.div_ceil(rows) * half(window));
        let mut place = *point;
        for _ in 0..digits.div_ceil(rows) {
            let mut multiple = place;
            for _ in 0..half(window) {
                multiples.push(multiple);
                multiple += place;
            }
            place = doubled(place, window * rows as u32);
        }
        Self { window, rows, multiples }
    }

    /// The product of the point and a scalar, the scalar taken as a number: also right for points that are
    /// not in the subgroup of prime order.
    pub(crate) fn times(&self, scalar: &Scalar) -> EdwardsPoint {
        let digits = digits(scalar, self.window);
        let mut sum = EdwardsPoint::identity();
        for row in (0..self.rows).rev() {
            if row + 1 < self.rows {
                sum = doubled(sum, self.window);
            }
            let digits = digits.iter().skip(row).step_by(self.rows);
            for (digit, multiples) in digits.zip(self.multiples.chunks_exact(half(self.window))) {
                let place = usize::from(digit.unsigned_abs()).checked_sub(1);
                let Some(multiple) = place.and_then(|place| multiples.get(place)) else { continue };
                sum = if *digit > 0 { sum + multiple } else { sum - multiple };
            }
        }
        sum
    }
}

/// A point times a power of two. Doubling three times at once is faster than adding thrice.
fn doubled(point: EdwardsPoint, times: u32) -> EdwardsPoint {
    let tripled = (0..times / 3).fold(point, |point, _| point.mul_by_cofactor());
    (0..times % 3).fold(tripled, |point, _| point + point)
}

/// The greatest digit: they are positive and negative, so that half as many multiples do.
const fn half(window: u32) -> usize {
    1 << (window - 1)
}

/// The digits of a scalar to the base 2^window, the lowest first.
fn digits(scalar: &Scalar, window: u32) -> [i16; DIGITS_MAX] {
    let mut digits = [0; DIGITS_MAX];
    let mut bytes = scalar.as_bytes().iter();
    let (mut buffer, mut bits, mut carry) = (0_u32, 0, 0);
    for digit in &mut digits {
        if bits < window
            && let Some(byte) = bytes.next()
        {
            buffer |= u32::from(*byte) << bits;
            bits += 8;
        }
        let value = (buffer & ((1 << window) - 1)) as i16 + carry;
        buffer >>= window;
        bits = bits.saturating_sub(window);
        carry = i16::from(value > half(window) as i16);
        *digit = value - (carry << window);
    }
    digits
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use proptest::prelude::*;

    use super::*;

    fn agrees(point: &EdwardsPoint, scalar: &Scalar, (window, rows): (u32, usize)) {
        let product = Comb::new(point, window, rows).times(scalar);
        assert_eq!(product.compress(), (point * scalar).compress(), "{window} {rows} {scalar:?}");
    }

    #[test]
    fn products_at_the_ends_of_the_range_are_those_of_the_library() {
        let scalars = [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, -Scalar::from(2_u64), Scalar::from(u64::MAX)];
        for scalar in &scalars {
            for shape in [(4, 1), (4, 4), (5, 1), (5, 4), (6, 4), (7, 1), (8, 1), (8, 2)] {
                agrees(&ED25519_BASEPOINT_POINT, scalar, shape);
                EIGHT_TORSION.iter().for_each(|torsion| agrees(torsion, scalar, shape));
            }
        }
    }

    proptest! {
        #[test]
        fn a_product_from_multiples_is_that_of_the_library(
            wide in any::<[u8; 32]>(),
            of_point in any::<[u8; 32]>(),
            torsion in 0_usize..8,
            shape in prop::sample::select(vec![(6, 4), (5, 4), (7, 1), (4, 2), (8, 1)]),
        ) {
            let point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(of_point)) + EIGHT_TORSION[torsion];
            agrees(&point, &Scalar::from_bytes_mod_order(wide), shape);
        }
    }
}
