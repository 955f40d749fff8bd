//! Accounts over a store in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, also outside the functions that are marked as tests"
)]

mod account_data;
mod administration;
mod carry_over;
mod interactive;
mod member_jobs;
mod moderation;
mod passwords;
mod push_rules;
mod refresh;
mod register;
mod removal;
mod world;
