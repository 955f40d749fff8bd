//! Events that are more than events: what is looked at before they are made.

use std::sync::Arc;

use freehold_canonical_json::{Object, Value};
use freehold_event_auth::NamedLevel;
use freehold_room::{Event, ServerAcl};
use freehold_store::Actor;
use ruma_common::EventId;

use crate::content::text;
use crate::error::ActionError;
use crate::work::{Wanted, Work};

impl Work {
    /// Makes an event of any kind that a user asks for.
    ///
    /// # Errors
    /// [`ActionError`].
    pub(crate) async fn append_any(
        &mut self,
        actor: &Actor,
        wanted: Wanted,
    ) -> Result<Arc<Event>, ActionError> {
        let wanted = self.admitted(actor, wanted)?;
        self.check_relation(actor, &wanted).await?;
        match (wanted.event_type.as_str(), wanted.state_key.as_deref()) {
            ("m.room.member", Some(_)) => self.append_member(actor, wanted).await,
            ("m.room.encryption", Some("")) => {
                self.check_encryption(actor).await?;
                self.append(&actor.tenant, wanted).await
            }
            ("m.room.redaction", None) => self.append_redaction(actor, wanted).await,
            ("m.room.canonical_alias", Some("")) => {
                self.check_canonical_alias(actor, &wanted.content).await?;
                self.append(&actor.tenant, wanted).await
            }
            ("m.room.power_levels", Some("")) => {
                check_levels(&wanted.content)?;
                self.append(&actor.tenant, wanted).await
            }
            ("m.room.server_acl", Some("")) => {
                check_server_acl(actor, &wanted.content)?;
                self.append(&actor.tenant, wanted).await
            }
            _ => self.append(&actor.tenant, wanted).await,
        }
    }

    /// What is left of an event of a user whose server the room shuts out: other servers would not take it. Leaving is
    /// possible, without a word.
    fn admitted(&self, actor: &Actor, mut wanted: Wanted) -> Result<Wanted, ActionError> {
        if self.machine.admits(actor.tenant.server_name()) {
            return Ok(wanted);
        }
        let leaves = wanted.event_type == "m.room.member"
            && wanted.state_key.as_deref() == Some(actor.user_id.as_str())
            && text(&wanted.content, "membership") == Some("leave");
        if !leaves {
            return Err(ActionError::ShutOut(actor.tenant.server_name().to_owned()));
        }
        wanted.content = [("membership", "leave")].into_iter().collect();
        Ok(wanted)
    }

    async fn check_encryption(&self, actor: &Actor) -> Result<(), ActionError> {
        match self.rooms.0.outside.identities.policy(&actor.tenant).await.may_encrypt {
            true => Ok(()),
            false => Err(ActionError::SwitchedOff("encryption")),
        }
    }

    /// The target of a redaction that was sent like any event stands in its content.
    async fn append_redaction(
        &mut self,
        actor: &Actor,
        mut wanted: Wanted,
    ) -> Result<Arc<Event>, ActionError> {
        let bad = |reason: &str| ActionError::BadField { field: "redacts", reason: reason.to_owned() };
        let target = match (&wanted.redacts, wanted.content.remove("redacts")) {
            (Some(target), _) => target.clone(),
            (None, Some(target)) => {
                let target = target.as_str().ok_or_else(|| bad("not a string"))?;
                EventId::parse(target).map_err(|_| bad("no event id"))?
            }
            (None, None) => return Err(bad("missing")),
        };
        wanted.redacts = Some(target.clone());
        self.redact_event(actor, &target, wanted).await
    }
}

/// Levels are integers, also in room versions that take strings from other servers
/// (<https://spec.matrix.org/v1.19/rooms/v9/#values-in-mroompower_levels-events-must-be-integers>).
fn check_levels(content: &Object<'_>) -> Result<(), ActionError> {
    const MAPS: [&str; 3] = ["events", "notifications", "users"];
    let is_level = |value: &Value<'_>| matches!(value, Value::Integer(_));
    for level in NamedLevel::ALL {
        if content.get(level.name()).is_some_and(|value| !is_level(value)) {
            return Err(bad_level(level.name()));
        }
    }
    for map in MAPS {
        let Some(value) = content.get(map) else { continue };
        if !value.as_object().is_some_and(|levels| levels.values().all(is_level)) {
            return Err(bad_level(map));
        }
    }
    Ok(())
}

fn bad_level(name: &str) -> ActionError {
    ActionError::BadField { field: "content", reason: format!("`{name}` is not made of integers") }
}

/// A list that shuts its author's own server out would end the author's part in the room.
fn check_server_acl(actor: &Actor, content: &Object<'_>) -> Result<(), ActionError> {
    let content = String::from_utf8(content.to_canonical_vec()).unwrap_or_default();
    if ServerAcl::of_content(&content).allows(actor.tenant.server_name()) {
        return Ok(());
    }
    Err(ActionError::BadField { field: "content", reason: "would shut your own server out".to_owned() })
}
