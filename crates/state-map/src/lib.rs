//! Persistent, structurally shared, content-addressed snapshots of room state.
