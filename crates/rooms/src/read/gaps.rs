//! What of a room is here, and what is not.

use freehold_event::Pdu;
use freehold_event_auth::PolicyServer;
use freehold_store::tables::rooms::{EVENTS, EventRow};
use freehold_store::{EventNumber, RoomNumber};
use ruma_common::{OwnedEventId, ServerName};

use super::{Reader, Unreadable};

impl Reader {
    /// Which of some events are not here at all, as events of a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn unknown_events(
        &self,
        room: RoomNumber,
        event_ids: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, Unreadable> {
        self.lacking(room, event_ids, |_| false).await
    }

    /// Which of some events of a room are not here, or only as outliers: the state before them is not known.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn stateless_events(
        &self,
        room: RoomNumber,
        event_ids: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, Unreadable> {
        self.lacking(room, event_ids, |row| row.state_before.is_none()).await
    }

    async fn lacking(
        &self,
        room: RoomNumber,
        event_ids: &[OwnedEventId],
        lacks: fn(&EventRow) -> bool,
    ) -> Result<Vec<OwnedEventId>, Unreadable> {
        let mut lacking = Vec::new();
        for (event_id, number) in event_ids.iter().zip(self.snapshot.numbers_of(event_ids).await?) {
            let row = match number {
                Some(number) => self.snapshot.get(&EVENTS, &number).await?,
                None => None,
            };
            if row.is_none_or(|row| row.room != room || lacks(&row)) {
                lacking.push(event_id.clone());
            }
        }
        Ok(lacking)
    }

    /// The ids of the forward extremities of a room.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn forward_extremities(&self, room: RoomNumber) -> Result<Vec<OwnedEventId>, Unreadable> {
        let heads: Vec<EventNumber> =
            self.current(room).await?.map(|row| row.forward_extremities).unwrap_or_default();
        Ok(self.snapshot.ids_of(&heads).await?)
    }

    /// The policy server that is to be asked about an event: the room uses one, which has not recommended the event yet
    /// (<https://spec.matrix.org/v1.19/server-server-api/#validating-policy-server-signatures>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn policy_server_to_ask(
        &self,
        room: RoomNumber,
        pdu: &Pdu,
    ) -> Result<Option<PolicyServer>, Unreadable> {
        let policy = self.policy_server(room).await?;
        Ok(policy.filter(|server| !server.recommends(pdu)))
    }

    /// The policy server that a room uses
    /// (<https://spec.matrix.org/v1.19/server-server-api/#determining-if-a-policy-server-is-enabled-in-a-room>).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn policy_server(&self, room: RoomNumber) -> Result<Option<PolicyServer>, Unreadable> {
        let event = self.current_state(room).await?.get("m.room.policy", "").await?;
        let Some(server) = event.and_then(|event| PolicyServer::named_by(event.pdu.content())) else {
            return Ok(None);
        };
        let Ok(name) = ServerName::parse(server.server_name()) else {
            return Ok(None);
        };
        Ok(self.server_in(room, &name).await?.map(|_| server))
    }
}
