//! What the fuzz targets run: each function takes any bytes, and panics when something does not
//! hold. The targets of `fuzz/` and the binary `fuzz-smoke` only call them.

mod keys;
mod pdu;
mod rooms;
mod state_map;
mod text;

pub use self::{
    keys::{key_document, key_file},
    pdu::pdu,
    rooms::resolve_versus_twin,
    state_map::state_map_operations,
    text::{canonical_json, x_matrix},
};

/// A harness with the name of its target.
pub type Harness = (&'static str, fn(&[u8]));

/// Every harness.
pub const HARNESSES: &[Harness] = &[
    ("canonical_json", canonical_json),
    ("pdu", pdu),
    ("x_matrix", x_matrix),
    ("key_document", key_document),
    ("key_file", key_file),
    ("state_map_operations", state_map_operations),
    ("resolve_versus_twin", resolve_versus_twin),
];
