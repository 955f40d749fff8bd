//! The events between what is here and an event that came.

use std::collections::{BTreeMap, BTreeSet};

use freehold_rooms::Incoming;
use ruma_common::OwnedEventId;

use super::ask::hedged;
use super::driver::wanted_by;
use super::fetching::{MissingQuery, NoAnswer};
use super::flight::{Flight, Piece, here};
use crate::limits::{GAP_EVENTS_MAX, GAP_PAGE, GAP_ROUNDS_MAX, GIVEN_STATES_MAX};

impl Flight<'_> {
    /// Receives an event once what is missing for it is there: the events between, as far as they can be had, from the
    /// oldest; those that follow something that cannot, with the state before them as a server gives it.
    pub(super) async fn complete(&self, event: &Piece) -> Result<Incoming, NoAnswer> {
        let between = self.between(event).await?;
        let keys = self.keys(wanted_by(between.iter().map(|piece| &*piece.pdu).chain([&*event.pdu]))).await;
        let mut states = GIVEN_STATES_MAX;
        for piece in &between {
            // One that cannot be received keeps no other from it.
            match self.settle(piece, &*keys, &mut states).await {
                Ok(_) | Err(NoAnswer::Useless(_) | NoAnswer::Failed(_) | NoAnswer::Nobody) => {}
                Err(error) => return Err(error),
            }
        }
        states = states.max(1);
        self.settle(event, &*keys, &mut states).await
    }

    /// Receives one event, with its auth events and, if need be, with a state that is given.
    async fn settle(
        &self,
        piece: &Piece,
        keys: &(dyn freehold_signing::KeySource + Sync),
        states: &mut usize,
    ) -> Result<Incoming, NoAnswer> {
        let mut incoming = self.receive(piece, None, keys).await?;
        if let Incoming::Fetch(fetch) = &incoming
            && !fetch.auth_events.is_empty()
        {
            self.fetch_chain(&piece.pdu, fetch.auth_events.clone()).await?;
            incoming = self.receive(piece, None, keys).await?;
        }
        match &incoming {
            Incoming::Fetch(fetch) if !fetch.prev_events.is_empty() => {
                *states = states.checked_sub(1).ok_or(NoAnswer::TooMuch)?;
                self.receive_with_given_state(piece, keys).await
            }
            _ => Ok(incoming),
        }
    }

    /// The events between what is here and an event, each after those that it follows.
    async fn between(&self, event: &Piece) -> Result<Vec<Piece>, NoAnswer> {
        let mut wanted: BTreeSet<OwnedEventId> =
            self.missing(event.pdu.prev_events()).await?.into_iter().collect();
        let mut found: BTreeMap<OwnedEventId, Piece> = BTreeMap::new();
        let mut latest = vec![event.pdu.event_id().to_owned()];
        for _ in 0..GAP_ROUNDS_MAX {
            if wanted.is_empty() || found.len() >= GAP_EVENTS_MAX {
                break;
            }
            let Ok(mut pieces) = self.ask_missing(latest).await else { break };
            let before = found.len();
            // Only what is wanted is taken, and what that follows.
            while let Some(id) = wanted.iter().find(|id| pieces.contains_key(*id)).cloned() {
                wanted.remove(&id);
                let Some(piece) = pieces.remove(&id) else { break };
                let prev_events = self.missing(piece.pdu.prev_events()).await?;
                wanted
                    .extend(prev_events.into_iter().filter(|prev| !found.contains_key(prev) && *prev != id));
                found.insert(id, piece);
            }
            if found.len() == before {
                break;
            }
            let is_open = |piece: &&Piece| piece.pdu.prev_events().iter().any(|prev| wanted.contains(prev));
            latest = found.values().filter(is_open).map(|piece| piece.pdu.event_id().to_owned()).collect();
        }
        Ok(in_order(found))
    }

    async fn ask_missing(
        &self,
        latest: Vec<OwnedEventId>,
    ) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        let reader = self.rooms().reader().map_err(here)?;
        let earliest_events = reader.forward_extremities(self.room.number).await.map_err(here)?;
        let latest_events = latest.into_iter().take(GAP_PAGE).collect();
        let query = MissingQuery { earliest_events, latest_events, limit: GAP_PAGE };
        let query = &query;
        hedged(&self.servers, |server| {
            Box::pin(async move {
                let fetching = &self.inner.parts.fetching;
                let mut texts = fetching.missing_events(self.asking(server), query).await?;
                texts.truncate(GAP_PAGE);
                let pieces = self.look(texts).await?;
                if pieces.is_empty() { Err(NoAnswer::Useless("no events")) } else { Ok(pieces) }
            })
        })
        .await
    }

    /// Which of some events are not here with their states.
    async fn missing(&self, event_ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, NoAnswer> {
        let reader = self.rooms().reader().map_err(here)?;
        reader.stateless_events(self.room.number, event_ids).await.map_err(here)
    }
}

/// Events, each after those that it follows; of a cycle, which only authors of ids can make, in any order.
pub(super) fn in_order(mut found: BTreeMap<OwnedEventId, Piece>) -> Vec<Piece> {
    let mut order = Vec::with_capacity(found.len());
    let mut stack: Vec<OwnedEventId> = found.keys().rev().cloned().collect();
    let mut entered: BTreeSet<OwnedEventId> = BTreeSet::new();
    while let Some(id) = stack.last().cloned() {
        let Some(piece) = found.get(&id) else {
            stack.pop();
            continue;
        };
        if entered.insert(id.clone()) {
            stack.extend(piece.pdu.prev_events().iter().filter(|prev| found.contains_key(*prev)).cloned());
        } else {
            stack.pop();
            order.extend(found.remove(&id));
        }
    }
    order
}
