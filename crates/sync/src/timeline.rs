//! The events of a room that a sync shows.

use std::sync::Arc;

use freehold_rooms::{Between, StoredEvent};
use freehold_store::{EventNumber, Order, TimelineIndex};

use crate::filter::{room_event_passes, takes_room};
use crate::response::Timeline;
use crate::service::{Look, SyncError};
use crate::token::TimelineToken;
use crate::view::View;

/// How many events a client gets when it does not say.
const EVENTS_DEFAULT: usize = 10;
/// How many it gets at most.
const EVENTS_MAX: usize = 1_000;
/// How many events are looked at for a filter that lets few pass.
const LOOKED_AT_MAX: usize = 5_000;

/// Which part of a timeline is looked at.
pub(crate) struct Window {
    /// It begins after this event.
    pub(crate) after: Option<TimelineIndex>,
    /// It ends with this event.
    pub(crate) to: TimelineIndex,
    /// Whether there may be events in it that the user must not see.
    pub(crate) check_visibility: bool,
}

/// The events that a sync shows.
pub(crate) struct Shown {
    pub(crate) update: Timeline,
    /// The events, oldest first.
    pub(crate) events: Vec<Arc<StoredEvent>>,
}

/// The events found so far, newest first.
#[derive(Default)]
struct Found {
    events: Vec<(TimelineIndex, Arc<StoredEvent>)>,
    looked_at: usize,
    /// The oldest event that was looked at.
    reached: Option<TimelineIndex>,
    /// Whether there is more than was wanted.
    limited: bool,
}

impl Look {
    /// The newest events of a window, as many as the filter asks for.
    pub(crate) async fn timeline(&self, view: &View<'_>, window: &Window) -> Result<Shown, SyncError> {
        let limit = self.request.filter.room.timeline.limit;
        let limit = limit.and_then(|limit| usize::try_from(u64::from(limit)).ok()).unwrap_or(EVENTS_DEFAULT);
        let mut found = Found::default();
        let mut end = Some(TimelineIndex(window.to.0.saturating_add(1)));
        if !takes_room(&self.request.filter.room.timeline, view.room_id) {
            end = None;
        }
        while let Some(before) = end {
            end = self.read_page(view, (window, before), &mut found, limit.min(EVENTS_MAX)).await?;
        }
        found.events.reverse();
        // Whoever reads on backwards from there misses nothing but what the filter left out.
        let place = match found.events.first().map(|(index, _)| *index).or(found.reached) {
            Some(first) => TimelineToken::before(first),
            None => TimelineToken::after(window.to),
        };
        let events: Vec<Arc<StoredEvent>> = found.events.into_iter().map(|(_, event)| event).collect();
        let mut update =
            Timeline { events: Vec::new(), limited: found.limited, prev_batch: Some(place.to_string()) };
        for event in &events {
            update.events.push(view.client_event(event).await?);
        }
        Ok(Shown { update, events })
    }

    /// Reads the events before `before`; says where to go on, if there is need to.
    async fn read_page(
        &self,
        view: &View<'_>,
        (window, before): (&Window, TimelineIndex),
        found: &mut Found,
        limit: usize,
    ) -> Result<Option<TimelineIndex>, SyncError> {
        let between = Between { after: window.after.unwrap_or(Between::ALL.after), before };
        let wanted = limit.saturating_add(1);
        let page = view.reader.timeline(view.room, between, Order::Descending, wanted).await?;
        let next = if page.len() < wanted { None } else { page.last().map(|(index, _)| *index) };
        let numbers: Vec<EventNumber> = page.iter().map(|(_, event)| *event).collect();
        let events = view.reader.events(&numbers).await?;
        let visible = match window.check_visibility {
            true => view.reader.visible_to(view.viewer, (view.room, Some(view.membership)), &events).await?,
            false => view.reader.withheld(view.viewer, &events).await.into_iter().map(|is| !is).collect(),
        };
        // How the user stands to the room now is the user's to know.
        let is_own = |event: &StoredEvent| event.number == view.membership.event;
        let filter = &self.request.filter.room.timeline;
        for (((index, _), event), is_visible) in page.into_iter().zip(events).zip(visible) {
            if found.events.len() >= limit || found.looked_at >= LOOKED_AT_MAX {
                found.limited = true;
                return Ok(None);
            }
            found.looked_at += 1;
            found.reached = Some(index);
            let is_shown = is_visible && !event.is_ignored(&self.ignored) || is_own(&event);
            if is_shown && room_event_passes(filter, event.pdu.canonical_json()) {
                found.events.push((index, event));
            }
        }
        Ok(next)
    }
}
