//! Tests of this crate over a network in memory, and over loopback.
