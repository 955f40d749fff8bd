//! Many tenants in one process of ours: adding them, starting with them, and a room with members in many of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Outcome;
use crate::ours::{Operator, Ours, TENANT};
use crate::pace::{Bound, Paced, closed};
use crate::person::Person;
use crate::process::Server;

/// How many of everything.
#[derive(Clone, Copy)]
pub(crate) struct Amounts {
    pub(crate) tenants: Bound,
    /// People of these tenants, and the seconds that registering them may take: each costs a password hash.
    pub(crate) people: Bound,
    /// Members of the shared room.
    pub(crate) members: usize,
    /// Messages in it, in each of several rounds.
    pub(crate) messages: usize,
}

impl Amounts {
    pub(crate) const FULL: Amounts = Amounts {
        tenants: Bound { count: 10_000, seconds: 90 },
        people: Bound { count: 10_000, seconds: 120 },
        members: 1_000,
        messages: 100,
    };
    pub(crate) const SMOKE: Amounts = Amounts {
        tenants: Bound { count: 30, seconds: 5 },
        people: Bound { count: 20, seconds: 5 },
        members: 20,
        messages: 5,
    };
}

/// What many tenants cost.
pub(crate) struct Tenants {
    pub(crate) adding: Paced,
    /// How many have a user.
    pub(crate) people: usize,
    /// Resident bytes when all were there, and when the server was started anew with them.
    pub(crate) resident_before: f64,
    pub(crate) resident: f64,
    pub(crate) started_in: f64,
    pub(crate) shared_room: Outcome<SharedRoom>,
}

/// The same room with its members in many tenants, and in one.
pub(crate) struct SharedRoom {
    pub(crate) members: usize,
    pub(crate) many: RoomCost,
    pub(crate) one: RoomCost,
}

/// What a room costs.
pub(crate) struct RoomCost {
    pub(crate) joins: Paced,
    pub(crate) messages: Paced,
    /// Seconds that the processors worked for a message, in the median round.
    pub(crate) work: f64,
    /// Bytes that the store holds more because of the room.
    pub(crate) bytes: f64,
}

/// Measures a server of ours with many tenants; its folder is empty.
pub(crate) async fn run(ours: Ours<'_>, amounts: Amounts) -> Outcome<Tenants> {
    let server = ours.start().await?;
    let operator = ours.operator(&server).await?;
    eprintln!("ours: adding tenants");
    let (adding, names) = add(&operator, amounts.tenants).await?;
    eprintln!("ours: a user for each tenant");
    let people = populate(&server, &operator, names, amounts.people).await?;
    let resident_before = server.process.resident()?.all;
    drop(server);
    eprintln!("ours: starting with {} tenants", adding.count());
    let server = ours.start().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident = server.process.resident()?.all;
    let count = people.len();
    let room = Shared { ours, server: &server, operator: operator.of(&server), amounts };
    let shared_room = room.measure(people).await;
    Ok(Tenants {
        adding,
        people: count,
        resident_before,
        resident,
        started_in: server.started_in,
        shared_room,
    })
}

/// Adds tenants one after the other.
async fn add(operator: &Operator, bound: Bound) -> Outcome<(Paced, Vec<String>)> {
    let operator = operator.clone();
    closed(1, bound, move |_, number| {
        let operator = operator.clone();
        async move {
            // As long as the name of the one tenant, so that rows are.
            let name = format!("t{number:05}.localhost");
            operator.add_tenant(&name).await.map(|()| name)
        }
    })
    .await
}

/// Registers a user at each tenant, as far as the time allows.
async fn populate(
    server: &Server,
    operator: &Operator,
    names: Vec<String>,
    bound: Bound,
) -> Outcome<Vec<(String, Person)>> {
    let (http, operator, names) = (server.http.clone(), operator.clone(), Arc::new(names));
    let bound = Bound { count: bound.count.min(names.len()), ..bound };
    let register = closed(8, bound, move |_, number| {
        let (http, operator, name) = (http.clone(), operator.clone(), names.get(number).cloned());
        async move {
            let name = name.ok_or("there are too few tenants")?;
            operator.open_registration(&name).await?;
            let person = Person::register(&http, &name.as_str().into(), "user00000").await?;
            Ok((name, person))
        }
    });
    let (_, mut people) = register.await?;
    people.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(people)
}

/// How often both rooms are talked in, in turns, so that what else the machine does strikes both.
const ROUNDS: usize = 9;

/// A room with everybody in it.
struct Filled {
    owner: Person,
    room_id: Arc<str>,
    joins: Paced,
    bytes: f64,
}

impl Filled {
    fn cost(self, rounds: Rounds) -> RoomCost {
        let (messages, work) = rounds.summed_up();
        RoomCost { joins: self.joins, messages, work, bytes: self.bytes }
    }
}

/// Rounds of messages in one room.
#[derive(Default)]
struct Rounds {
    messages: Vec<Paced>,
    /// Of each round, the work for one message.
    work: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, (messages, work): (Paced, f64)) {
        self.work.push(work / messages.count() as f64);
        self.messages.push(messages);
    }

    /// All messages, and the work for one in the median round.
    fn summed_up(self) -> (Paced, f64) {
        let work = Paced::new(self.work, 0.0).percentile(0.5);
        (Paced::all(self.messages), work)
    }
}

struct Shared<'a> {
    ours: Ours<'a>,
    server: &'a Server,
    operator: Operator,
    amounts: Amounts,
}

