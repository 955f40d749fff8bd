//! All queues, and what changed of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use freehold_store::{EventNumber, TenantNumber};
use ruma_common::OwnedServerName;

use super::audience::Audiences;
use super::progress::{At, BEGINNING, Progress};
use super::queue::Queue;

/// A tenant and a server.
pub(super) type Key = (TenantNumber, OwnedServerName);

/// All queues. What is done regularly is proportional to what changed, however many queues there are.
#[derive(Default)]
pub(super) struct State {
    pub(super) queues: BTreeMap<Key, Queue>,
    pub(super) progress: BTreeMap<TenantNumber, Progress>,
    /// Who is in rooms.
    pub(super) audiences: Audiences,
    /// Queues that have something to send, and nobody who sends it.
    ready: VecDeque<Key>,
    /// Tenants of whom something is to be written down.
    changed: BTreeSet<TenantNumber>,
    /// Queues of which it is to be written down how far they are behind.
    moved: BTreeMap<TenantNumber, BTreeSet<OwnedServerName>>,
    /// Tenants whose log could not be read.
    pub(super) unread: BTreeSet<TenantNumber>,
    /// Queues of tenants that are not in service.
    pub(super) parked: BTreeSet<Key>,
    /// Whether whoever runs knows that there is something to be done soon.
    knows_chores: bool,
}

/// What is to be written down of a tenant, all of it as it was at one moment.
pub(super) struct Change {
    pub(super) handed_over: At,
    pub(super) written: At,
    pub(super) floor: At,
    pub(super) cut: At,
    /// Where queues are now, `None` if they keep up.
    pub(super) moved: Vec<(Key, Option<At>)>,
}

impl State {
    pub(super) fn progress(&mut self, tenant: TenantNumber) -> &mut Progress {
        self.progress.entry(tenant).or_insert_with(|| Progress::resumed(BEGINNING))
    }

    pub(super) fn queue(&mut self, key: &Key) -> &mut Queue {
        self.queues.entry(key.clone()).or_default()
    }

