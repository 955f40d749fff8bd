//! History that is fetched from others while somebody reads back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freehold_client_api::OlderEvents;
use freehold_store::tables::rooms::MISSING_PREVS;
use freehold_store::{Batch, BoxFuture, EventNumber, MemoryEngine, RoomNumber, Store, Tenant};
use ruma_common::{EventId, OwnedEventId, RoomId};
use serde_json::{Value, json};

use crate::server::{Ask, Server};

const ALICE: &str = "@alice:alice.example";

/// Others who have pages of events that were all rejected, and then the beginning of the room.
struct Rejected {
    store: Store,
    pages: AtomicUsize,
    missing: (RoomNumber, OwnedEventId, EventNumber),
}

impl OlderEvents for Rejected {
    fn fetch<'a>(&'a self, _: &'a Tenant, _: &'a RoomId) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            if self.pages.fetch_sub(1, Ordering::Relaxed) == 1 {
                let mut batch = Batch::new();
                batch.delete(&MISSING_PREVS, &self.missing);
                self.store.commit(batch).await.unwrap();
            }
            true
        })
    }
}

async fn ask(server: &Server, method: &str, path: &str, body: Value) -> Value {
    let path = format!("/_matrix/client/v3/{path}");
    server.send(Ask::new(method, &path).by(ALICE).json(&body)).await.ok()
}

/// CVE-2026-45076: a page of rejected events was the end of the history.
#[tokio::test]
async fn cve_2026_45076_pages_of_rejected_events_do_not_end_the_history() {
    let engine = Arc::new(MemoryEngine::new());
    let server = Server::over(engine.clone());
    let room = ask(&server, "POST", "createRoom", json!({})).await["room_id"].as_str().unwrap().to_owned();
    let store = Store::open(engine).await.unwrap();
    let snapshot = store.snapshot().unwrap();
    let number = snapshot.number_of(&RoomId::parse(room.as_str()).unwrap()).await.unwrap().unwrap();
    drop(snapshot);
    let missing = (number, EventId::parse("$missing").unwrap(), EventNumber(1));
    let mut batch = Batch::new();
    batch.put(&MISSING_PREVS, &missing, &());
    store.commit(batch).await.unwrap();
    let others = Arc::new(Rejected { store, pages: AtomicUsize::new(15), missing });
    let server = server.with_older(others.clone());
    let mut from = String::new();
    for answer in 0.. {
        assert!(answer < 10, "it goes on for ever");
        let read =
            ask(&server, "GET", &format!("rooms/{room}/messages?dir=b&limit=100{from}"), json!({})).await;
        match read["end"].as_str() {
            Some(end) => from = format!("&from={end}"),
            None => break,
        }
    }
    assert_eq!(others.pages.load(Ordering::Relaxed), 0, "pages that nobody asked for");
}
