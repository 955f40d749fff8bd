//! An operator who lies: with the keys of the tenants of one process, and all that it knows.

mod answers;
mod events;
mod misdirected;
mod requests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use freehold_store::Tenant;
use freehold_testkit::Rng;
use ruma_common::OwnedUserId;

use crate::crowd::{Crowd, RoomKnown};
use crate::laws::Violation;
use crate::process::Process;
use crate::world::World;

/// The operator.
pub(crate) struct Adversary {
    world: Arc<World>,
    crowd: Arc<Crowd>,
    place: usize,
    sent: Mutex<Sent>,
    /// Where he was heard and should not have been.
    heard: Mutex<Vec<Violation>>,
    /// By which lies in answers are chosen.
    lies: Mutex<Rng>,
}

/// How much was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Transactions and questions.
    pub(crate) requests: u64,
    /// Events, however often, to whomever.
    pub(crate) events: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    /// For how many events an id was chosen.
    made: u64,
}

/// One thing that the operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// A valid event that only one server gets, and others have to ask for.
    Withhold,
    /// An event of somebody else's user, signed with the wrong key in the right name.
    Forge,
    /// A valid event whose content was changed afterwards.
    Tamper,
    /// An event that is too large.
    Oversize,
    /// An event that follows events that do not exist.
    Phantoms,
    /// An event that the rules of the room do not allow.
    Overreach,
    /// An event that follows something old, as if nothing had happened since.
    Backdate,
    /// A valid event, of which nobody got what it follows and what authorises it: all have to ask.
    Ravine,
    /// Two events in one place, one for each half of the world.
    Equivocate,
    /// An event before the one that it follows.
    Reorder,
    /// An event to everybody, whoever is in the room, and one of a room that nobody knows.
    Misaddress,
    /// What others sent, again.
    Replay,
    /// Transactions that are none.
    Garbage,
    /// Questions about rooms that are none of its business.
    Snoop,
    /// An event that is authorised by one that does not exist.
    Orphan,
    /// Events that follow and authorise each other: possible where authors choose ids.
    Circle,
    /// What others type, read and tell devices, made up.
    Gossip,
    /// Requests signed for another tenant of the same process, for nobody, or in the name of others.
    Misdirect,
}

