//! Where ruma is known not to follow the specification (`docs/disagreements.md`).

use serde_json::Value;

use crate::replay::Replay;
use crate::room::Event;
use crate::states;

/// Why ruma may be of another opinion about a room.
pub(crate) fn known_differences(replay: &Replay<'_>) -> Vec<&'static str> {
    let is_early = !replay.room.version.rules().authorization.limit_notifications_power_levels;
    let levels =
        || replay.room.events.iter().filter(|event| event.pdu().event_type() == "m.room.power_levels");
    let differences = [
        (is_early && levels().any(holds_float), "it rejects power levels that are floats"),
        (
            is_early && levels().any(has_unreadable_notifications),
            "it rejects levels under `notifications` that cannot be read, in versions that do not look at them",
        ),
        (lacks_join_rules(replay), "it refuses every join where there are no join rules"),
        (has_rejected_in_state(replay), "it passes over rejected events that stand in a state"),
    ];
    differences.into_iter().filter(|(applies, _)| *applies).map(|(_, why)| why).collect()
}

/// Whether somebody joined, or tried to, where there were no join rules. The creator always does.
fn lacks_join_rules(replay: &Replay<'_>) -> bool {
    let Some(key) = replay.keys.number("m.room.join_rules", "") else { return true };
    replay.room.events.iter().any(|event| {
        let is_others = event.pdu().event_type() == "m.room.member" && event.pdu().depth() > 2;
        let before = replay.step(event.number).and_then(|step| step.before.as_ref());
        is_others && before.is_some_and(|before| states::get(before, key).is_none())
    })
}

/// Rejected events get into a state by way of the auth events of others, or where forks meet.
fn has_rejected_in_state(replay: &Replay<'_>) -> bool {
    let after = replay.room.events.iter().filter_map(|event| replay.step(event.number)?.after.as_ref());
    after
        .flat_map(states::entries)
        .any(|(_, entry)| replay.verdict(entry.event).is_some_and(crate::replay::Verdict::is_rejected))
}

fn content(event: &Event) -> Value {
    serde_json::from_str(event.pdu().content()).unwrap_or_default()
}

fn holds_float(event: &Event) -> bool {
    fn is_or_holds(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Object(object) => object.values().any(is_or_holds),
            _ => false,
        }
    }
    is_or_holds(&content(event))
}

fn has_unreadable_notifications(event: &Event) -> bool {
    let content = content(event);
    let levels = content.get("notifications").and_then(Value::as_object).into_iter().flatten();
    levels
        .into_iter()
        .any(|(_, level)| level.as_str().is_some_and(|text| text.trim().parse::<i64>().is_err()))
}
