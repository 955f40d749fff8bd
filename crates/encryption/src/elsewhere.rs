//! What goes to other servers: messages to devices of their users, and that lists of devices changed.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::encryption::{DEVICE_LIST_UPDATES, DEVICE_LISTS};
use freehold_store::tables::identity::USER_IDS;
use freehold_store::tables::outbound::{
    MessageRow, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES, OUTGOING_SIGNING_KEYS,
};
use freehold_store::tables::rooms::{MEMBERSHIPS, Membership, ROOM_SERVERS};
use freehold_store::{Actor, Batch, Order, Position, ReadError, Snapshot, TenantNumber, UserNumber};
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{OwnedServerName, OwnedUserId};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::service::Encryption;

/// How many bytes of messages go into one data unit; one message may be longer. With what else is in the unit, and with a
/// message as long as may be sent, it has no more than an event may have: servers refuse transactions with greater ones.
const UNIT_BYTES: usize = 48 * 1024;

/// How many bytes the id of a device has at most to whom something is sent: nobody has one that is longer.
const DEVICE_ID_BYTES_MAX: usize = 255;

/// Messages for devices of users of one other server.
#[derive(Debug, Default)]
pub(crate) struct Parcels(BTreeMap<OwnedServerName, Units>);

/// What goes to one server.
#[derive(Debug, Default)]
struct Units {
    units: Vec<Map<String, Value>>,
    /// How many bytes the last unit has room for.
    room: usize,
}

impl Parcels {
    /// Adds messages for devices of a user. A content that is no JSON is left out: nobody could read it.
    pub(crate) fn add(&mut self, user_id: &OwnedUserId, contents: &BTreeMap<DeviceIdOrAllDevices, String>) {
        let units = self.0.entry(user_id.server_name().to_owned()).or_default();
        for (device, content) in contents {
            let (device, Ok(value)) = (device.to_string(), serde_json::from_str::<Value>(content)) else {
                continue;
            };
            if device.len() <= DEVICE_ID_BYTES_MAX {
                // Counted as if it came with a user of its own.
                units.add(user_id, (device, value), content.len().saturating_add(user_id.as_str().len()));
            }
        }
    }
}

impl Units {
    fn add(&mut self, user_id: &OwnedUserId, (device, value): (String, Value), bytes: usize) {
        let device_bytes = Value::from(device.as_str()).to_string().len();
        let bytes = bytes.saturating_add(device_bytes).saturating_add(MARKS_BYTES);
        if self.room < bytes || self.units.is_empty() {
            self.units.push(Map::new());
            self.room = UNIT_BYTES;
        }
        self.room = self.room.saturating_sub(bytes);
        let Some(unit) = self.units.last_mut() else { return };
        let of_user = unit.entry(user_id.to_string()).or_insert_with(|| Value::Object(Map::new()));
        if let Some(of_user) = of_user.as_object_mut() {
            of_user.insert(device, value);
        }
    }
}

/// Quotation marks, colons, braces and a comma.
const MARKS_BYTES: usize = 10;

impl Parcels {
    /// Puts the messages where they are sent from
    /// (<https://spec.matrix.org/v1.19/server-server-api/#mdirect_to_device-schema>). `now_ts` is the time in milliseconds
    /// since the Unix epoch.
    pub(crate) fn put(self, actor: &Actor, (event_type, now_ts): (&str, i64), batch: &mut Batch) {
        let tenant = actor.tenant.number();
        let mut rows = Vec::new();
        for (server, units) in self.0 {
            batch.send_to(tenant, server.clone());
            for messages in units.units {
                let mut content = Map::new();
                content.insert("sender".to_owned(), actor.user_id.as_str().into());
                content.insert("type".to_owned(), event_type.into());
                content.insert("messages".to_owned(), messages.into());
                rows.push((server.clone(), content));
            }
        }
        if rows.is_empty() {
            return;
        }
        batch.at_position(move |position, writes| {
            for (place, (server, mut content)) in (0..=u16::MAX).zip(rows) {
                // A position is given once, and again only after a backup was restored, which is later: whoever remembers
                // the messages of before takes none of these for one of them.
                let message_id = format!("{now_ts:x}-{:x}-{place:x}", position.0);
                content.insert("message_id".to_owned(), message_id.into());
                let row = MessageRow {
                    edu_type: "m.direct_to_device".to_owned(),
                    content: Value::from(content).to_string(),
                };
                writes.put(&OUTGOING_MESSAGES, &(tenant, server, position, place), &row);
            }
        });
    }
}

