//! The events between what is here and an event that came.

use std::collections::{BTreeMap, BTreeSet};

use freehold_rooms::Incoming;
use freehold_signing::SignedPdu;
use ruma_common::OwnedEventId;

use super::ask::hedged;
use super::driver::wanted_by;
use super::fetching::{MissingQuery, NoAnswer};
use super::flight::{Flight, Piece, here};
use super::together::Keys;
use crate::limits::{GAP_EVENTS_MAX, GAP_PAGE, GAP_ROUNDS_MAX, GIVEN_STATES_MAX};

impl Flight<'_> {
    /// Receives an event once what is missing for it is there: the events between, as far as they can be had, from the
    /// oldest; those that follow something that cannot, with the state before them as a server gives it.
    pub(super) async fn complete(&self, event: &Piece) -> Result<Incoming, NoAnswer> {
        let between = self.between(event).await?;
        let wanted = wanted_by(between.iter().map(|piece| &*piece.pdu).chain([&*event.pdu]));
        let keys: Keys = self.keys(wanted).await.into();
        let mut states = GIVEN_STATES_MAX;
        self.receive_between(&between, &keys, &mut states).await?;
        states = states.max(1);
        self.settle(event, &*keys, &mut states).await
    }

    /// Receives events that lie between, from the oldest: together as far as nothing is missing for them, the first one for which
    /// something is by itself, and then the others together again. One that cannot be received keeps no other from it.
    async fn receive_between(
        &self,
        between: &[Piece],
        keys: &Keys,
        states: &mut usize,
    ) -> Result<(), NoAnswer> {
        let mut left = match self.inner.is_recommended(&self.room).await.map_err(here)? {
            true => between.iter().map(|piece| (piece, None)).collect(),
            false => self.verified(between, keys).await?,
        };
        while !left.is_empty() {
            let signed: Vec<SignedPdu> = left.iter().filter_map(|(_, signed)| signed.clone()).collect();
            if signed.len() == left.len() {
                let received = self.rooms().receive_verified(self.room_id(), signed).await.map_err(here)?;
                let waits =
                    |incoming: &Result<_, _>| !matches!(incoming, Ok(incoming) if !is_fetch(incoming));
                let pairs = left.into_iter().zip(received);
                left = pairs.filter(|(_, incoming)| waits(incoming)).map(|(piece, _)| piece).collect();
            }
            if left.is_empty() {
                break;
            }
            match self.settle(left.remove(0).0, &**keys, states).await {
                Ok(_)
                | Err(
                    NoAnswer::Useless(_) | NoAnswer::Unreached(_) | NoAnswer::Failed(_) | NoAnswer::Nobody,
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The events that pass checks 1 to 3.
    async fn verified<'p>(
        &self,
        pieces: &'p [Piece],
        keys: &Keys,
    ) -> Result<Vec<(&'p Piece, Option<SignedPdu>)>, NoAnswer> {
        let pdus = pieces.iter().map(|piece| (*piece.pdu).clone()).collect();
        let verified = self.inner.verified(pdus, keys).await.map_err(here)?;
        let pairs = pieces.iter().zip(verified);
        Ok(pairs.filter_map(|(piece, verified)| Some((piece, Some(verified.ok()?)))).collect())
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
    pub(super) async fn missing(&self, event_ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, NoAnswer> {
        let reader = self.rooms().reader().map_err(here)?;
        reader.stateless_events(self.room.number, event_ids).await.map_err(here)
    }
}

fn is_fetch(incoming: &Incoming) -> bool {
    matches!(incoming, Incoming::Fetch(_))
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
