//! The stage before any check.

use std::borrow::Cow;

use freehold_canonical_json::{RawValue, member};

use crate::{
    error::FormatError,
    pdu::{Pdu, ReferenceLimits},
    room_version::{RoomVersion, UnknownRoomVersion},
};

/// The bytes of something that somebody says is an event.
///
/// To read an event one has to know the version of its room, and to know the room one has to look
/// at the event; that is all this type is for. What it returns is a hint and no fact: only
/// [`Pdu`] holds what was checked.
///
/// ```
/// use freehold_event::{RawPdu, RoomVersion};
///
/// let raw = RawPdu::new(br#"{"type": "m.room.topic", "room_id": "!room:example.org"}"#);
/// assert_eq!(raw.room_id().as_deref(), Some("!room:example.org"));
/// assert!(raw.parse(RoomVersion::V11).is_err());
///
/// let create = RawPdu::new(br#"{"type": "m.room.create", "content": {"room_version": "12"}}"#);
/// assert_eq!(create.created_room_version(), Some(Ok(RoomVersion::V12)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPdu<'a> {
    json: &'a [u8],
}

impl<'a> RawPdu<'a> {
    /// Wraps bytes as they were received.
    pub fn new(json: &'a [u8]) -> Self {
        Self { json }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.json
    }

    /// The room that the event claims to belong to, by which its room version is looked up.
    ///
    /// `None` when it names none, as the create event of a room of version 12.
    pub fn room_id(&self) -> Option<Cow<'a, str>> {
        self.member("room_id")?.as_str()
    }

    /// The version of the room that this event creates, `None` when it is not a create event.
    ///
    /// # Errors
    ///
    /// The version is not in the table; the event must be refused.
    pub fn created_room_version(&self) -> Option<Result<&'static RoomVersion, UnknownRoomVersion>> {
        if self.member("type")?.as_str()? != "m.room.create" {
            return None;
        }
        Some(RoomVersion::of_create_content(self.member("content")?.text()))
    }

    /// See [`Pdu::parse`].
    ///
    /// # Errors
    ///
    /// As [`Pdu::parse`].
    pub fn parse(&self, version: &'static RoomVersion) -> Result<Pdu, FormatError> {
        Pdu::parse(self.json, version)
    }

    /// See [`Pdu::parse_with`].
    ///
    /// # Errors
    ///
    /// As [`Pdu::parse`].
    pub fn parse_with(
        &self,
        version: &'static RoomVersion,
        limits: ReferenceLimits,
    ) -> Result<Pdu, FormatError> {
        Pdu::parse_with(self.json, version, limits)
    }

    fn member(&self, key: &str) -> Option<RawValue<'a>> {
        member(std::str::from_utf8(self.json).ok()?, key).ok()?
    }
}