/// What changed of a user's keys, as far as other servers are told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    /// The devices whose keys changed, or that went.
    pub(crate) devices: Vec<String>,
    /// Whether cross-signing keys changed.
    pub(crate) signing_keys: bool,
}

/// How many changes of a list are kept: the last one, and the one that it follows. Between them may come one that was made
/// at the same time.
const UPDATES_KEPT: usize = 3;

impl Changed {
    /// One device changed.
    pub(crate) fn device(device_id: &str) -> Self {
        Changed { devices: vec![device_id.to_owned()], signing_keys: false }
    }

    /// Cross-signing keys changed.
    pub(crate) fn signing_keys() -> Self {
        Changed { devices: Vec::new(), signing_keys: true }
    }
}

impl Encryption {
    /// Adds that other servers which share a room with a user are to be told what changed.
    pub(crate) async fn tell_device_list(
        &self,
        snapshot: &Snapshot,
        (user, changed): (UserNumber, Changed),
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        if !changed.devices.is_empty() {
            let known = snapshot
                .scan_prefix(&DEVICE_LIST_UPDATES, &user, Order::Descending, UPDATES_KEPT * 4)
                .await?;
            for (old, _) in known.into_iter().skip(UPDATES_KEPT - 1) {
                batch.delete(&DEVICE_LIST_UPDATES, &old);
            }
            let devices = changed.devices.clone();
            batch.at_position(move |position, writes| {
                writes.put(&DEVICE_LIST_UPDATES, &(user, position), &devices);
            });
        }
        let told = self.servers_of(snapshot, user).await?;
        told.iter().for_each(|(tenant, server)| batch.send_to(*tenant, server.clone()));
        batch.at_position(move |position, writes| {
            for (tenant, server) in told {
                let place = (tenant, server, user);
                if !changed.devices.is_empty() {
                    writes.put(&OUTGOING_DEVICE_LISTS, &place, &position);
                }
                if changed.signing_keys {
                    writes.put(&OUTGOING_SIGNING_KEYS, &place, &position);
                }
            }
        });
        Ok(())
    }

    /// The servers elsewhere that share a room with a user of a tenant.
    async fn servers_of(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<BTreeSet<(TenantNumber, OwnedServerName)>, ReadError> {
        let mut found = BTreeSet::new();
        let rooms = snapshot.scan_prefix(&MEMBERSHIPS, &(user,), Order::Ascending, usize::MAX).await?;
        for ((_, room), row) in rooms.into_iter().filter(|(_, row)| row.membership == Membership::Join) {
            let servers = snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, usize::MAX).await?;
            let elsewhere = servers.into_iter().map(|((_, server), _)| server);
            let elsewhere = elsewhere.filter(|server| !self.0.servers.is_hosted(server));
            found.extend(elsewhere.map(|server| (row.tenant, server)));
        }
        Ok(found)
    }

    /// What another server is told when a user's device list changed: the content of `m.device_list_update`
    /// (<https://spec.matrix.org/v1.19/server-server-api/#mdevice_list_update-schema>). `None` if there is nothing to tell.
    ///
    /// It is about the last change, and follows the one before. Whoever was not told of that one, as several came together
    /// or as no room was shared then, does not recognise it and asks for the whole list, as the specification has it. So
    /// nothing has to be kept of what was told to whom.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn device_list_update(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<Option<String>, Failure> {
        let Some(user_id) = snapshot.get(&USER_IDS, &user).await? else { return Ok(None) };
        let updates = snapshot.scan_prefix(&DEVICE_LIST_UPDATES, &user, Order::Descending, 2).await?;
        let mut updates = updates.into_iter().map(|((_, position), devices)| (position, devices));
        let Some((position, devices)) = updates.next() else { return Ok(None) };
        let Some(device_id) = devices.first() else { return Ok(None) };
        // One message is about one device. Of several that changed at once the whole list tells.
        let before = updates.next().filter(|_| devices.len() == 1);
        let prev_id: Vec<u64> = before.into_iter().map(|(position, _)| position.0).collect();
        let mut content = json!({
            "user_id": user_id, "device_id": device_id, "stream_id": position.0, "prev_id": prev_id,
        });
        let keys = self.device_for_server(snapshot, (user, &user_id), device_id).await?;
        let keys = keys.and_then(|keys| serde_json::from_str::<Value>(&keys).ok());
        if let Some(members) = content.as_object_mut() {
            match keys {
                Some(keys) => members.insert("keys".to_owned(), keys),
                None => members.insert("deleted".to_owned(), true.into()),
            };
        }
        Ok(Some(content.to_string()))
    }

    /// What another server is told when a user's cross-signing keys changed: the content of `m.signing_key_update`
    /// (<https://spec.matrix.org/v1.19/server-server-api/#msigning_key_update-schema>). `None` if the user has none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn signing_key_update(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
    ) -> Result<Option<String>, Failure> {
        let Some(user_id) = snapshot.get(&USER_IDS, &user).await? else { return Ok(None) };
        let (master, self_signing) = self.signing_keys_for_server(snapshot, (user, &user_id)).await?;
        let mut content = Map::new();
        for (name, key) in [("master_key", master), ("self_signing_key", self_signing)] {
            if let Some(key) = key.and_then(|key| serde_json::from_str(&key).ok()) {
                content.insert(name.to_owned(), key);
            }
        }
        if content.is_empty() {
            return Ok(None);
        }
        content.insert("user_id".to_owned(), user_id.as_str().into());
        Ok(Some(Value::from(content).to_string()))
    }
}

