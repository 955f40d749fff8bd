//! Where logs go: the standard error, for people or for programs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat, LogLevel};

/// Begins to log. Nothing happens if somebody else did before.
pub(crate) fn start(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = fmt().with_max_level(level).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    // Another subscriber can be there only in tests.
    let _ = match log.format {
        LogFormat::Text => lines.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
