//! [Spaces](https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-15): rooms that lead to others, some of them elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use freehold_rooms::{Children, Reader, Rooms};
use freehold_store::Actor;
use ruma_client_api::space::get_hierarchy::v1::Request;
use ruma_common::api::error::ErrorCode;
use ruma_common::{OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::error::ApiError;
use crate::other_directories::OtherDirectories;
use crate::request::Body;

/// How many rooms a page has at most.
const LIMIT_MAX: usize = 50;
/// How deep it is looked at most.
const DEPTH_MAX: usize = 10;
/// How many rooms are looked at in all.
const ROOMS_MAX: usize = 500;
/// How many servers are asked about one room.
const SERVERS_MAX: usize = 3;
/// How many rooms other servers are asked about for one page.
const ASKED_MAX: usize = 20;

/// `GET /rooms/{roomId}/hierarchy`.
pub(crate) async fn hierarchy(
    State(rooms): State<Rooms>,
    State(others): State<Arc<dyn OtherDirectories>>,
    user: Authenticated,
    Body(request): Body<Request>,
) -> Result<Json<Value>, ApiError> {
    let number = |limit: Option<js_int::UInt>, most: usize| {
        limit.and_then(|limit| usize::try_from(u64::from(limit)).ok()).unwrap_or(most).min(most)
    };
    if request.limit.is_some_and(|limit| limit == js_int::UInt::from(0_u8)) {
        return Err(ApiError::new(ErrorCode::InvalidParam, "`limit`: at least one room is shown"));
    }
    let (limit, depth) = (number(request.limit, LIMIT_MAX), number(request.max_depth, DEPTH_MAX));
    let children = if request.suggested_only { Children::Suggested } else { Children::All };
    let start = start_of(request.from.as_deref(), (depth, request.suggested_only))?;
    let reader = rooms.reader()?;
    let mut walk =
        Walk { reader, others: &*others, actor: &user.actor, children, told: BTreeMap::new(), asked: 0 };
    let found = walk.rooms(request.room_id, depth, start.saturating_add(limit).saturating_add(1)).await?;
    if found.is_empty() {
        return Err(ApiError::new(ErrorCode::Forbidden, "you are not allowed to view this room"));
    }
    let end = start.saturating_add(limit);
    let mut answer = json!({ "rooms": found.get(start..end.min(found.len())).unwrap_or_default() });
    if found.len() > end
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("next_batch".to_owned(), json!(token(end, (depth, request.suggested_only))));
    }
    Ok(Json(answer))
}

fn token(start: usize, (depth, suggested_only): (usize, bool)) -> String {
    format!("{start}_{depth}_{suggested_only}")
}

/// How many rooms come before a page.
fn start_of(from: Option<&str>, asked: (usize, bool)) -> Result<usize, ApiError> {
    let Some(from) = from else { return Ok(0) };
    let start = from.split('_').next().and_then(|start| start.parse().ok());
    start.filter(|start| token(*start, asked) == from).ok_or_else(|| {
        let message = "`from`: not a token of this server, or suggested_only or max_depth have changed";
        ApiError::new(ErrorCode::InvalidParam, message)
    })
}

/// A walk through a space, for a user.
struct Walk<'a> {
    reader: Reader,
    others: &'a dyn OtherDirectories,
    actor: &'a Actor,
    children: Children,
    /// Rooms that other servers have told of, beside those they were asked about.
    told: BTreeMap<OwnedRoomId, Value>,
    /// How many rooms others were asked about.
    asked: usize,
}

