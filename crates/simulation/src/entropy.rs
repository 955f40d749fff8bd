//! Randomness for what would ask the operating system.

use std::sync::{Mutex, PoisonError};

use freehold_federation::Randomness;
use freehold_rooms::{Entropy, NoEntropy};
use freehold_testkit::Rng;

/// A seeded stream that several parts draw from.
#[derive(Debug)]
pub(crate) struct Stream(Mutex<Rng>);

impl Stream {
    pub(crate) fn new(rng: Rng) -> Self {
        Stream(Mutex::new(rng))
    }

    fn draw(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

impl Randomness for Stream {
    fn next(&self) -> u64 {
        self.draw()
    }
}

impl Entropy for Stream {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.draw().to_le_bytes();
            chunk.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
        }
        Ok(())
    }
}
