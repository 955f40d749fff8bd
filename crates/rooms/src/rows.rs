//! The rows of events that are known by their ids.

use freehold_store::tables::rooms::{EVENTS, EventRow};
use freehold_store::{EventNumber, ReadError, Snapshot};
use ruma_common::OwnedEventId;

/// The rows of some events, in their order.
pub(crate) async fn event_rows(
    snapshot: &Snapshot,
    event_ids: &[OwnedEventId],
) -> Result<Vec<Option<EventRow>>, ReadError> {
    let numbers = snapshot.numbers_of(event_ids).await?;
    let known: Vec<EventNumber> = numbers.iter().flatten().copied().collect();
    let mut rows = snapshot.rows_of(&EVENTS, &known).await?.into_iter();
    Ok(numbers.into_iter().map(|number| number.and_then(|_| rows.next().flatten())).collect())
}
