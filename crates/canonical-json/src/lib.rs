//! Canonical JSON of the Matrix specification: parse with limits, print, check.
//!
//! Servers sign and hash JSON, so that all of them must write the same value as the same bytes:
//! [canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json). This crate
//!
//! * brings text into canonical form without building a tree ([`canonicalize`],
//!   [`canonicalize_to`] a hasher, [`CanonicalObject`] for events);
//! * writes any serde type canonically ([`to_canonical_vec_from`]);
//! * tells whether a text is canonical already, in a single pass ([`check_canonical`]);
//! * reads a few members out of text without building a tree ([`fields`], [`member`]);
//! * builds trees that borrow from the text, and prints them ([`parse`], [`Value`]).
//!
//! # What it accepts
//!
//! Exactly the JSON of RFC 8259 in UTF-8, within the [`Limits`] of the caller. Room versions 6 and
//! later ([`Limits::STRICT`]) have only integers of at most 53 bits. Room versions 1 to 5
//! ([`Limits::RELAXED`]) also have floats and integers of any size, which are printed as the
//! reference implementation, Python's `canonicaljson`, prints them. The last example of the
//! specification, which turns `-0` into `0` and `1e10` into `10000000000`, contradicts the rule
//! above it: strict parsing refuses both, relaxed parsing prints `0` and
//! `10000000000.0`.
//!
//! **Duplicate keys: the last one wins**, as everywhere on the network. Lone surrogates have no
//! UTF-8 form and are refused, like `NaN` and `Infinity`.
//!
//! # What it deliberately does not do
//!
//! It knows nothing of events, hashes or signatures, does no I/O, and repairs nothing: a text is
//! either within the limits or refused with the byte offset and the reason.
//!
//! # Where to start
//!
//! With [`CanonicalObject`] for documents that are hashed or signed, and with [`Value`] for those
//! that are taken apart and changed.
//!
//! ```
//! use freehold_canonical_json::{Limits, Value, parse};
//!
//! let mut value = parse(br#"{"b": "\u00e9", "a": [1, 2]}"#, &Limits::STRICT)?;
//! if let Some(object) = value.as_object_mut() {
//!     object.insert("c", true);
//! }
//! assert_eq!(value.to_canonical_vec(), r#"{"a":[1,2],"b":"é","c":true}"#.as_bytes());
//!
//! let error = parse(br#"{"a": 1.5}"#, &Limits::STRICT).unwrap_err();
//! assert_eq!(error.to_string(), "invalid JSON at byte 7: number with a fraction or an exponent");
//! # Ok::<(), freehold_canonical_json::ParseError>(())
//! ```

mod canonical;
mod canonical_object;
mod check;
mod error;
mod key;
mod lexer;
mod limits;
mod number;
mod object;
mod raw;
mod serde_in_out;
mod serialize;
mod sink;
mod string;
mod tree;
mod value;
mod walk;

pub use canonical::{canonical_text, canonicalize, canonicalize_to};
pub use canonical_object::{CanonicalMember, CanonicalObject, ObjectWriter};
pub use check::{check_canonical, is_canonical};
pub use error::{NotCanonical, NotCanonicalKind, ParseError, ParseErrorKind};
pub use limits::{Limits, MAX_INTEGER, MAX_INTEGER_DIGITS, MIN_INTEGER, Numbers};
pub use number::Number;
pub use object::{Iter, Object};
pub use raw::{Elements, Fields, Kind, RawValue, elements, fields, member, string_member};
pub use serialize::{SerializeError, to_canonical_vec_from, to_value};
pub use sink::Sink;
pub use tree::parse;
pub use value::Value;
