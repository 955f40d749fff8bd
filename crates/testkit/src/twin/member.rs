//! "If type is `m.room.member`:"

use serde_json::Value;

use super::{
    Differences, State,
    auth::{Denied, membership, reject_if},
    power::{Power, PowerLevels, creator},
    third_party::check_third_party_invite,
};
use crate::event::RoomEvent;

/// What every point of the member rule looks at.
pub(super) struct MemberCheck<'a> {
    /// The event.
    pub(super) event: &'a RoomEvent,
    /// "Target user: for an `m.room.member` state event, the user given by the `state_key`."
    pub(super) target: &'a str,
    /// The room state.
    pub(super) state: &'a State<'a>,
    /// What this room version does.
    pub(super) version: &'a Differences,
    /// The number of the point: `5.3`.
    pub(super) point: String,
}

impl MemberCheck<'_> {
    /// The number of a point below this one.
    pub(super) fn sub(&self, number: u8) -> String {
        format!("{}.{number}", self.point)
    }

    /// "reject", with the number of a point below this one.
    fn reject(&self, number: u8, why: &'static str) -> Result<(), Denied> {
        Err(Denied { rule: self.sub(number), why })
    }

    fn levels(&self) -> PowerLevels<'_> {
        PowerLevels::in_state(self.state, self.version)
    }

    fn sender_is_joined(&self) -> bool {
        membership(self.state, &self.event.sender) == "join"
    }
}

/// The member rule of every room version.
pub(super) fn check_member(
    event: &RoomEvent,
    state: &State<'_>,
    version: &Differences,
) -> Result<(), Denied> {
    let rule = version.member_rule();
    // "1. If there is no `state_key` property, or no `membership` property in `content`, reject."
    let (Some(target), Some(new)) = (event.state_key.as_deref(), event.content_str("membership")) else {
        return Err(Denied { rule: format!("{rule}.1"), why: "no state key or no membership" });
    };
    let point = format!("{rule}.{}", version.member_point(&new));
    let check = MemberCheck { event, target, state, version, point };
    match new.as_str() {
        "join" => check_join(&check),
        "invite" => check_invite(&check),
        "leave" => check_leave(&check),
        "ban" => check_ban(&check),
        "knock" if version.knock => check_knock(&check),
        // "Otherwise, the membership is unknown. Reject."
        _ => Err(Denied { rule: check.point, why: "unknown membership" }),
    }
}

/// The join rule of a room state. A room without `m.room.join_rules` is treated as `invite`, as
/// the reference implementation does.
fn join_rule(state: &State<'_>) -> String {
    let event = state.get(&("m.room.join_rules".to_owned(), String::new()));
    event.and_then(|event| event.content_str("join_rule")).unwrap_or_else(|| "invite".to_owned())
}

/// "If `membership` is `join`:"
fn check_join(check: &MemberCheck<'_>) -> Result<(), Denied> {
    let MemberCheck { event, target, state, version, .. } = *check;
    // "1. If the only previous event is an `m.room.create` and the `state_key` is the creator
    // (version 11: the sender of the `m.room.create`), allow."
    let create = state.get(&("m.room.create".to_owned(), String::new())).copied();
    if let (Some(create), [only]) = (create, event.prev_events.as_slice())
        && *only == create.event_id
        && creator(create, version).as_deref() == Some(target)
    {
        return Ok(());
    }
    // "2. If the `sender` does not match `state_key`, reject."
    reject_if(event.sender != target, check.sub(2), "join of somebody else")?;
    // "3. If the `sender` is banned, reject."
    let current = membership(state, target);
    reject_if(current == "ban", check.sub(3), "banned")?;
    let invited_or_joined = current == "invite" || current == "join";
    let rule = join_rule(state);
    // "4. If the `join_rule` is `invite` (version 7: or `knock`) then allow if membership state is
    // `invite` or `join`."
    if (rule == "invite" || version.knock && rule == "knock") && invited_or_joined {
        return Ok(());
    }
    // "5. If the `join_rule` is `restricted` (version 10: or `knock_restricted`):"
    if version.restricted && rule == "restricted" || version.knock_restricted && rule == "knock_restricted" {
        // "1. If membership state is `join` or `invite`, allow."
        if invited_or_joined {
            return Ok(());
        }
        // "2. If the `join_authorised_via_users_server` key in `content` is not a user with
        // sufficient permission to invite other users or is not a joined member of the room,
        // reject." "3. Otherwise, allow."
        let authoriser = event.content_str("join_authorised_via_users_server");
        let levels = check.levels();
        let may = authoriser.is_some_and(|user| {
            membership(state, &user) == "join" && levels.of_user(&user) >= Power::Finite(levels.of("invite"))
        });
        return reject_if(!may, format!("{}.2", check.sub(5)), "authorising user may not invite");
    }
    // "If the `join_rule` is `public`, allow." "Otherwise, reject."
    let last = if version.restricted { 7 } else { 6 };
    reject_if(rule != "public", check.sub(last), "join rule does not let the user in")
}