    /// Has somebody send what a queue holds, unless somebody does.
    pub(super) fn wake(&mut self, key: &Key) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.is_busy || queue.is_idle() {
            return;
        }
        queue.is_busy = true;
        let is_behind = queue.behind().is_some();
        self.ready.push_back(key.clone());
        if is_behind {
            self.progress(key.0).shifts += 1;
        }
    }

    /// Whether a queue is given events as they happen. One that is behind, and that somebody sends, reads the log.
    pub(super) fn is_attentive(&self, key: &Key) -> bool {
        self.queues.get(key).is_none_or(|queue| queue.behind().is_none() || !queue.is_busy)
    }

    /// A queue that somebody is to send.
    pub(super) fn next_ready(&mut self) -> Option<Key> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Gives an event to queues. `false`, and nothing is given, if `shifts` says that the queues were chosen when others kept
    /// up.
    pub(super) fn give(
        &mut self,
        (tenant, shifts): (TenantNumber, Option<u64>),
        (at, event): (At, EventNumber),
        keys: &[Key],
    ) -> bool {
        if shifts.is_some_and(|shifts| shifts != self.progress(tenant).shifts) {
            return false;
        }
        let mut held = 0;
        for key in keys {
            if self.queues.get(key).is_some_and(Queue::is_full) {
                self.fall_behind(key);
            }
            match self.queues.get_mut(key) {
                Some(queue) => held += usize::from(queue.push(at, event)),
                None => held += usize::from(self.queue(key).push(at, event)),
            }
        }
        self.progress(tenant).given(at, held);
        self.changed.insert(tenant);
        keys.iter().for_each(|key| self.wake(key));
        true
    }

    /// A queue does not keep up: from now on it reads what is to be sent from the log.
    pub(super) fn fall_behind(&mut self, key: &Key) {
        let dispatched = self.progress(key.0).dispatched;
        self.change(key, |queue| queue.fall_behind(dispatched));
    }

    /// A server is waited for.
    pub(super) fn begin_to_wait(&mut self, key: &Key) {
        self.change(key, Queue::begin_to_wait);
    }

    /// A queue sent events up to a place.
    pub(super) fn sent(&mut self, key: &Key, up_to: At) {
        self.change(key, |queue| queue.sent(up_to));
    }

    /// A queue that was behind has read the log to its end, unless there is more by now.
    pub(super) fn keep_up(&mut self, key: &Key, read_up_to: At, is_end: impl Fn(At) -> bool) -> bool {
        let is_end = is_end(self.progress(key.0).dispatched);
        self.change(key, |queue| {
            match is_end {
                true => queue.keep_up(read_up_to),
                false => drop(queue.sent(read_up_to)),
            }
            Vec::new()
        });
        is_end
    }

    /// Nobody sends for a queue any more, if there is nothing to send. Whether that is so.
    pub(super) fn rest(&mut self, key: &Key) -> bool {
        let Some(queue) = self.queues.get_mut(key) else { return true };
        if !queue.is_idle() {
            return false;
        }
        queue.is_busy = false;
        if queue.is_forgettable() {
            self.queues.remove(key);
        }
        true
    }

    /// Nobody sends for a queue, as its tenant is not in service.
    pub(super) fn park(&mut self, key: &Key) {
        self.begin_to_wait(key);
        self.queue(key).is_busy = false;
        self.parked.insert(key.clone());
        self.progress(key.0).shifts += 1;
    }

    /// Changes a queue, and gives what it let go of.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Queue) -> Vec<At>) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let before = queue.behind();
        let done = change(queue);
        let after = queue.behind();
        let is_changed = before != after || !done.is_empty();
        let progress = self.progress(key.0);
        done.into_iter().for_each(|at| progress.done(at));
        progress.shifts += u64::from(before.is_some() != after.is_some());
        if before != after {
            progress.moved(&key.1, before, after);
            self.moved.entry(key.0).or_default().insert(key.1.clone());
        }
        if is_changed {
            self.changed.insert(key.0);
        }
    }

    /// Goes on where an earlier run of this process wrote down that a queue was.
    pub(super) fn resume_behind(&mut self, key: Key, at: At) {
        self.progress(key.0).moved(&key.1, None, Some(at));
        self.queue(&key).resume_behind(at);
    }

    /// Something is to be written down of a tenant.
    pub(super) fn note(&mut self, tenant: TenantNumber) {
        self.changed.insert(tenant);
    }

    /// Whether something is to be done soon. Whoever runs asks, and knows it from then on.
    pub(super) fn look_for_chores(&mut self) -> bool {
        self.knows_chores = !self.changed.is_empty() || !self.unread.is_empty();
        self.knows_chores
    }

    /// Whether there is something that whoever runs does not know.
    pub(super) fn has_news(&self) -> bool {
        let has_chores = !self.changed.is_empty() || !self.unread.is_empty();
        self.has_ready() || (has_chores && !self.knows_chores)
    }

    /// The tenants of whom something is to be written down.
    pub(super) fn take_changed(&mut self) -> BTreeSet<TenantNumber> {
        std::mem::take(&mut self.changed)
    }

    /// What is to be written down of a tenant.
    pub(super) fn change_of(&mut self, tenant: TenantNumber) -> Change {
        let moved = self.moved.remove(&tenant).unwrap_or_default();
        let keys = moved.into_iter().map(|server| (tenant, server));
        let moved = keys.map(|key| {
            let at = self.queues.get(&key).and_then(Queue::behind);
            (key, at)
        });
        let moved = moved.collect();
        let progress = self.progress(tenant);
        let (handed_over, written) = (progress.handed_over(), progress.written);
        Change { handed_over, written, floor: progress.floor(), cut: progress.cut, moved }
    }

    /// It could not be written down.
    pub(super) fn put_back(&mut self, tenant: TenantNumber, change: Change) {
        let moved = self.moved.entry(tenant).or_default();
        moved.extend(change.moved.into_iter().map(|((_, server), _)| server));
        self.changed.insert(tenant);
    }

    /// It was written down.
    pub(super) fn was_written(&mut self, tenant: TenantNumber, change: Change) {
        for (key, at) in change.moved {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            queue.written = at;
            if queue.is_forgettable() {
                self.queues.remove(&key);
            }
        }
        self.progress(tenant).written = change.handed_over;
    }

    /// A server was given up: what it missed up to a place is no longer read from the log.
    pub(super) fn gave_up(&mut self, key: &Key, up_to: At) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.has_missed = true;
        }
        self.change(key, |queue| match queue.behind() {
            Some(_) => queue.sent(up_to),
            None => Vec::new(),
        });
        self.wake(key);
    }
}

#[cfg(test)]
mod tests {
    use freehold_store::Position;

    use super::*;

    const TENANT: TenantNumber = TenantNumber(1);

    fn key(name: &str) -> Key {
        (TENANT, name.try_into().unwrap())
    }

    fn give(state: &mut State, position: u64, shifts: Option<u64>) -> bool {
        let keys = [key("live.example"), key("dead.example")];
        let attentive: Vec<Key> =
            keys.into_iter().filter(|key| shifts.is_none() || state.is_attentive(key)).collect();
        state.give((TENANT, shifts), ((Position(position), 0), EventNumber(position)), &attentive)
    }

    #[test]
    fn queues_are_chosen_anew_when_one_fell_behind_or_caught_up() {
        let mut state = State::default();
        assert!(give(&mut state, 1, Some(0)));
        state.begin_to_wait(&key("dead.example"));
        assert!(!state.is_attentive(&key("dead.example")) && state.is_attentive(&key("live.example")));
        assert!(!give(&mut state, 2, Some(0)), "it fell behind");
        let shifts = state.progress(TENANT).shifts;
        assert!(give(&mut state, 2, Some(shifts)) && give(&mut state, 3, Some(shifts)));
        assert!(give(&mut state, 4, None), "who is given to all need not choose");
        assert!(state.keep_up(&key("dead.example"), (Position(4), 0), |_| true));
        assert!(!give(&mut state, 5, Some(shifts)), "it caught up");
        state.begin_to_wait(&key("live.example"));
        let shifts = state.progress(TENANT).shifts;
        state.park(&key("live.example"));
        assert!(!give(&mut state, 5, Some(shifts)), "whoever is parked is woken by what comes");
        let shifts = state.progress(TENANT).shifts;
        assert!(give(&mut state, 5, Some(shifts)));
        assert!(state.progress(TENANT).shifts > shifts && !state.is_attentive(&key("live.example")));
    }
}