impl Trick {
    /// All of them.
    pub(crate) const ALL: [Trick; 18] = [
        Trick::Withhold,
        Trick::Forge,
        Trick::Tamper,
        Trick::Oversize,
        Trick::Phantoms,
        Trick::Overreach,
        Trick::Backdate,
        Trick::Ravine,
        Trick::Equivocate,
        Trick::Reorder,
        Trick::Misaddress,
        Trick::Replay,
        Trick::Garbage,
        Trick::Snoop,
        Trick::Orphan,
        Trick::Circle,
        Trick::Gossip,
        Trick::Misdirect,
    ];
}

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl Adversary {
    /// The operator of a process, who answers in its place from now on.
    pub(crate) fn new(world: Arc<World>, crowd: Arc<Crowd>, (place, rng): (usize, Rng)) -> Arc<Self> {
        let (sent, heard, lies) = (Mutex::default(), Mutex::default(), Mutex::new(rng));
        let this = Arc::new(Adversary { world: world.clone(), crowd, place, sent, heard, lies });
        let answering = Arc::downgrade(&this);
        world.disguise(Box::new(move |process| answering.upgrade().map(|this| this.answering(process))));
        this
    }

    /// Where he was heard and should not have been.
    pub(crate) fn heard(&self) -> Vec<Violation> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        *self.lock()
    }

    /// Begins a trick; it is done when it is done.
    pub(crate) fn begin(self: &Arc<Self>, mut rng: Rng) {
        let this = self.clone();
        tokio::spawn(async move {
            let trick = *rng.pick(&Trick::ALL).unwrap();
            this.play(trick, &mut rng).await;
        });
    }

    /// Plays a trick in a room.
    pub(crate) async fn play(&self, trick: Trick, rng: &mut Rng) {
        let rooms = self.crowd.rooms();
        let Some(process) = self.world.process(self.place) else { return };
        let Some((room, who)) = self.stage(&rooms, rng) else { return };
        self.world.trace.note(format!("{who} plays {trick:?} in {}", room.room_id));
        let scene = Scene { process: &process, room: &room, who: &who };
        match trick {
            Trick::Garbage => self.garbage(&scene, rng).await,
            Trick::Snoop => self.snoop(&scene).await,
            Trick::Replay => self.replay(&scene).await,
            Trick::Gossip => self.gossip(&scene, rng).await,
            Trick::Misdirect => self.misdirect(&scene).await,
            Trick::Ravine => self.ravine(&scene, rng).await,
            _ => self.speak(trick, &scene, rng).await,
        }
    }

    /// Where a trick is played, and by whom: mostly by somebody who is in the room, of whom others hear.
    fn stage(&self, rooms: &[RoomKnown], rng: &mut Rng) -> Option<(RoomKnown, OwnedUserId)> {
        let users = self.world.users(self.place);
        let all = rooms.iter().flat_map(|room| users.iter().map(move |user| (room, user)));
        let (inside, outside): (Vec<_>, Vec<_>) = all.partition(|(room, user)| room.people.contains(*user));
        let stages =
            if outside.is_empty() || rng.chance(80) && !inside.is_empty() { inside } else { outside };
        rng.pick(&stages).map(|(room, user)| ((*room).clone(), (*user).clone()))
    }

    /// Tricks with events of its own.
    async fn speak(&self, trick: Trick, scene: &Scene<'_>, rng: &mut Rng) {
        let Some(mut drafts) = self.drafts(trick, scene, rng).await else { return };
        let mut texts = Vec::new();
        for draft in drafts.drain(..) {
            texts.extend(self.made(scene, draft).await);
        }
        let Some(first) = texts.first().cloned() else { return };
        let servers = self.others(rng);
        match trick {
            Trick::Withhold => {
                self.keep(scene, &first).await;
                self.send(scene, &servers[..1], vec![first]).await;
            }
            Trick::Tamper => {
                let changed = first.replacen("lie", "lye", 1);
                self.send(scene, &servers, vec![changed]).await;
            }
            Trick::Oversize => {
                let padding = format!("{{\"padding\":\"{}\",", "x".repeat(70_000));
                self.send(scene, &servers, vec![first.replacen('{', &padding, 1)]).await;
            }
            Trick::Equivocate => {
                let (one, other) = servers.split_at(servers.len() / 2);
                self.send(scene, one, vec![first]).await;
                self.send(scene, other, texts.split_off(1)).await;
            }
            Trick::Reorder => self.reorder(scene, &servers, first).await,
            Trick::Misaddress => {
                let elsewhere = first.replace(scene.room.room_id.as_str(), "!nowhere:nowhere.example");
                self.send(scene, &servers, vec![first, elsewhere]).await;
            }
            _ => self.send(scene, &servers, texts).await,
        }
    }

    /// The tenants of the other processes, in any order; one of each process at least.
    fn others(&self, rng: &mut Rng) -> Vec<String> {
        let mut servers = self.all_others();
        rng.shuffle(&mut servers);
        servers
    }

    fn all_others(&self) -> Vec<String> {
        let places = self.world.places().filter(|place| *place != self.place);
        places.flat_map(|place| self.world.names(place).to_vec()).collect()
    }

    fn honest_user(&self, room: &RoomKnown, rng: &mut Rng) -> Option<OwnedUserId> {
        let honest =
            |user: &&OwnedUserId| self.world.place_of(user.server_name().as_str()) != Some(self.place);
        let people: Vec<OwnedUserId> = room.people.iter().filter(honest).cloned().collect();
        rng.pick(&people).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a trick is played, and by whom.
struct Scene<'s> {
    process: &'s Arc<Process>,
    room: &'s RoomKnown,
    who: &'s OwnedUserId,
}

impl Scene<'_> {
    fn tenant(&self) -> Tenant {
        self.process.setting.hosted.find(self.who.server_name().as_str()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trick_is_listed_once() {
        let names: std::collections::BTreeSet<String> =
            Trick::ALL.iter().map(|trick| format!("{trick:?}")).collect();
        assert_eq!(names.len(), Trick::ALL.len());
    }
}
