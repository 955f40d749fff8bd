//! Auth events that are missing.

use std::collections::{BTreeMap, BTreeSet};

use freehold_event::Pdu;
use freehold_store::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream;
use ruma_common::OwnedEventId;

use super::ask::hedged;
use super::driver::wanted_by;
use super::fetching::NoAnswer;
use super::flight::{Flight, Piece, here};
use crate::limits::{CHAIN_ROUNDS_MAX, EVENTS_AT_ONCE, SINGLE_EVENTS_MAX};

impl Flight<'_> {
    /// Has the auth chain of an event here, of which some are missing.
    pub(super) async fn fetch_chain(&self, event: &Pdu, missing: Vec<OwnedEventId>) -> Result<(), NoAnswer> {
        let wanted: BTreeSet<OwnedEventId> = missing.into_iter().collect();
        let event_id = event.event_id();
        let wanted_now = &wanted;
        let chain = hedged(&self.servers, |server| {
            Box::pin(async move {
                let texts = self.inner.parts.fetching.event_auth(self.asking(server), event_id).await?;
                // Of a long chain most is here mostly. What is not is charged when it is taken.
                let pieces = self.look_unspent(texts).await?;
                let has_all = wanted_now.iter().all(|id| pieces.contains_key(id));
                if has_all { Ok(pieces) } else { Err(NoAnswer::Useless("auth events are missing")) }
            })
        });
        // Without it, one by one.
        let chain = chain.await.unwrap_or_default();
        let lacking = self.lacking(wanted, chain).await?;
        self.spend(lacking.len())?;
        self.receive_outliers(lacking).await
    }

    /// Keeps outliers that are wanted and the auth events that they name, as far as they are not here.
    pub(super) async fn keep_outliers(
        &self,
        wanted: BTreeSet<OwnedEventId>,
        came: BTreeMap<OwnedEventId, Piece>,
    ) -> Result<(), NoAnswer> {
        let lacking = self.lacking(wanted, came).await?;
        self.receive_outliers(lacking).await
    }

    /// Events that are wanted and the auth events that they name, as far as they are not here: from what came, and one by one where
    /// that has holes.
    async fn lacking(
        &self,
        mut wanted: BTreeSet<OwnedEventId>,
        mut came: BTreeMap<OwnedEventId, Piece>,
    ) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        let mut taken: BTreeMap<OwnedEventId, Piece> = BTreeMap::new();
        for _ in 0..CHAIN_ROUNDS_MAX {
            let mut next: Vec<OwnedEventId> = std::mem::take(&mut wanted).into_iter().collect();
            while let Some(id) = next.pop() {
                let Some(piece) = came.remove(&id) else {
                    wanted.insert(id);
                    continue;
                };
                let named = self.unknown(piece.pdu.auth_events()).await?;
                next.extend(named.into_iter().filter(|named| !taken.contains_key(named) && *named != id));
                taken.insert(id, piece);
            }
            wanted.retain(|id| !taken.contains_key(id));
            if wanted.is_empty() {
                return Ok(taken);
            }
            came.extend(self.fetch_events(&wanted).await?);
        }
        Err(NoAnswer::TooMuch)
    }

    /// Some events, one by one.
    pub(super) async fn fetch_events(
        &self,
        wanted: &BTreeSet<OwnedEventId>,
    ) -> Result<BTreeMap<OwnedEventId, Piece>, NoAnswer> {
        if wanted.len() > SINGLE_EVENTS_MAX {
            return Err(NoAnswer::TooMuch);
        }
        let fetch = |event_id| -> BoxFuture<'_, _> { Box::pin(self.fetch_event(event_id)) };
        let fetches: Vec<_> = wanted.iter().map(fetch).collect();
        let mut answers = stream::iter(fetches).buffer_unordered(EVENTS_AT_ONCE);
        let mut events = BTreeMap::new();
        while let Some(piece) = answers.next().await {
            let piece = piece?;
            events.insert(piece.pdu.event_id().to_owned(), piece);
        }
        Ok(events)
    }

    pub(super) async fn fetch_event(&self, event_id: &OwnedEventId) -> Result<Piece, NoAnswer> {
        hedged(&self.servers, |server| {
            Box::pin(async move {
                let text = self.inner.parts.fetching.event(self.asking(server), event_id).await?;
                let mut pieces = self.look(vec![text]).await?;
                pieces.remove(event_id).ok_or(NoAnswer::Useless("another event"))
            })
        })
        .await
    }

    /// Receives outliers; those that are no good are not kept, and whoever names them will miss them.
    async fn receive_outliers(&self, pieces: BTreeMap<OwnedEventId, Piece>) -> Result<(), NoAnswer> {
        let pieces: Vec<Piece> = pieces.into_values().collect();
        let keys = self.keys(wanted_by(pieces.iter().map(|piece| &*piece.pdu))).await;
        // In one list, because it is put in order there.
        let texts: Vec<&[u8]> = pieces.iter().map(|piece| piece.json.as_bytes()).collect();
        self.rooms().receive_outliers(self.room_id(), &texts, &*keys).await.map_err(here)?;
        Ok(())
    }

    /// Which of some events are not here at all.
    pub(super) async fn unknown(&self, event_ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, NoAnswer> {
        let reader = self.rooms().reader().map_err(here)?;
        reader.unknown_events(self.room.number, event_ids).await.map_err(here)
    }
}
