//! One room as the syncing device sees it.

use std::borrow::Cow;
use std::sync::Arc;

use freehold_canonical_json::string_member;
use freehold_rooms::{ClientFormat, Reader, RoomState, StoredEvent, Unreadable, Viewer};
use freehold_store::tables::rooms::{CurrentStateRow, Membership, MembershipRow};
use freehold_store::{DeviceNumber, RoomNumber, TimelineIndex};
use js_int::{Int, UInt};
use ruma_client_api::filter::EventFormat;
use ruma_common::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx};
use ruma_common::room_version_rules::RoomPowerLevelsRules;
use ruma_common::{OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::OnceCell;

use crate::filter::only_fields;
use crate::response::EventJson;
use crate::rooms_update::Standing;
use crate::service::Look;

/// After how many members a room that has no name is named (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>).
const HEROES: usize = 5;
/// Among how many state events members for the name are looked for.
const HEROES_AMONG_MAX: usize = 2_000;

/// One room as the syncing device sees it.
pub(crate) struct View<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) viewer: &'a Viewer,
    device: DeviceNumber,
    pub(crate) room: RoomNumber,
    pub(crate) room_id: &'a OwnedRoomId,
    pub(crate) membership: &'a MembershipRow,
    /// The newest state, once somebody asked.
    current: OnceCell<Option<CurrentStateRow>>,
    /// Whether events are shown as they go between servers.
    format: EventFormat,
    /// The fields of events that the device wants; all if absent.
    fields: Option<&'a [String]>,
    /// Whom the room is named after, once somebody asked.
    heroes: OnceCell<Option<Vec<OwnedUserId>>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(look: &'a Look, standing: &'a Standing) -> Self {
        View {
            reader: &look.reader,
            viewer: &look.viewer,
            device: look.device,
            room: standing.room,
            room_id: &standing.room_id,
            membership: &standing.membership,
            current: OnceCell::new(),
            format: look.request.filter.event_format.clone(),
            fields: look.request.filter.event_fields.as_deref(),
            heroes: OnceCell::new(),
        }
    }

    /// When the user joined: what came before was never unread.
    pub(crate) fn joined_at(&self) -> TimelineIndex {
        TimelineIndex::at(self.membership.since, 0)
    }

    /// The newest state as the store has it.
    pub(crate) async fn current(&self) -> Result<Option<&CurrentStateRow>, Unreadable> {
        Ok(self.current.get_or_try_init(|| self.reader.current(self.room)).await?.as_ref())
    }

    /// The newest state.
    pub(crate) async fn current_state(&self) -> Result<RoomState, Unreadable> {
        self.reader.state_of(self.current().await?).await
    }

    /// An event as the device sees it, with the fields that it wants.
    pub(crate) async fn client_event(&self, event: &Arc<StoredEvent>) -> Result<EventJson, Unreadable> {
        let whole = match self.format {
            EventFormat::Federation => RawValue::from_string(event.pdu.canonical_json().to_owned())
                .map_err(|error| Unreadable::Damaged(Box::new(error)))?,
            _ => {
                let who = (self.viewer, Some(self.device));
                self.reader.client_event(who, event, ClientFormat::InSync).await?
            }
        };
        let Some(fields) = self.fields else { return Ok(whole) };
        let read = serde_json::from_str(whole.get());
        let fewer = read.and_then(|event| to_raw_value(&only_fields(&event, fields)));
        fewer.map_err(|error| Unreadable::Damaged(Box::new(error)))
    }

    /// The users after whom the room is named when it has no name of its own; nobody when it has one.
    pub(crate) async fn heroes(&self) -> Result<Option<Vec<OwnedUserId>>, Unreadable> {
        self.heroes.get_or_try_init(|| self.find_heroes()).await.cloned()
    }

    async fn find_heroes(&self) -> Result<Option<Vec<OwnedUserId>>, Unreadable> {
        let state = self.current_state().await?;
        if is_set(&state, "m.room.name", "name").await?
            || is_set(&state, "m.room.canonical_alias", "alias").await?
        {
            return Ok(None);
        }
        let numbers: Vec<_> = state.numbers().await?.into_iter().map(|(_, event)| event).collect();
        let mut members = Vec::new();
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers.truncate(HEROES_AMONG_MAX);
        for event in self.reader.events(&numbers).await? {
            if event.pdu.event_type() == "m.room.member"
                && event.pdu.state_key() != Some(self.viewer.user_id.as_str())
            {
                members.push(event);
            }
        }
        Ok(Some(named_after(&members)))
    }

    /// What push rules ask about the room.
    pub(crate) async fn push_context(&self) -> Result<PushConditionRoomCtx, Unreadable> {
        let state = self.current_state().await?;
        let joined = self.current().await?.map_or(0, |current| current.joined);
        let member = state.get("m.room.member", self.viewer.user_id.as_str()).await?;
        let display_name = member.as_ref().and_then(|event| text_of(event, "displayname"));
        let display_name = display_name.unwrap_or_else(|| self.viewer.user_id.localpart().to_owned());
        let count = UInt::new(joined).unwrap_or_default();
        let context =
            PushConditionRoomCtx::new(self.room_id.clone(), count, self.viewer.user_id.clone(), display_name);
        Ok(match self.power_levels(&state).await? {
            Some(levels) => context.with_power_levels(levels),
            None => context,
        })
    }

    async fn power_levels(
        &self,
        state: &RoomState,
    ) -> Result<Option<PushConditionPowerLevelsCtx>, Unreadable> {
        let (Some(room), Some(create)) =
            (self.reader.room(self.room).await?, state.get("m.room.create", "").await?)
        else {
            return Ok(None);
        };
        let creators = creators(&create);
        let rules = RoomPowerLevelsRules::new(&room.version.rules().authorization, creators);
        let levels = state.get("m.room.power_levels", "").await?;
        let levels = levels.and_then(|event| serde_json::from_str::<PowerLevels>(event.pdu.content()).ok());
        Ok(levels.map(|levels| levels.for_push_rules(rules)))
    }
}