/// "If `membership` is `invite`:"
fn check_invite(check: &MemberCheck<'_>) -> Result<(), Denied> {
    let MemberCheck { event, target, state, .. } = *check;
    // "1. If `content` has a `third_party_invite` property:"
    if let Some(invite) = event.content_object().get("third_party_invite") {
        return check_third_party_invite(check, invite);
    }
    // "2. If the `sender`'s current membership state is not `join`, reject."
    reject_if(!check.sender_is_joined(), check.sub(2), "sender is not joined")?;
    // "3. If *target user*'s current membership state is `join` or `ban`, reject."
    let current = membership(state, target);
    reject_if(current == "join" || current == "ban", check.sub(3), "target is joined or banned")?;
    // "4. If the `sender`'s power level is greater than or equal to the *invite level*, allow."
    let levels = check.levels();
    if levels.of_user(&event.sender) >= Power::Finite(levels.of("invite")) {
        return Ok(());
    }
    // "5. Otherwise, reject."
    check.reject(5, "not enough power to invite")
}

/// "If `membership` is `leave`:"
fn check_leave(check: &MemberCheck<'_>) -> Result<(), Denied> {
    let MemberCheck { event, target, state, version, .. } = *check;
    let current = membership(state, target);
    // "1. If the `sender` matches `state_key`, allow if and only if that user's current membership
    // state is `invite`, `join` (version 7: or `knock`)."
    if event.sender == target {
        let may = current == "invite" || current == "join" || version.knock && current == "knock";
        return reject_if(!may, check.sub(1), "nothing to leave");
    }
    // "2. If the `sender`'s current membership state is not `join`, reject."
    reject_if(!check.sender_is_joined(), check.sub(2), "sender is not joined")?;
    // "3. If the *target user*'s current membership state is `ban`, and the `sender`'s power level
    // is less than the *ban level*, reject."
    let levels = check.levels();
    let sender = levels.of_user(&event.sender);
    let may_not_unban = current == "ban" && sender < Power::Finite(levels.of("ban"));
    reject_if(may_not_unban, check.sub(3), "not enough power to unban")?;
    // "4. If the `sender`'s power level is greater than or equal to the *kick level*, and the
    // *target user*'s power level is less than the `sender`'s power level, allow."
    if sender >= Power::Finite(levels.of("kick")) && levels.of_user(target) < sender {
        return Ok(());
    }
    // "5. Otherwise, reject."
    check.reject(5, "not enough power to kick")
}

/// "If `membership` is `ban`:"
fn check_ban(check: &MemberCheck<'_>) -> Result<(), Denied> {
    // "1. If the `sender`'s current membership state is not `join`, reject."
    reject_if(!check.sender_is_joined(), check.sub(1), "sender is not joined")?;
    // "2. If the `sender`'s power level is greater than or equal to the *ban level*, and the
    // *target user*'s power level is less than the `sender`'s power level, allow."
    let levels = check.levels();
    let sender = levels.of_user(&check.event.sender);
    if sender >= Power::Finite(levels.of("ban")) && levels.of_user(check.target) < sender {
        return Ok(());
    }
    // "3. Otherwise, reject."
    check.reject(3, "not enough power to ban")
}

/// "If `membership` is `knock`:"
fn check_knock(check: &MemberCheck<'_>) -> Result<(), Denied> {
    let MemberCheck { event, target, state, version, .. } = *check;
    // "1. If the `join_rule` is anything other than `knock` (version 10: or `knock_restricted`),
    // reject."
    let rule = join_rule(state);
    let knocking = rule == "knock" || version.knock_restricted && rule == "knock_restricted";
    reject_if(!knocking, check.sub(1), "join rule does not allow knocking")?;
    // "2. If `sender` does not match `state_key`, reject."
    reject_if(event.sender != target, check.sub(2), "knock of somebody else")?;
    // "3. If the `sender`'s current membership is not `ban`, `invite`, or `join`, allow."
    // "4. Otherwise, reject."
    let current = membership(state, &event.sender);
    let outside = !["ban", "invite", "join"].contains(&current.as_str());
    reject_if(!outside, check.sub(4), "already invited, joined or banned")
}

/// A member of a JSON value that is a string.
pub(super) fn str_member<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}
