//! Tests of this crate over a network in memory, and over loopback.

mod caching;
mod client;
mod discovery;
mod doctor;
mod health;
mod incidents;
mod keys;
mod loopback;
mod world;
