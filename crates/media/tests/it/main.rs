//! The service over an engine and bytes in memory, with two tenants.

mod downloads;
mod ownership;
mod thumbnails;
mod uploads;
mod world;
