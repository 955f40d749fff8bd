//! Room aliases.

use freehold_canonical_json::{Object, Value};
use freehold_store::tables::rooms::ALIASES;
use ruma_common::{OwnedRoomId, RoomAliasId};

use crate::error::ActionError;
use crate::rooms::Rooms;
use crate::work::Work;

impl Rooms {
    /// The room to which an alias of a tenant of this process leads.
    ///
    /// # Errors
    /// [`ActionError::UnknownAlias`].
    pub async fn resolve_alias(&self, alias: &RoomAliasId) -> Result<OwnedRoomId, ActionError> {
        let unknown = || ActionError::UnknownAlias(alias.to_owned());
        if self.0.outside.identities.tenant(alias.server_name()).is_none() {
            return Err(unknown());
        }
        let snapshot = self.0.store.snapshot()?;
        let row = snapshot.get(&ALIASES, &alias.to_owned()).await?.ok_or_else(unknown)?;
        Ok(snapshot.id_of(row.room).await?)
    }
}

impl Work {
    /// "The server MUST check that the aliases are valid and lead to the room", those that the canonical alias event
    /// does not name already.
    pub(crate) async fn check_canonical_alias(&mut self, content: &Object<'_>) -> Result<(), ActionError> {
        let before = self.state_event("m.room.canonical_alias", "").await?;
        let before = before.map(|event| aliases_in_text(event.pdu.content())).unwrap_or_default();
        for alias in aliases_in(content) {
            if before.contains(&alias) {
                continue;
            }
            let bad = || ActionError::BadAlias(alias.clone());
            let alias = RoomAliasId::parse(&alias).map_err(|_| bad())?;
            let row = self.snapshot.get(&ALIASES, &alias).await?;
            if row.is_none_or(|row| row.room != self.number) {
                return Err(bad());
            }
        }
        Ok(())
    }
}

fn aliases_in(content: &Object<'_>) -> Vec<String> {
    let single = content.get("alias").into_iter();
    let listed = content.get("alt_aliases").and_then(Value::as_array).into_iter().flatten();
    single
        .chain(listed)
        .filter_map(Value::as_str)
        .filter(|alias| !alias.is_empty())
        .map(str::to_owned)
        .collect()
}

fn aliases_in_text(content: &str) -> Vec<String> {
    let parsed =
        freehold_canonical_json::parse(content.as_bytes(), &freehold_canonical_json::Limits::RELAXED);
    parsed.ok().and_then(Value::into_object).map(|content| aliases_in(&content)).unwrap_or_default()
}
