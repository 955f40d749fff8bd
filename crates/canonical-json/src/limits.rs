//! What a caller lets a stranger's JSON cost.

/// Bounds on one JSON text, given by the caller on every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest text that is looked at, in bytes.
    pub bytes: usize,
    /// How many arrays and objects may be open at the same time.
    ///
    /// A bare number has depth 0, `[]` has depth 1, `{"a":[]}` has depth 2.
    pub depth: usize,
    /// Which numbers are accepted.
    pub numbers: Numbers,
}

/// Which numbers are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// Room versions 6 and later, and everything that is not an event: integers from
    /// [`MIN_INTEGER`] to [`MAX_INTEGER`], without fraction, exponent or `-0`.
    ///
    /// <https://spec.matrix.org/v1.19/appendices/#canonical-json>
    Strict,
    /// Room versions 1 to 5, which "MUST NOT" enforce the rules strictly: also integers of any
    /// size and finite floats, printed as Python's `canonicaljson` prints them.
    ///
    /// <https://spec.matrix.org/v1.19/rooms/v1/#canonical-json>
    Relaxed,
}

/// The largest integer of canonical JSON, 2^53 − 1.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The smallest integer of canonical JSON, −2^53 + 1.
pub const MIN_INTEGER: i64 = -MAX_INTEGER;

/// How many digits an integer may have in relaxed JSON.
///
/// Python refuses to read longer ones since 3.11 (`sys.int_info.default_max_str_digits`), so that
/// the reference implementation drops such an event.
pub const MAX_INTEGER_DIGITS: usize = 4300;

impl Limits {
    /// The rules of room versions 6 and later with bounds that suit one HTTP body.
    ///
    /// * `bytes`: 200 events of 65,536 bytes, what Synapse lets a request body have.
    /// * `depth`: 127, where `serde_json`, and with it every server that is built on ruma, stops.
    ///   The Python and Go servers go on for longer, but such an event cannot be accepted by
    ///   everybody anyway.
    pub const STRICT: Self = Self { bytes: 200 * 65_536, depth: 127, numbers: Numbers::Strict };

    /// The rules of room versions 1 to 5 with the same bounds as [`Limits::STRICT`].
    pub const RELAXED: Self = Self { numbers: Numbers::Relaxed, ..Self::STRICT };
}
