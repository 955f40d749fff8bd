//! The answer to a join: the state before it and the auth chain of that, written as it is read.

use std::collections::BTreeSet;

use freehold_store::EventNumber;
use freehold_store::tables::rooms::{EVENTS, Membership};
use ruma_common::{OwnedServerName, ServerName};

use crate::limits::AUTH_CHAIN_MAX;
use crate::outside::Members;
use crate::read::{Reader, StoredEvent, Unreadable};
use crate::stripped::quoted;

/// How many events are read and written at a time.
const PAGE: usize = 200;

/// How many heroes a room without a name is named after.
const HEROES: usize = 5;

/// The answer to a join, as the body of the second version of
/// [`send_join`](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid). The
/// first version has the same body as the second element of an array, after `200`.
#[derive(Debug)]
pub struct JoinAnswer {
    reader: Reader,
    head: String,
    state: Vec<EventNumber>,
    auth_chain: Vec<EventNumber>,
    place: Place,
}

/// What is written next.
#[derive(Clone, Copy, Debug)]
enum Place {
    Head,
    State(usize),
    AuthChain(usize),
    End,
    Over,
}

impl JoinAnswer {
    /// The answer of a server to a join that the room took.
    pub(crate) async fn of(
        reader: Reader,
        server: &ServerName,
        join: EventNumber,
        members: Members,
    ) -> Result<Self, Unreadable> {
        let join = reader.event(join).await?;
        let all = reader.state_before(&join).await?;
        let state: Vec<EventNumber> = match members {
            Members::All => all.numbers().await?.into_iter().map(|(_, event)| event).collect(),
            Members::Few => reader.state_without_members(&join).await?,
        };
        let omitted = state.len() < all.len();
        let mut auth_chain = reader.chain_of(&state, &join.row.auth_events).await?;
        if members == Members::Few {
            // "any events that are returned in `state` may be omitted from `auth_chain`"
            let in_state: BTreeSet<EventNumber> = state.iter().copied().collect();
            auth_chain.retain(|event| !in_state.contains(event));
        }
        let servers = if omitted { Some(reader.servers_before(&join).await?) } else { None };
        let head = head(server, &join, servers);
        Ok(JoinAnswer { reader, head, state, auth_chain, place: Place::Head })
    }

    /// How many events of the state are in it.
    pub fn state_len(&self) -> usize {
        self.state.len()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn chunk(&mut self) -> Result<Option<String>, Unreadable> {
        let (text, next) = match self.place {
            Place::Head => (std::mem::take(&mut self.head), Place::State(0)),
            Place::State(from) if from >= self.state.len() => {
                ("],\"auth_chain\":[".to_owned(), Place::AuthChain(0))
            }
            Place::State(from) => (self.page(&self.state, from).await?, Place::State(from + PAGE)),
            Place::AuthChain(from) if from >= self.auth_chain.len() => ("]}".to_owned(), Place::End),
            Place::AuthChain(from) => {
                (self.page(&self.auth_chain, from).await?, Place::AuthChain(from + PAGE))
            }
            Place::End | Place::Over => (String::new(), Place::Over),
        };
        self.place = next;
        Ok((!matches!(next, Place::Over)).then_some(text))
    }

    async fn page(&self, events: &[EventNumber], from: usize) -> Result<String, Unreadable> {
        let page: Vec<EventNumber> = events.iter().skip(from).take(PAGE).copied().collect();
        let mut text = String::new();
        for event in self.reader.events(&page).await? {
            if from > 0 || !text.is_empty() {
                text.push(',');
            }
            text.push_str(event.pdu.canonical_json());
        }
        Ok(text)
    }
}

/// The members before the two lists. `servers` when members are left out.
fn head(server: &ServerName, join: &StoredEvent, servers: Option<Vec<OwnedServerName>>) -> String {
    let omitted = servers.is_some();
    let servers = servers.map_or_else(String::new, |servers| {
        let names: Vec<String> = servers.iter().map(|server| quoted(server.as_str())).collect();
        format!("\"servers_in_room\":[{}],", names.join(","))
    });
    format!(
        "{{\"origin\":{},\"members_omitted\":{omitted},{servers}\"event\":{},\"state\":[",
        quoted(server.as_str()),
        join.pdu.canonical_json()
    )
}

impl Reader {
    /// The auth chain of some events, and some others that belong to it.
    async fn chain_of(
        &self,
        events: &[EventNumber],
        others: &[EventNumber],
    ) -> Result<Vec<EventNumber>, Unreadable> {
        let mut chain: BTreeSet<EventNumber> = others.iter().copied().collect();
        let mut next: Vec<EventNumber> = events.iter().chain(others).copied().collect();
        while !next.is_empty() {
            let mut found = Vec::new();
            for page in next.chunks(PAGE) {
                for row in self.snapshot.get_many(&EVENTS, page).await? {
                    let row = row.ok_or_else(|| Unreadable::damaged("an event is missing"))?;
                    found.extend(row.auth_events.into_iter().filter(|event| chain.insert(*event)));
                }
            }
            if chain.len() > AUTH_CHAIN_MAX {
                return Err(Unreadable::damaged("an auth chain is beyond all bounds"));
            }
            next = found;
        }
        Ok(chain.into_iter().collect())
    }

    /// The state before a join without members, but for those that the join is authorised by, and those after whom a
    /// room without a name is named.
    async fn state_without_members(&self, join: &StoredEvent) -> Result<Vec<EventNumber>, Unreadable> {
        let state = self.state_before(join).await?;
        let entries = state.numbers().await?;
        let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
        let keys = self.state_keys(&keys).await?;
        let is_named = keys
            .iter()
            .any(|key| key.1.is_empty() && matches!(&*key.0, "m.room.name" | "m.room.canonical_alias"));
        let (members, mut wanted): (Vec<_>, Vec<_>) =
            entries.iter().zip(&keys).partition::<Vec<_>, _>(|(_, key)| key.0 == "m.room.member");
        let mut heroes: Vec<EventNumber> = members.iter().map(|((_, event), _)| *event).collect();
        heroes.sort_unstable();
        let authorising = heroes.iter().filter(|event| join.row.auth_events.contains(event)).copied();
        let mut kept: Vec<EventNumber> = authorising.collect();
        if !is_named {
            kept.extend(self.first_present(&heroes).await?);
        }
        kept.extend(wanted.drain(..).map(|((_, event), _)| *event));
        kept.sort_unstable();
        kept.dedup();
        Ok(kept)
    }

    /// The first of some members who are joined or invited.
    async fn first_present(&self, members: &[EventNumber]) -> Result<Vec<EventNumber>, Unreadable> {
        let mut present = Vec::new();
        for page in members.chunks(PAGE) {
            for (event, row) in page.iter().zip(self.snapshot.get_many(&EVENTS, page).await?) {
                let membership = row.and_then(|row| row.membership);
                if matches!(membership, Some(Membership::Join | Membership::Invite)) {
                    present.push(*event);
                }
            }
            if present.len() >= HEROES {
                present.truncate(HEROES);
                break;
            }
        }
        Ok(present)
    }

    /// The servers with joined users before a join.
    async fn servers_before(&self, join: &StoredEvent) -> Result<Vec<OwnedServerName>, Unreadable> {
        let joining = join.pdu.sender().server_name();
        let servers = self.servers_in(join.row.room).await?;
        let before = servers.into_iter().filter(|(server, row)| server != joining || row.joined > 1);
        Ok(before.map(|(server, _)| server).collect())
    }
}
