//! From sending to the other's long poll: messages leave at set times, whether the server keeps up or not, and the
//! time counts from when a message should have left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::Outcome;
use crate::pace::Paced;
use crate::person::Person;

/// Messages of each pair in a second.
const PER_SECOND: u64 = 2;
/// How long after the last message the listeners wait for what is under way.
const GRACE: Duration = Duration::from_secs(10);
const POLL_MS: u64 = 5_000;

/// A room with somebody who sends and somebody who waits.
struct Pair {
    sender: Person,
    listener: Person,
    room_id: String,
    /// The listener's token after everything that went before.
    since: String,
}

/// Times from when a message is due to when the listener's sync has returned with it.
pub(crate) async fn delivery(people: &[Person], pairs: usize, seconds: u64) -> Outcome<Paced> {
    let mut made = Vec::new();
    for two in people.chunks_exact(2).take(pairs) {
        if let [sender, listener] = two {
            made.push(Pair::meet(sender, listener).await?);
        }
    }
    if made.len() < pairs {
        return Err(format!("there are people for {} pairs only", made.len()));
    }
    let started = Instant::now() + Duration::from_millis(200);
    let mut tasks = JoinSet::new();
    for (number, pair) in made.into_iter().enumerate() {
        let step = Duration::from_secs(1) / (PER_SECOND * pairs as u64) as u32;
        let first = started + step * number as u32;
        tasks.spawn(pair.talk(first, (seconds * PER_SECOND) as usize));
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.map_err(|error| error.to_string())??);
    }
    Ok(Paced::new(times, started.elapsed().as_secs_f64()))
}

impl Pair {
    async fn meet(sender: &Person, listener: &Person) -> Outcome<Self> {
        let room_id = sender.create_room("public_chat").await?;
        listener.join(&room_id, sender.host()).await?;
        let since = listener.sync(None, 0).await?.next_batch;
        Ok(Pair { sender: sender.clone(), listener: listener.clone(), room_id, since })
    }

    async fn talk(self, first: Instant, messages: usize) -> Outcome<Vec<f64>> {
        let due = move |number: usize| first + Duration::from_secs(1) / PER_SECOND as u32 * number as u32;
        let mut sends = JoinSet::new();
        for number in 0..messages {
            let (sender, room_id) = (self.sender.clone(), self.room_id.clone());
            sends.spawn(async move {
                tokio::time::sleep_until(due(number).into()).await;
                sender.send(&room_id, &number.to_string()).await.map(drop)
            });
        }
        let arrived = self.listen(messages, due(messages) + GRACE).await;
        while let Some(sent) = sends.join_next().await {
            sent.map_err(|error| error.to_string())??;
        }
        let arrived = arrived?;
        Ok(arrived.into_iter().map(|(number, at)| at.duration_since(due(number)).as_secs_f64()).collect())
    }

    /// When each message arrived.
    async fn listen(&self, messages: usize, deadline: Instant) -> Outcome<BTreeMap<usize, Instant>> {
        let mut arrived = BTreeMap::new();
        let mut since = self.since.clone();
        while arrived.len() < messages {
            if Instant::now() > deadline {
                return Err(format!("{} of {messages} messages did not arrive", messages - arrived.len()));
            }
            let synced = self.listener.sync(Some(&since), POLL_MS).await?;
            let now = Instant::now();
            for body in synced.messages(&self.room_id) {
                let number = body.parse().ok().filter(|number| *number < messages);
                let number = number.ok_or_else(|| format!("`{body}` was not sent"))?;
                if arrived.insert(number, now).is_some() {
                    return Err(format!("message {number} arrived twice"));
                }
            }
            since = synced.next_batch;
        }
        Ok(arrived)
    }
}