/// The number under which other servers know a user's device list as it is: that of the last change that they are told of.
pub(crate) async fn stream_id(snapshot: &Snapshot, user: UserNumber) -> Result<Position, ReadError> {
    let last = snapshot.scan_prefix(&DEVICE_LIST_UPDATES, &user, Order::Descending, 1).await?.pop();
    match last {
        Some(((_, position), _)) => Ok(position),
        // Nobody was ever told of a change.
        None => Ok(snapshot.get(&DEVICE_LISTS, &user).await?.unwrap_or(Position(0))),
    }
}

#[cfg(test)]
mod tests {
    use ruma_common::owned_user_id;

    use super::*;

    fn contents(entries: &[(&str, usize)]) -> BTreeMap<DeviceIdOrAllDevices, String> {
        let entry = |(device, length): &(&str, usize)| {
            let device = DeviceIdOrAllDevices::try_from(*device).unwrap();
            (device, json!({ "text": "x".repeat(*length) }).to_string())
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn messages_go_to_the_servers_of_their_users_in_units_of_bounded_size() {
        let mut parcels = Parcels::default();
        parcels.add(&owned_user_id!("@a:one.example"), &contents(&[("*", 5)]));
        parcels.add(&owned_user_id!("@b:two.example"), &contents(&[("A", 30_000), ("B", 30_000), ("C", 10)]));
        parcels.add(&owned_user_id!("@c:two.example"), &contents(&[("D", 10)]));
        let units: Vec<usize> = parcels.0.values().map(|units| units.units.len()).collect();
        assert_eq!(units, [1, 2]);
        let second = &parcels.0.values().next_back().unwrap().units;
        assert!(second[0]["@b:two.example"]["A"].is_object() && second[1]["@b:two.example"]["C"].is_object());
        assert!(second[1]["@c:two.example"]["D"].is_object());
    }

    /// synapse#19617: data units grew with the devices of their users, until no server took them and nothing else was sent.
    #[test]
    fn synapse_19617_no_unit_is_greater_than_an_event_however_many_devices_it_is_for() {
        let mut parcels = Parcels::default();
        let (names, long) = (|count: usize| (0..count).map(|n| format!("{n:0>250}")), "x".repeat(300));
        for user in ["@a:one.example", "@b:one.example"] {
            let names: Vec<String> = names(1_000).chain([long.clone()]).collect();
            let devices: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
            parcels.add(&user.try_into().unwrap(), &contents(&devices));
        }
        let longest = crate::Limits::default().to_device_sent_bytes - r#"{"text":""}"#.len();
        parcels
            .add(&owned_user_id!("@c:one.example"), &contents(&[("A", longest), ("B", longest), ("C", 1)]));
        let units = &parcels.0.values().next().unwrap().units;
        let sizes: Vec<usize> =
            units.iter().map(|unit| Value::from(unit.clone()).to_string().len()).collect();
        assert!(sizes.iter().all(|size| *size + ENVELOPE_BYTES <= 65_536), "{sizes:?}");
        let devices = units.iter().flat_map(|unit| unit.values()).map(|user| user.as_object().unwrap().len());
        assert_eq!(devices.sum::<usize>(), 2_003, "nothing is lost but what is for nobody");
    }

    /// Sender, type and message id, as long as they may be, with the names of the members and of the unit.
    const ENVELOPE_BYTES: usize = 255 + 255 + 32 + 100;
}
