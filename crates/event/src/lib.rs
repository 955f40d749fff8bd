//! The Matrix PDU of every room version: format, hashes, ids, redaction.
