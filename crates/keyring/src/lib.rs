//! Signing keys of many tenants, and the keys of the servers they meet.
