//! An engine compared to a plain map, over scripts made at random from a fixed seed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Place, TEXTS, commit, wait};
use crate::batch::Batch;
use crate::engine::{Engine, Order, ScanRange};
use crate::key::encoded;
use crate::number::Position;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Batches, ranges, snapshots and reopenings at random: at every step the engine shows what a map would.
pub fn any_script_does_what_it_does_to_a_map(place: &impl Place) {
    for seed in 1..=3 {
        Script { engine: place.open(), model: Model::new(), position: Position(0), random: seed }.run(place);
        return_to_empty(place);
    }
}

struct Script {
    engine: Arc<dyn Engine>,
    model: Model,
    position: Position,
    random: u64,
}

impl Script {
    fn run(mut self, place: &impl Place) {
        self.position = self.engine.snapshot().unwrap().position();
        for _ in 0..150 {
            match self.below(10) {
                0 => self = self.reopen(place),
                1..=6 => self.write(),
                _ => self.compare_range(),
            }
        }
        self.compare(Vec::new(), None, usize::MAX);
    }

    /// The next random number, below `bound` (splitmix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn text(&mut self) -> String {
        let length = self.below(4);
        (0..length).map(|_| char::from(b"\0\x01ab"[self.below(4) as usize])).collect()
    }

    fn reopen(self, place: &impl Place) -> Self {
        let Script { engine, model, position, random } = self;
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.snapshot().unwrap().position(), position);
        Script { engine, model, position, random }
    }

    fn write(&mut self) {
        let (mut batch, mut model) = (Batch::new(), self.model.clone());
        for _ in 0..self.below(6) {
            let (text, row) = (self.text(), vec![0_u8; self.below(3000) as usize]);
            let key = encoded(&text);
            if self.below(3) == 0 {
                batch.delete(&TEXTS, &text);
                model.remove(&key);
            } else {
                batch.put(&TEXTS, &text, &row);
                model.insert(key, crate::value::encoded(&row));
            }
        }
        let expected = self.text();
        let holds = !self.model.contains_key(&encoded(&expected));
        batch.expect_absent(&TEXTS, &expected);
        let before = self.engine.snapshot().unwrap();
        assert_eq!(commit(&*self.engine, batch).is_ok(), holds);
        assert_eq!(before.position(), self.position);
        if holds {
            self.model = model;
            self.position = Position(self.position.0 + 1);
        }
    }

    fn compare_range(&mut self) {
        let (start, end) = (encoded(&self.text()), encoded(&self.text()));
        let (end, limit) = ((self.below(2) == 0).then_some(end), self.below(5) as usize);
        self.compare(start, end, limit);
    }

    fn compare(&self, start: Vec<u8>, end: Option<Vec<u8>>, limit: usize) {
        let snapshot = self.engine.snapshot().unwrap();
        assert_eq!(snapshot.position(), self.position);
        let rows: Vec<(Vec<u8>, Vec<u8>)> = if end.as_ref().is_some_and(|end| *end <= start) {
            Vec::new()
        } else {
            let end = end.clone().map_or(Bound::Unbounded, Bound::Excluded);
            let range = self.model.range((Bound::Included(start.clone()), end));
            range.map(|(key, row)| (key.clone(), row.clone())).collect()
        };
        let scan = |order| {
            let range = ScanRange { start: start.clone(), end: end.clone() };
            wait(snapshot.scan(TEXTS.id, range, order, limit)).unwrap()
        };
        let limited: Vec<_> = rows.iter().take(limit).cloned().collect();
        assert_eq!(scan(Order::Ascending), limited);
        let limited: Vec<_> = rows.into_iter().rev().take(limit).collect();
        assert_eq!(scan(Order::Descending), limited);
    }
}

/// Removes everything, so that the next script begins with nothing at the same place.
fn return_to_empty(place: &impl Place) {
    let engine = place.open();
    let mut batch = Batch::new();
    for (key, _) in super::all(&*engine.snapshot().unwrap(), TEXTS.id) {
        batch.delete(&TEXTS, &crate::key::decoded::<String>(&key).unwrap());
    }
    commit(&*engine, batch).unwrap();
}
