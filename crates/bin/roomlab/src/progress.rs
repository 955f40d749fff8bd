//! Progress on standard error, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for work of a known number of steps.
pub(crate) fn bar(what: &'static str, steps: usize) -> ProgressBar {
    // Hidden by indicatif when standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{msg:>10} {bar:30} {pos}/{len} {eta:>4}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// A spinner for work of an unknown number of steps.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {pos} rooms tried, {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}