impl Walk<'_> {
    /// Up to so many rooms, each space before what it leads to.
    async fn rooms(&mut self, root: OwnedRoomId, depth: usize, most: usize) -> Result<Vec<Value>, ApiError> {
        let mut next: Vec<(OwnedRoomId, Vec<OwnedServerName>, usize)> = vec![(root, Vec::new(), 0)];
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        while let Some((room_id, via, level)) = next.pop() {
            if found.len() >= most || seen.len() >= ROOMS_MAX {
                break;
            }
            // Spaces may lead to each other in a circle.
            if !seen.insert(room_id.clone()) {
                continue;
            }
            let Some(mut room) = self.room(&room_id, &via).await? else { continue };
            if let Some(children) = room.get_mut("children_state").and_then(Value::as_array_mut) {
                children.retain(|child| self.children == Children::All || is_suggested(child));
                if level < depth {
                    next.extend(
                        children.iter().rev().filter_map(child).map(|(id, via)| (id, via, level + 1)),
                    );
                }
            }
            found.push(room);
        }
        Ok(found)
    }

    /// A room, as far as the user may know of it: what is here comes before what others say.
    async fn room(&mut self, room_id: &RoomId, via: &[OwnedServerName]) -> Result<Option<Value>, ApiError> {
        if let Some(room) = self.reader.space_room_for_user(self.actor, room_id).await? {
            return Ok(Some(room.to_json()));
        }
        if let Some(number) = self.reader.room_number(room_id).await?
            && self.reader.is_in_room(self.actor.tenant.number(), number).await?
        {
            return Ok(None);
        }
        let room = match self.told.remove(room_id) {
            Some(room) if !is_space(&room) => Some(room),
            _ => self.elsewhere(room_id, via).await?,
        };
        match room {
            Some(room) if self.is_open(&room).await? => Ok(Some(room)),
            _ => Ok(None),
        }
    }

    /// What other servers say of a room, those of neighbours too.
    async fn elsewhere(
        &mut self,
        room_id: &RoomId,
        via: &[OwnedServerName],
    ) -> Result<Option<Value>, ApiError> {
        for server in via.iter().take(SERVERS_MAX) {
            if self.asked >= ASKED_MAX {
                break;
            }
            self.asked += 1;
            let Some(answer) = self.answer(server, room_id).await? else { continue };
            let Some(room) = answer.get("room").filter(|room| is_of(room, room_id)) else { continue };
            for told in answer.get("children").and_then(Value::as_array).into_iter().flatten().take(ROOMS_MAX)
            {
                if let Some(id) =
                    told.get("room_id").and_then(Value::as_str).and_then(|id| RoomId::parse(id).ok())
                {
                    self.told.entry(id).or_insert_with(|| told.clone());
                }
            }
            return Ok(Some(room.clone()));
        }
        Ok(None)
    }

    async fn answer(&self, server: &ServerName, room_id: &RoomId) -> Result<Option<Value>, ApiError> {
        let tenant = &self.actor.tenant;
        if let Some(neighbour) = self.others.neighbour(tenant, server) {
            let asked = (&neighbour, tenant.server_name());
            let answer = self.reader.space_for_server(asked, room_id, Children::All).await?;
            return Ok(answer.map(|answer| answer.to_json()));
        }
        if server == tenant.server_name() {
            return Ok(None);
        }
        let text = self.others.hierarchy(tenant, server, room_id).await;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Whether the user could join, knock on or read a room of which others told.
    async fn is_open(&self, room: &Value) -> Result<bool, ApiError> {
        let rule = room.get("join_rule").and_then(Value::as_str).unwrap_or("public");
        let readable = room.get("world_readable").and_then(Value::as_bool).unwrap_or_default();
        if readable || matches!(rule, "public" | "knock" | "knock_restricted") {
            return Ok(true);
        }
        let allowed = room.get("allowed_room_ids").and_then(Value::as_array).into_iter().flatten();
        let allowed: Vec<OwnedRoomId> =
            allowed.filter_map(Value::as_str).filter_map(|id| RoomId::parse(id).ok()).collect();
        Ok(self.reader.is_joined_to_any(self.actor, &allowed).await?)
    }
}

fn is_of(room: &Value, room_id: &RoomId) -> bool {
    room.get("room_id").and_then(Value::as_str) == Some(room_id.as_str())
}

fn is_space(room: &Value) -> bool {
    room.get("room_type").and_then(Value::as_str) == Some("m.space")
}

fn is_suggested(child: &Value) -> bool {
    child.pointer("/content/suggested") == Some(&Value::Bool(true))
}

/// The room that an `m.space.child` event leads to, and servers in it.
fn child(event: &Value) -> Option<(OwnedRoomId, Vec<OwnedServerName>)> {
    let room_id = RoomId::parse(event.get("state_key")?.as_str()?).ok()?;
    let via = event.pointer("/content/via")?.as_array()?.iter().take(10);
    let via = via.filter_map(Value::as_str).filter_map(|name| ServerName::parse(name).ok());
    Some((room_id, via.collect()))
}
