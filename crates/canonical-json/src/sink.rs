//! Where canonical bytes go.

/// Takes canonical bytes piece by piece: a buffer, or a hasher.
///
/// A hasher of another crate is wrapped in a type of one's own:
///
/// ```
/// use freehold_canonical_json::Sink;
///
/// /// Counts bytes; a SHA-256 would be fed in the same way.
/// struct Length(usize);
///
/// impl Sink for Length {
///     fn write(&mut self, bytes: &[u8]) {
///         self.0 += bytes.len();
///     }
/// }
/// ```
pub trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        (**self).write(bytes);
    }
}
