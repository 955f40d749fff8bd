//! The way of one server through the sources: store, server, notaries.

use ruma_common::{OwnedServerName, ServerName};

use super::{
    known::{Finding, KnownServer, Via},
    machine::{
        Action, Asked, Course, FetchFailure, FetchId, FetchRequest, InFlight, Outcome, RemoteKeys, Route,
        Stage, Waiting,
    },
    server_keys::{DocumentError, ServerKeys},
};

impl RemoteKeys {
    /// Takes what was saved of a server: `Ok(None)` if nothing ever was, `Err` if it cannot be read.
    ///
    /// After an error nothing is fetched, because the keys seen first are not known.
    pub fn loaded(&mut self, server: &ServerName, record: Result<Option<&[u8]>, FetchFailure>, now_ts: i64) {
        if self.servers.get(server).is_none_or(|entry| entry.stage != Stage::Loading) {
            return;
        }
        self.retry_notaries();
        let known = match record {
            Ok(None) => KnownServer::default(),
            Ok(Some(record)) => match KnownServer::decode(record, server) {
                Some(known) => known,
                None => {
                    let finding = Finding::BadRecord { server: server.to_owned() };
                    self.actions.push_back(Action::Report(finding));
                    return self.give_up_reading(server, now_ts);
                }
            },
            Err(FetchFailure) => return self.give_up_reading(server, now_ts),
        };
        if let Some(entry) = self.servers.get_mut(server) {
            entry.known = known;
            entry.stage = Stage::Idle;
        }
        self.account(server);
        self.settle(server, now_ts);
        if self.servers.get(server).is_some_and(|entry| !entry.waiting.is_empty()) {
            self.start_walk(server, now_ts);
        }
        self.shrink();
    }

    /// A notary of which the keys cannot be read is none for a while: the next batch would have them read again at once.
    fn give_up_reading(&mut self, server: &ServerName, now_ts: i64) {
        let policy = self.policy;
        self.notaries.iter_mut().filter(|notary| notary.is(server)).for_each(|it| it.fail(&policy, now_ts));
        self.remove(server, Outcome::Unreadable);
    }

    /// Takes the answer to a request: the body of an answer with status 200, or that there is none.
    ///
    /// Answers that come after their time, or twice, are ignored.
    pub fn fetched(&mut self, id: FetchId, answer: Result<&[u8], FetchFailure>, now_ts: i64) {
        let Some(in_flight) = self.in_flight.remove(&id) else { return };
        self.retry_notaries();
        match in_flight.what {
            Asked::Server(server) => self.fetched_direct(&server, answer, now_ts),
            Asked::Notary { index, servers } => self.fetched_batch(index, servers, answer, now_ts),
        }
        self.shrink();
    }

    /// Begins to ask for a server: itself, unless it has failed lately, or everybody who waits would have the notaries
    /// asked first.
    pub(super) fn start_walk(&mut self, server: &ServerName, now_ts: i64) {
        let Some(entry) = self.servers.get_mut(server) else { return };
        let prefers = |waiting: &Waiting| waiting.route == Route::NotariesFirst;
        let notaries_first = !entry.waiting.is_empty() && entry.waiting.iter().all(prefers);
        // Without its own keys, which only it can tell, a notary is none.
        let is_notary = self.notaries.iter().any(|notary| notary.is(server));
        if notaries_first && !is_notary && !self.notaries.is_empty() {
            entry.course = Course::NotariesFirst;
            return self.ask_notary(server, 0, now_ts);
        }
        entry.course = Course::ServerFirst;
        if now_ts >= entry.direct_retry_ts {
            self.queue_direct(server);
        } else {
            self.ask_notary(server, 0, now_ts);
        }
    }

    /// Has a server asked itself. A stranger too many is forgotten again: it holds no place, and is asked when it is named next.
    fn queue_direct(&mut self, server: &ServerName) {
        let Some(entry) = self.servers.get_mut(server) else { return };
        entry.stage = Stage::Direct;
        if !entry.known.keys.is_empty() {
            return self.direct_queue.push_known(server.to_owned());
        }
        if !self.direct_queue.push_stranger(server.to_owned(), self.policy.strangers_max) {
            self.remove(server, Outcome::Missing);
        }
    }

    /// Lets as many requests start as may.
    pub(super) fn start_requests(&mut self, now_ts: i64) {
        while self.in_flight.len() < self.policy.in_flight_max
            && let Some(server) = self.direct_queue.pop()
        {
            // Forgotten, perhaps, since it was queued.
            let asks = self.servers.get(&server).is_some_and(|entry| entry.stage == Stage::Direct);
            if asks && !self.is_asked(&server) {
                let request = FetchRequest::Server { server: server.clone() };
                self.send(request, Asked::Server(server), now_ts);
            }
        }
        self.start_batches(now_ts);
    }

    pub(super) fn send(&mut self, request: FetchRequest, what: Asked, now_ts: i64) {
        let id = self.next_fetch_id();
        let deadline_ts = now_ts.saturating_add(self.policy.timeout_ms);
        self.in_flight.insert(id, InFlight { deadline_ts, what });
        self.actions.push_back(Action::Fetch { id, request });
    }

    /// Gives up on requests whose time is over.
    pub(super) fn expire(&mut self, now_ts: i64) {
        let overdue = self.in_flight.iter().filter(|(_, fetch)| fetch.deadline_ts <= now_ts);
        let overdue: Vec<FetchId> = overdue.map(|(id, _)| *id).collect();
        for id in overdue {
            self.fetched(id, Err(FetchFailure), now_ts);
        }
    }

