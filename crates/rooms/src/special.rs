//! Events that are more than events: what is looked at before they are made.

use std::sync::Arc;

use freehold_canonical_json::Object;
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
        match (wanted.event_type.as_str(), wanted.state_key.as_deref()) {
            ("m.room.member", Some(_)) => self.append_member(actor, wanted).await,
            ("m.room.redaction", None) => self.append_redaction(actor, wanted).await,
            ("m.room.canonical_alias", Some("")) => {
                self.check_canonical_alias(&wanted.content).await?;
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

/// A list that shuts its author's own server out would end the author's part in the room.
fn check_server_acl(actor: &Actor, content: &Object<'_>) -> Result<(), ActionError> {
    let content = String::from_utf8(content.to_canonical_vec()).unwrap_or_default();
    if ServerAcl::of_content(&content).allows(actor.tenant.server_name()) {
        return Ok(());
    }
    Err(ActionError::BadField { field: "content", reason: "would shut your own server out".to_owned() })
}
