//! Devices of others: who shares a room with somebody knows the devices that somebody has, or is told to ask.

use std::collections::{BTreeMap, BTreeSet};

use ruma_common::{OwnedUserId, UserId};

use crate::crowd::Crowd;
use crate::devices::DeviceList;
use crate::laws::{Violation, members};
use crate::observe::Observed;
use crate::process::Process;
use crate::world::World;

/// What a user knows of the devices of another with whom a room is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub(crate) by: String,
    pub(crate) other: String,
    /// The devices that the other has, as the other's own process says.
    pub(crate) is: DeviceList,
    /// What the user's client has of them, unless it was told that they changed.
    pub(crate) held: Option<DeviceList>,
    /// What the user's process says of them; `None` if it cannot.
    pub(crate) said: Option<DeviceList>,
}

/// How many cases are shown.
const SHOWN: usize = 4;

/// What a client has without having been told of a change, and what it is told when it asks, is what there is.
pub(crate) fn tracking(tracked: &[Tracked]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for Tracked { by, other, is, held, said } in tracked {
        let mut found = |what: &str, list: &Option<DeviceList>| {
            let list = list.as_ref().map(|list| list.keys().collect::<Vec<_>>());
            let found =
                format!("{by} {what} {list:?} of {other}, who has {:?}", is.keys().collect::<Vec<_>>());
            violations.push(Violation { law: "tracking", found });
        };
        if held.as_ref().is_some_and(|held| held != is) {
            found("was told of no change and has devices", held);
        }
        if said.as_ref() != Some(is) {
            found("is told of devices", said);
        }
    }
    violations.truncate(SHOWN);
    violations
}

/// Has all honest users ask for the devices of those with whom they share rooms.
pub(crate) async fn look_around(world: &World, crowd: &Crowd, observed: &Observed) -> Vec<Tracked> {
    let mut tracked = Vec::new();
    let held = crowd.held();
    for (user, others) in sharing(observed) {
        let Some((process, actor)) = crowd.at_home(&user).await else { continue };
        let others: Vec<OwnedUserId> = others.into_iter().collect();
        let mut all = Vec::new();
        for other in &others {
            let held = match held.get(&(user.clone(), other.clone())) {
                Some(held) => {
                    let changed = process.life.during(process.told_of(&actor, held.at)).await;
                    let changed = changed.and_then(Result::ok).unwrap_or_default();
                    (!changed.contains(other)).then(|| held.list.clone())
                }
                None => None,
            };
            let is = devices_at_home(world, other).await;
            all.push(Tracked { by: user.to_string(), other: other.to_string(), is, held, said: None });
        }
        let looked_up = process.life.during(process.look_up(&actor, &others)).await;
        if let Some(Ok(looked_up)) = looked_up {
            for (one, other) in all.iter_mut().zip(&others) {
                one.said = looked_up.lists.get(other).cloned();
            }
            crowd.hold(&process, &actor, looked_up);
        }
        tracked.extend(all);
    }
    tracked
}

/// The devices of a user, as the process says where the user is at home.
async fn devices_at_home(world: &World, user: &UserId) -> DeviceList {
    let place = world.place_of(user.server_name().as_str());
    match place.and_then(|place| world.process(place)) {
        Some(process) => own_devices(&process, user).await,
        None => DeviceList::new(),
    }
}

async fn own_devices(process: &Process, user: &UserId) -> DeviceList {
    let Some(actor) = process.actor(user).await else { return DeviceList::new() };
    let looked_up = process.look_up(&actor, &[user.to_owned()]).await;
    looked_up.ok().and_then(|mut looked_up| looked_up.lists.remove(user)).unwrap_or_default()
}

/// Who shares rooms with whom, as the processes of both say.
fn sharing(observed: &Observed) -> BTreeMap<OwnedUserId, BTreeSet<OwnedUserId>> {
    let mut sharing: BTreeMap<OwnedUserId, BTreeSet<OwnedUserId>> = BTreeMap::new();
    for members in members(observed).values() {
        for room in members.values() {
            for other_room in members.values() {
                for (user, other) in pairs(&room.own, &other_room.own) {
                    if other_room.joined.contains(user) && room.joined.contains(other) {
                        sharing.entry(parsed(user)).or_default().insert(parsed(other));
                    }
                }
            }
        }
    }
    sharing
}

fn pairs<'s>(
    ours: &'s BTreeSet<String>,
    theirs: &'s BTreeSet<String>,
) -> impl Iterator<Item = (&'s String, &'s String)> {
    ours.iter().flat_map(|user| theirs.iter().map(move |other| (user, other)))
}

fn parsed(user: &str) -> OwnedUserId {
    UserId::parse(user).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(devices: &[&str]) -> DeviceList {
        devices.iter().map(|device| ((*device).to_owned(), format!("keys of {device}"))).collect()
    }

    #[test]
    fn who_has_or_is_told_other_devices_than_there_are_is_found() {
        let is = list(&["ONE"]);
        for (held, said, expected) in [
            (None, Some(is.clone()), 0),
            (Some(is.clone()), Some(is.clone()), 0),
            (Some(list(&[])), Some(is.clone()), 1),
            (Some(list(&["ONE", "TWO"])), Some(list(&["TWO"])), 2),
            (None, None, 1),
        ] {
            let tracked = Tracked { held, said, is: is.clone(), ..Tracked::default() };
            assert_eq!(tracking(std::slice::from_ref(&tracked)).len(), expected, "{tracked:?}");
        }
    }
}
