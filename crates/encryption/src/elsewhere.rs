//! What goes to other servers: messages to devices of their users, and that lists of devices changed.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::outbound::{MessageRow, OUTGOING_DEVICE_LISTS, OUTGOING_MESSAGES};
use freehold_store::tables::rooms::{MEMBERSHIPS, Membership, ROOM_SERVERS};
use freehold_store::{Actor, Batch, Order, ReadError, Snapshot, TenantNumber, UserNumber};
use ruma_common::to_device::DeviceIdOrAllDevices;
use ruma_common::{OwnedServerName, OwnedUserId};
use serde_json::{Map, Value};

use crate::service::Encryption;

/// How many bytes of contents go into one data unit, roughly; one content may be longer.
const UNIT_BYTES: usize = 48 * 1024;

/// Messages for devices of users of one other server.
#[derive(Debug, Default)]
pub(crate) struct Parcels(BTreeMap<OwnedServerName, Vec<Map<String, Value>>>);

impl Parcels {
    /// Adds messages for devices of a user. A content that is no JSON is left out: nobody could read it.
    pub(crate) fn add(&mut self, user_id: &OwnedUserId, contents: &BTreeMap<DeviceIdOrAllDevices, String>) {
        let units = self.0.entry(user_id.server_name().to_owned()).or_default();
        let mut room = 0;
        for (device, content) in contents {
            let Ok(value) = serde_json::from_str::<Value>(content) else { continue };
            if room < content.len() || units.is_empty() {
                units.push(Map::new());
                room = UNIT_BYTES;
            }
            room = room.saturating_sub(content.len());
            let Some(unit) = units.last_mut() else { continue };
            let of_user = unit.entry(user_id.to_string()).or_insert_with(|| Value::Object(Map::new()));
            if let Some(of_user) = of_user.as_object_mut() {
                of_user.insert(device.to_string(), value);
            }
        }
    }

    /// Puts the messages where they are sent from
    /// (<https://spec.matrix.org/v1.19/server-server-api/#mdirect_to_device-schema>).
    pub(crate) fn put(self, actor: &Actor, event_type: &str, batch: &mut Batch) {
        let tenant = actor.tenant.number();
        let mut rows = Vec::new();
        for (server, units) in self.0 {
            batch.send_to(tenant, server.clone());
            for messages in units {
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
                // A position is given once: no other message has the id.
                content.insert("message_id".to_owned(), format!("{}-{place}", position.0).into());
                let row = MessageRow {
                    edu_type: "m.direct_to_device".to_owned(),
                    content: Value::from(content).to_string(),
                };
                writes.put(&OUTGOING_MESSAGES, &(tenant, server, position, place), &row);
            }
        });
    }
}

impl Encryption {
    /// Adds that other servers which share a room with a user are to be told that the user's device list changed.
    pub(crate) async fn tell_device_list(
        &self,
        snapshot: &Snapshot,
        user: UserNumber,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let mut told: BTreeSet<(TenantNumber, OwnedServerName)> = BTreeSet::new();
        let rooms = snapshot.scan_prefix(&MEMBERSHIPS, &(user,), Order::Ascending, usize::MAX).await?;
        for ((_, room), row) in rooms {
            if row.membership != Membership::Join {
                continue;
            }
            let servers = snapshot.scan_prefix(&ROOM_SERVERS, &(room,), Order::Ascending, usize::MAX).await?;
            let elsewhere = servers.into_iter().map(|((_, server), _)| server);
            told.extend(
                elsewhere
                    .filter(|server| !self.0.servers.is_hosted(server))
                    .map(|server| (row.tenant, server)),
            );
        }
        told.iter().for_each(|(tenant, server)| batch.send_to(*tenant, server.clone()));
        batch.at_position(move |position, writes| {
            for (tenant, server) in told {
                writes.put(&OUTGOING_DEVICE_LISTS, &(tenant, server, user), &position);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma_common::owned_user_id;
    use serde_json::json;

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
        let units: Vec<usize> = parcels.0.values().map(Vec::len).collect();
        assert_eq!(units, [1, 2]);
        let second = parcels.0.values().next_back().unwrap();
        assert!(second[0]["@b:two.example"]["A"].is_object() && second[1]["@b:two.example"]["C"].is_object());
    }
}
