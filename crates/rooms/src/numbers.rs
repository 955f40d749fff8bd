//! The numbers of an event that is about to be received.

use freehold_room::Numbers;
use freehold_signing::SignedPdu;
use freehold_store::{Batch, EventNumber, Snapshot, StateKeyNumber};

use crate::error::ActionError;
use crate::rooms::Rooms;

/// The numbers of an event, new ones if it has none.
pub(crate) async fn numbers_of(
    rooms: &Rooms,
    snapshot: &Snapshot,
    signed: &SignedPdu,
    batch: &mut Batch,
) -> Result<Numbers, ActionError> {
    let event = rooms.0.interner.number_of(snapshot, &signed.pdu().event_id().to_owned(), batch).await?;
    numbers_with(rooms, (snapshot, event), signed, batch).await
}

/// The numbers of an event that has one already.
pub(crate) async fn numbers_with(
    rooms: &Rooms,
    (snapshot, event): (&Snapshot, EventNumber),
    signed: &SignedPdu,
    batch: &mut Batch,
) -> Result<Numbers, ActionError> {
    let (interner, pdu) = (&rooms.0.interner, signed.pdu());
    let state_key = match pdu.state_key() {
        Some(state_key) => {
            let key = (pdu.event_type().to_owned(), state_key.to_owned());
            let StateKeyNumber(number) = interner.number_of(snapshot, &key, batch).await?;
            Some(number)
        }
        None => None,
    };
    Ok(Numbers { event: event.0, state_key })
}
