//! Events for ruma, and its verdict on one.

use freehold_event::{EventView, RoomVersion};
use ruma_common::EventId;
use ruma_events::StateEventType;
use ruma_state_res::check_state_dependent_auth_rules;

/// An event for ruma. Ids are borrowed, which is the fastest that ruma offers.
pub(crate) type RumaEvent<'a> = freehold_testkit::RumaEvent<&'a EventId>;

/// The same event for ruma.
pub(crate) fn ruma_event<'a, Id: AsRef<str>>(view: &EventView<'a, Id>) -> RumaEvent<'a> {
    RumaEvent::of(view, |id| <&EventId>::try_from(id).ok()).expect("an event that ruma accepts")
}

/// ruma's verdict on an event, given a state.
pub(crate) fn ruma_check(event: &RumaEvent<'_>, state: &[RumaEvent<'_>], version: &RoomVersion) -> bool {
    let rules = &version.rules().authorization;
    let find = |event_type: &StateEventType, state_key: &str| {
        state.iter().find(|one| one.is_state(event_type, state_key))
    };
    check_state_dependent_auth_rules(rules, event, find).is_ok()
}
