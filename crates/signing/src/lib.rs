//! Signatures on Matrix JSON, events and federation requests.
