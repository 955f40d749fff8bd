//! Prints the rows about memory, one in a line: name, bytes, and the most that the bytes may be.
//!
//! A program of its own, because counting bytes makes allocation slower, and more so for those who allocate more.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use freehold_benches::{heap_of_idle_tenants, heap_of_our_resolution, heap_of_peer_resolution};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let (members, tenants) = if smoke { (1_000, 100) } else { (100_000, 100_000) };
    let ours = heap_of_our_resolution(members, peak_of);
    println!(
        "2 forks, {members} members, 10 % in conflict: peak extra heap, snapshots\t{ours}\t{}",
        64 << 20
    );
    let peer = heap_of_peer_resolution(members, peak_of);
    println!("2 forks, {members} members, 10 % in conflict: peak extra heap, ruma\t{peer}\t");
    let idle = heap_of_idle_tenants(tenants, || HEAP.current_usage());
    println!("keyring, {tenants} tenants not in use: heap for each\t{}\t64", idle / tenants);
}

/// The bytes that a function has on the heap at most, beyond what is there before.
fn peak_of(function: &mut dyn FnMut()) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    function();
    HEAP.peak_usage().saturating_sub(before)
}
