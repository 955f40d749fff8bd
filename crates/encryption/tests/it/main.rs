//! The service over an engine in memory, with two tenants.

mod backup;
mod claims;
mod cross_signing;
mod device_keys;
mod device_lists;
mod to_device;
mod world;
