//! Resolution of rooms: written by hand, generated, and in every shape that a server may have them in.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails may panic"
)]

mod dag;
mod incidents;
mod laws;
mod msc4297;
mod shapes;
mod twin;
