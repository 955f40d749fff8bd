//! The researcher's bench.
fn main() {}
