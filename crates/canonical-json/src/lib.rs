//! Canonical JSON of the Matrix specification: parse with limits, print, check.