impl Shared<'_> {
    async fn measure(&self, people: Vec<(String, Person)>) -> Outcome<SharedRoom> {
        let http = &self.server.http;
        let members: Vec<Person> =
            people.into_iter().take(self.amounts.members).map(|(_, person)| person.at(http)).collect();
        let count = members.len();
        eprintln!("ours: {count} users of one tenant");
        let neighbours = self.neighbours(count).await?;
        eprintln!("ours: a room with members in {count} tenants");
        let many = self.room("many", members).await?;
        eprintln!("ours: the same room in one tenant");
        let one = self.room("one", neighbours).await?;
        eprintln!("ours: messages in both, in turns");
        let (mut in_many, mut in_one) = (Rounds::default(), Rounds::default());
        for round in 0..ROUNDS {
            in_many.add(self.talk(&many, round).await?);
            in_one.add(self.talk(&one, round).await?);
        }
        Ok(SharedRoom { members: count, many: many.cost(in_many), one: one.cost(in_one) })
    }

    async fn neighbours(&self, count: usize) -> Outcome<Vec<Person>> {
        let http = self.server.http.clone();
        let register = closed(8, Bound { count, seconds: 60 }, move |_, number| {
            let http = http.clone();
            async move { Person::register(&http, &TENANT.into(), &format!("user{number:05}")).await }
        });
        let (_, people) = register.await?;
        let missing = count - people.len();
        if missing == 0 {
            Ok(people)
        } else {
            Err(format!("{missing} users were not registered in the time"))
        }
    }

    /// Everybody makes a room alone: of those who were here before the server was started anew, sessions, policies and keys
    /// are then at hand as of the others, and what is measured is the room.
    async fn be_heard_of(&self, people: &[Person]) -> Outcome<()> {
        let (count, people) = (people.len(), Arc::<[Person]>::from(people));
        let make = closed(4, Bound { count, seconds: 60 }, move |_, number| {
            let people = people.clone();
            async move { people.get(number).ok_or("nobody to make a room")?.create_room("private_chat").await }
        });
        match make.await?.1.len() {
            made if made < count => Err(format!("only {made} of {count} made a room in the time")),
            _ => Ok(()),
        }
    }

    /// Makes a room, lets everybody join it, and sends some messages.
    async fn room(&self, name: &str, members: Vec<Person>) -> Outcome<Filled> {
        self.be_heard_of(&members).await?;
        let before = self.bytes_stored(&format!("{name}-before")).await?;
        let owner = members.first().cloned().ok_or("nobody is there to make a room")?;
        let room_id: Arc<str> = owner.create_room("public_chat").await?.into();
        let others: Arc<[Person]> = members.get(1..).unwrap_or_default().into();
        let (count, via, joined) = (others.len(), owner.host().clone(), room_id.clone());
        let join = closed(4, Bound { count, seconds: 60 }, move |_, number| {
            let (others, via, room_id) = (others.clone(), via.clone(), joined.clone());
            async move { others.get(number).ok_or("nobody to join")?.join(&room_id, &via).await }
        });
        let (joins, _) = join.await?;
        if joins.count() < count {
            return Err(format!("only {} of {count} joined in the time", joins.count()));
        }
        let mut filled = Filled { owner, room_id, joins, bytes: 0.0 };
        self.talk(&filled, ROUNDS).await?;
        filled.bytes = self.bytes_stored(&format!("{name}-after")).await? - before;
        Ok(filled)
    }

    /// Sends messages in a room: how long each took, and how long the processors worked for all.
    async fn talk(&self, filled: &Filled, round: usize) -> Outcome<(Paced, f64)> {
        let (owner, room_id) = (filled.owner.clone(), filled.room_id.clone());
        let before = self.server.process.processor_seconds()?;
        let send = closed(1, Bound { count: self.amounts.messages, seconds: 60 }, move |_, number| {
            let (owner, room_id) = (owner.clone(), room_id.clone());
            async move { owner.send(&room_id, &format!("message {round:02} {number:05}")).await }
        });
        let (messages, _) = send.await?;
        if messages.count() < self.amounts.messages {
            return Err(format!("only {} messages were sent in the time", messages.count()));
        }
        Ok((messages, self.server.process.processor_seconds()? - before))
    }

    async fn bytes_stored(&self, name: &str) -> Outcome<f64> {
        let begun = Instant::now();
        let bytes = self.operator.bytes_stored(self.ours.folder.join(name)).await?;
        eprintln!("ours: a backup of {:.1} MB in {:.1} s", bytes / 1e6, begun.elapsed().as_secs_f64());
        Ok(bytes)
    }
}

impl Tenants {
    pub(crate) fn to_json(&self) -> Value {
        let cost = |cost: &RoomCost| {
            json!({
                "joins": cost.joins.to_json(), "messages": cost.messages.to_json(), "bytes": cost.bytes,
                "processor_seconds_of_a_message": cost.work,
            })
        };
        let shared = match &self.shared_room {
            Ok(room) => json!({"members": room.members, "many": cost(&room.many), "one": cost(&room.one)}),
            Err(reason) => json!({"failed": reason}),
        };
        json!({
            "adding": self.adding.to_json(), "people": self.people, "resident_bytes_before": self.resident_before,
            "resident_bytes": self.resident, "started_in_seconds": self.started_in, "shared_room": shared,
        })
    }
}
