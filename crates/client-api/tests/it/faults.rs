//! A disk that is full, and one that does not keep what is written: writes are refused as such, reading goes on, and there is room again
//! without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use freehold_store::{
    Batch, BoxFuture, CommitError, Engine, EngineError, EngineSnapshot, MemoryEngine, Position,
};
use serde_json::{Value, json};

use crate::server::{Answer, Ask, Server};

const ALICE: &str = "@alice:alice.example";
const V3: &str = "/_matrix/client/v3";

/// An engine in memory whose disk has faults when it is told so.
#[derive(Default)]
struct Faulty {
    inner: MemoryEngine,
    fault: AtomicU8,
}

const WELL: u8 = 0;
const FULL: u8 = 1;
const NO_SYNC: u8 = 2;

impl Engine for Faulty {
    fn snapshot(&self) -> Result<Box<dyn EngineSnapshot>, EngineError> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Position, CommitError>> {
        let fault = match self.fault.load(Ordering::SeqCst) {
            FULL if !batch.is_empty() => CommitError::Full,
            NO_SYNC if !batch.is_empty() => CommitError::Engine(EngineError("sync failed".to_owned())),
            _ => return self.inner.commit(batch),
        };
        Box::pin(std::future::ready(Err(fault)))
    }
}

/// Requests that change something, each of another part of the server.
fn writes(room: &str, round: &str) -> Vec<(&'static str, String, Value)> {
    let alice = format!("{V3}/user/{ALICE}");
    let tags = format!("{alice}/rooms/{room}/tags");
    let room = format!("{V3}/rooms/{room}");
    let text = json!({ "msgtype": "m.text", "body": round });
    vec![
        ("PUT", format!("{room}/send/m.room.message/{round}"), text),
        ("PUT", format!("{room}/state/m.room.topic/"), json!({ "topic": round })),
        ("POST", format!("{V3}/createRoom"), json!({})),
        ("PUT", format!("{alice}/account_data/org.example.{round}"), json!({ "a": round })),
        ("PUT", format!("{tags}/u.{round}"), json!({ "order": 0.5 })),
        ("POST", format!("{alice}/filter"), json!({ "event_fields": [round] })),
        ("PUT", format!("{V3}/sendToDevice/m.test/{round}"), json!({ "messages": { ALICE: { "*": {} } } })),
        ("POST", "/_matrix/media/v1/create".to_owned(), json!({})),
        ("POST", "/_matrix/media/v3/upload".to_owned(), json!(round)),
    ]
}

async fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    server.send(Ask::new(method, path).by(ALICE).json(body)).await
}

#[tokio::test]
async fn writes_are_refused_while_nothing_can_be_written_and_reading_goes_on() {
    let engine = Arc::new(Faulty::default());
    let server = Server::over(engine.clone());
    let room = ask(&server, "POST", &format!("{V3}/createRoom"), &json!({})).await.ok();
    let room = room["room_id"].as_str().unwrap().to_owned();
    let reads = [
        format!("{V3}/sync?timeout=0"),
        format!("{V3}/rooms/{room}/messages?dir=b"),
        format!("{V3}/rooms/{room}/state"),
        format!("{V3}/joined_rooms"),
    ];
    let cases = [(FULL, (507, "M_RESOURCE_LIMIT_EXCEEDED"), "full"), (NO_SYNC, (503, "M_UNKNOWN"), "nosync")];
    for (fault, expected, round) in cases {
        engine.fault.store(fault, Ordering::SeqCst);
        for (method, path, body) in writes(&room, round) {
            let refused = ask(&server, method, &path, &body).await;
            assert_eq!(refused.error(), expected, "{method} {path}: {}", refused.json);
        }
        for path in &reads {
            ask(&server, "GET", path, &json!({})).await.ok();
        }
        engine.fault.store(WELL, Ordering::SeqCst);
        for (method, path, body) in writes(&room, round) {
            let taken = ask(&server, method, &path, &body).await;
            assert_eq!(taken.status, 200, "{method} {path}: {}", taken.json);
        }
        let said = ask(&server, "GET", &reads[1], &json!({})).await.ok();
        let said = said["chunk"].as_array().unwrap().iter().filter(|event| event["content"]["body"] == round);
        assert_eq!(said.count(), 1, "what was refused took no effect");
    }
}
