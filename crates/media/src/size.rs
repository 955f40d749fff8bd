//! Sizes of thumbnails.

/// How a picture is made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Cut to the proportions that are asked for.
    Crop,
    /// As it is, smaller.
    Scale,
}

/// Whether a thumbnail may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Animation {
    /// It stands still.
    Still,
    /// It moves if the picture does.
    Moving,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailSize {
    /// Least width in pixels.
    pub width: u32,
    /// Least height in pixels.
    pub height: u32,
    /// How.
    pub method: Method,
}

/// The sizes that the specification recommends (<https://spec.matrix.org/v1.19/client-server-api/#thumbnails>).
const RECOMMENDED: [ThumbnailSize; 5] = [
    ThumbnailSize { width: 32, height: 32, method: Method::Crop },
    ThumbnailSize { width: 96, height: 96, method: Method::Crop },
    ThumbnailSize { width: 320, height: 240, method: Method::Scale },
    ThumbnailSize { width: 640, height: 480, method: Method::Scale },
    ThumbnailSize { width: 800, height: 600, method: Method::Scale },
];

/// Larger ones are made in steps, so that nobody fills the disk by asking for each size in turn.
const STEP: u32 = 160;
/// Beyond it there is only the picture itself.
const LONGEST: u32 = 1600;

impl ThumbnailSize {
    /// The size that is made for this one: at least as large. `None` if only the picture itself is.
    pub(crate) fn made(self) -> Option<Self> {
        let square = self.method == Method::Scale || self.width == self.height;
        let fits = |one: &&ThumbnailSize| {
            square && one.method == self.method && one.width >= self.width && one.height >= self.height
        };
        if let Some(recommended) = RECOMMENDED.iter().find(fits) {
            return Some(*recommended);
        }
        let up = |length: u32| length.max(1).div_ceil(STEP).saturating_mul(STEP);
        let made = ThumbnailSize { width: up(self.width), height: up(self.height), ..self };
        (made.width <= LONGEST && made.height <= LONGEST).then_some(made)
    }

    /// The size of what is made from a picture of this size: never larger than the picture, and never smaller than what is
    /// asked for. `None` if the picture itself is to be given.
    pub(crate) fn for_picture(self, (width, height): (u32, u32)) -> Option<(u32, u32)> {
        if width <= self.width || height <= self.height {
            return None;
        }
        if self.method == Method::Crop {
            return Some((self.width, self.height));
        }
        // The side that would become too short otherwise has the length asked for.
        let (w, h) = (u64::from(width), u64::from(height));
        let (least_w, least_h) = (u64::from(self.width), u64::from(self.height));
        let scaled = if least_w * h >= least_h * w {
            (least_w, (least_w * h).div_ceil(w))
        } else {
            ((least_h * w).div_ceil(h), least_h)
        };
        Some((u32::try_from(scaled.0).ok()?, u32::try_from(scaled.1).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: u32, height: u32, method: Method) -> ThumbnailSize {
        ThumbnailSize { width, height, method }
    }

    #[test]
    fn the_recommended_sizes_are_made_and_larger_ones_in_steps() {
        use Method::{Crop, Scale};
        let cases = [
            (size(1, 1, Crop), Some((32, 32))),
            (size(32, 32, Crop), Some((32, 32))),
            (size(33, 33, Crop), Some((96, 96))),
            (size(97, 97, Crop), Some((160, 160))),
            (size(32, 64, Crop), Some((160, 160))),
            (size(100, 100, Scale), Some((320, 240))),
            (size(100, 241, Scale), Some((640, 480))),
            (size(800, 600, Scale), Some((800, 600))),
            (size(801, 600, Scale), Some((960, 640))),
            (size(1600, 1600, Scale), Some((1600, 1600))),
            (size(1601, 1, Scale), None),
            (size(u32::MAX, u32::MAX, Crop), None),
        ];
        for (asked, made) in cases {
            let expected = made.map(|(width, height)| size(width, height, asked.method));
            assert_eq!(asked.made(), expected, "{asked:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_covers_what_was_asked_and_is_no_larger_than_the_picture(
            (width, height) in (1_u32..3000, 1_u32..3000),
            (picture_width, picture_height) in (1_u32..20_000, 1_u32..20_000),
            crop: bool,
        ) {
            let method = if crop { Method::Crop } else { Method::Scale };
            let Some(made) = size(width, height, method).made() else { return Ok(()) };
            prop_assert!(made.width >= width && made.height >= height);
            if let Some((w, h)) = made.for_picture((picture_width, picture_height)) {
                prop_assert!(w >= made.width && h >= made.height);
                prop_assert!(w <= picture_width && h <= picture_height);
                let skew = (u64::from(w) * u64::from(picture_height)).abs_diff(u64::from(h) * u64::from(picture_width));
                let one_pixel = u64::from(picture_width.max(picture_height));
                prop_assert!(crop || skew <= one_pixel, "proportions are kept to a pixel");
            }
        }
    }
}
