//! The specification's vectors and the comparisons with other implementations.

use crate::process::{Outcome, call, cargo};

/// The task `spec-tests`. Optimised, because the comparisons resolve hundreds of rooms.
pub(crate) fn run() -> Outcome {
    call(&mut cargo(&["test", "--release", "--package", "freehold-spec-tests", "--locked"]))
}
