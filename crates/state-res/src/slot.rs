//! What is known of one event of the graph.

use freehold_event::{EventView, MemberSummary, Membership};

use crate::key::{Key, KeyNumber, Kind};

/// An event that has been met.
pub(crate) struct Slot<'a, Id> {
    pub(crate) id: Option<&'a Id>,
    /// Nothing before the event was read (see `asked`), and when the source lacks it.
    pub(crate) brief: Option<Brief<'a, Id>>,
    pub(crate) generation: Option<u64>,
    /// From where to where in `links`; nothing before they were followed, see `linked`.
    pub(crate) links: (u32, u32),
    /// The number of the conflicted key that the event was given under, if it was.
    pub(crate) key: Option<KeyNumber>,
    pub(crate) asked: bool,
    pub(crate) linked: bool,
    pub(crate) kind: Kind,
    pub(crate) of_sender: bool,
    pub(crate) member: Member,
}

/// What is kept of an event that was read; the source has the rest.
pub(crate) struct Brief<'a, Id> {
    pub(crate) event_id: &'a str,
    pub(crate) origin_server_ts: i64,
    pub(crate) rejected: bool,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) auth_events: &'a [Id],
}

/// What is known of a member event.
#[derive(Clone, Copy)]
pub(crate) enum Member {
    /// It was not asked for.
    Unread,
    /// It is an ordinary one.
    Ordinary(MemberSummary),
    /// It is not, or it is no member event.
    Other(Membership),
}

impl<'a, Id> Slot<'a, Id> {
    pub(crate) const fn new(id: Option<&'a Id>) -> Self {
        Self {
            id,
            brief: None,
            generation: None,
            links: (0, 0),
            key: None,
            asked: false,
            linked: false,
            kind: Kind::None,
            of_sender: false,
            member: Member::Unread,
        }
    }

    /// Notes what was read.
    ///
    /// Of an ordinary member that the source has a summary of, no text is looked at: in a large room
    /// every text has to be fetched from memory.
    pub(crate) fn note(&mut self, view: &EventView<'a, Id>, summary: Option<MemberSummary>) {
        self.asked = true;
        self.brief = Some(Brief {
            event_id: view.event_id,
            origin_server_ts: view.origin_server_ts,
            rejected: view.rejected,
            state_key: view.state_key,
            auth_events: view.auth_events,
        });
        if let Some(summary) = summary {
            self.kind = Kind::Member;
            self.of_sender = summary.of_sender;
            self.member = Member::Ordinary(summary);
        }
    }

    /// Finds out from the texts what sort of event it is.
    pub(crate) fn classify(&mut self, view: &EventView<'a, Id>) {
        if let (Kind::None, Some(key)) = (self.kind, Key::of(view)) {
            self.kind = key.kind();
            self.of_sender = self.kind == Kind::Member && view.state_key == Some(view.sender);
        }
    }
}