#[derive(Deserialize)]
struct PowerLevels {
    #[serde(default)]
    users: std::collections::BTreeMap<OwnedUserId, Int>,
    #[serde(default)]
    users_default: Int,
    #[serde(default)]
    notifications: ruma_common::power_levels::NotificationPowerLevels,
}

impl PowerLevels {
    fn for_push_rules(self, rules: RoomPowerLevelsRules) -> PushConditionPowerLevelsCtx {
        PushConditionPowerLevelsCtx::new(self.users, self.users_default, self.notifications, rules)
    }
}

fn creators(create: &StoredEvent) -> Vec<OwnedUserId> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        additional_creators: Vec<OwnedUserId>,
    }
    let content = serde_json::from_str::<Content>(create.pdu.content());
    let mut creators = content.map(|content| content.additional_creators).unwrap_or_default();
    creators.extend(UserId::parse(create.pdu.sender().as_str()));
    creators
}

async fn is_set(state: &RoomState, event_type: &str, field: &str) -> Result<bool, Unreadable> {
    let event = state.get(event_type, "").await?;
    Ok(event.and_then(|event| text_of(&event, field)).is_some_and(|text| !text.is_empty()))
}

/// A text member of an event's content.
fn text_of(event: &StoredEvent, field: &str) -> Option<String> {
    string_member(event.pdu.content(), field).map(Cow::into_owned)
}

/// The first members who are joined or invited; if there are none, the first who were.
fn named_after(members: &[Arc<StoredEvent>]) -> Vec<OwnedUserId> {
    let of = |wanted: &[Membership]| -> Vec<OwnedUserId> {
        let wanted =
            members.iter().filter(|event| event.row.membership.is_some_and(|one| wanted.contains(&one)));
        let users = wanted.filter_map(|event| UserId::parse(event.pdu.state_key()?).ok());
        users.take(HEROES).collect()
    };
    let present = of(&[Membership::Join, Membership::Invite]);
    if present.is_empty() { of(&[Membership::Leave, Membership::Ban]) } else { present }
}