    /// Goes to the notary at a position, or ends the way when there is none, or nobody waits.
    pub(super) fn ask_notary(&mut self, server: &ServerName, index: usize, now_ts: i64) {
        self.settle(server, now_ts);
        let Some(entry) = self.servers.get_mut(server) else { return };
        match entry.course {
            Course::ServerFirst => {}
            Course::NotariesFirst if index < self.notaries.len() && !entry.waiting.is_empty() => {
                return self.queue_at_notary(server, index, now_ts);
            }
            Course::NotariesFirst if !entry.waiting.is_empty() && now_ts >= entry.direct_retry_ts => {
                entry.course = Course::ServerLast;
                return self.queue_direct(server);
            }
            Course::NotariesFirst | Course::ServerLast => return self.end_walk(server, now_ts),
        }
        // Those who only want to hear the server itself have heard it, or that it is silent.
        let direct = entry.waiting.extract_if(.., |waiting| waiting.route == Route::Direct);
        for waiting in direct {
            let outcome = waiting.last_outcome(&entry.known);
            self.actions.push_back(Action::Wake { wait: waiting.id, outcome });
        }
        if index < self.notaries.len() && !entry.waiting.is_empty() {
            self.queue_at_notary(server, index, now_ts);
        } else {
            self.end_walk(server, now_ts);
        }
    }

    fn queue_at_notary(&mut self, server: &ServerName, index: usize, now_ts: i64) {
        if let (Some(entry), Some(notary)) = (self.servers.get_mut(server), self.notaries.get_mut(index)) {
            entry.stage = Stage::Notary(index);
            notary.queue.push_back((server.to_owned(), now_ts));
        }
    }

    /// Adds what a document says to what is known, and reports what is odd about it.
    pub(super) fn learn(&mut self, document: &ServerKeys, via: Via, now_ts: i64) {
        let server = &document.server_name;
        let Some(entry) = self.servers.get_mut(server) else { return };
        for finding in entry.known.learn(document, via, now_ts) {
            self.actions.push_back(Action::Report(finding));
        }
        let record = entry.known.encode();
        self.actions.push_back(Action::Save { server: server.clone(), record });
        self.account(server);
    }

    pub(super) fn report_document(
        &mut self,
        server: Option<OwnedServerName>,
        via: Via,
        error: DocumentError,
    ) {
        self.actions.push_back(Action::Report(Finding::BadDocument { server, via, error }));
    }

    fn fetched_direct(&mut self, server: &OwnedServerName, answer: Result<&[u8], FetchFailure>, now_ts: i64) {
        let document = answer.map(|json| match ServerKeys::parse(json) {
            Ok(document) if document.server_name != *server => {
                Err(DocumentError::OtherServer { server_name: document.server_name })
            }
            other => other,
        });
        let learnt = match document {
            Ok(Ok(document)) => {
                self.learn(&document, Via::Direct, now_ts);
                true
            }
            Ok(Err(error)) => {
                self.report_document(Some(server.clone()), Via::Direct, error);
                false
            }
            Err(FetchFailure) => false,
        };
        let policy = self.policy;
        if let Some(entry) = self.servers.get_mut(server) {
            entry.direct_failures = if learnt { 0 } else { entry.direct_failures.saturating_add(1) };
            entry.direct_retry_ts = match learnt {
                true => i64::MIN,
                false => now_ts.saturating_add(policy.back_off_ms(entry.direct_failures)),
            };
        }
        // Not so if the server was forgotten meanwhile and is being loaded again.
        if self.servers.get(server).is_some_and(|entry| entry.stage == Stage::Direct) {
            self.ask_notary(server, 0, now_ts);
        }
    }

    /// Whether the server itself is being asked right now.
    fn is_asked(&self, server: &ServerName) -> bool {
        let mut asked = self.in_flight.values().map(|fetch| &fetch.what);
        asked.any(|what| matches!(what, Asked::Server(name) if name == server))
    }

    /// Lets notaries without keys look again whether they have some.
    fn retry_notaries(&mut self) {
        self.notaries.iter_mut().for_each(|notary| notary.without_keys = false);
    }

    /// Wakes everybody who has what they wanted.
    fn settle(&mut self, server: &ServerName, now_ts: i64) {
        let Some(entry) = self.servers.get_mut(server) else { return };
        let known = &entry.known;
        for waiting in entry.waiting.extract_if(.., |waiting| waiting.is_settled(known, now_ts)) {
            self.actions.push_back(Action::Wake { wait: waiting.id, outcome: Outcome::Found });
        }
    }

    /// Wakes everybody else, and says when the server may be asked for again.
    fn end_walk(&mut self, server: &ServerName, now_ts: i64) {
        let policy = self.policy;
        let Some(entry) = self.servers.get_mut(server) else { return };
        // Only silence makes the wait longer: whoever names unknown keys of a server that answers
        // must not keep us from learning its new ones.
        let silent = entry.direct_failures > 0 && !entry.waiting.is_empty();
        entry.walk_failures = if silent { entry.walk_failures.saturating_add(1) } else { 0 };
        let wait_ms = match silent {
            true => policy.back_off_ms(entry.walk_failures),
            false => policy.repeat_min_ms,
        };
        entry.walk_retry_ts = now_ts.saturating_add(wait_ms);
        entry.stage = Stage::Idle;
        for waiting in std::mem::take(&mut entry.waiting) {
            let outcome = waiting.last_outcome(&entry.known);
            self.actions.push_back(Action::Wake { wait: waiting.id, outcome });
        }
    }

    fn account(&mut self, server: &ServerName) {
        if let Some(entry) = self.servers.get_mut(server) {
            let bytes = entry.known.bytes();
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    /// Forgets idle servers until the rest fits.
    fn shrink(&mut self) {
        while self.bytes > self.policy.bytes_max && self.evict() {}
    }
}
