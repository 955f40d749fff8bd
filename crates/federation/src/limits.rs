//! Every bound of this crate's own on what others can make grow, and how long things last. Times are in milliseconds.

/// The most bytes of a well-known document that are read: "50 KiB" is what other servers allow, too
/// (PYSEC-2021-132).
pub const WELL_KNOWN_BYTES_MAX: usize = 50 * 1024;
/// How long a well-known document may take, redirections included.
pub const WELL_KNOWN_TIME_MS: u64 = 15_000;
/// How many redirections are followed.
pub const REDIRECTIONS_MAX: usize = 5;
/// For how long a delegation is believed whose answer does not say
/// ("the recommended sensible default is 24 hours").
pub const WELL_KNOWN_DEFAULT_MS: i64 = 24 * HOUR_MS;
/// For how long a delegation is believed at most ("48 hours is recommended").
pub const WELL_KNOWN_MAX_MS: i64 = 48 * HOUR_MS;
/// For how long a delegation is believed at least, whatever the answer says.
pub const WELL_KNOWN_MIN_MS: i64 = 5 * MINUTE_MS;
/// For how long the first failure to find a delegation is remembered; it doubles with each further one.
pub const WELL_KNOWN_ERROR_MIN_MS: i64 = MINUTE_MS;
/// For how long a failure is remembered at most ("errors are recommended to be cached for up to an hour").
pub const WELL_KNOWN_ERROR_MAX_MS: i64 = HOUR_MS;
/// How many hosts' delegations are remembered.
pub const WELL_KNOWN_HOSTS_MAX: usize = 20_000;

/// How many servers' places are remembered.
pub const TARGETS_MAX: usize = 20_000;
/// For how long the place of a server is believed at least, whatever the DNS says.
pub const TARGET_MIN_MS: i64 = MINUTE_MS;
/// For how long the place of a server is believed at most.
pub const TARGET_MAX_MS: i64 = HOUR_MS;
/// For how long the place of a server is used after that, while it is looked for anew.
pub const TARGET_STALE_MS: i64 = 24 * HOUR_MS;
/// For how long the first failure to find a server is remembered; it doubles with each further one.
pub const NOT_FOUND_MIN_MS: i64 = 10_000;
/// For how long a failure to find a server is remembered at most.
pub const NOT_FOUND_MAX_MS: i64 = 10 * MINUTE_MS;
/// How long one look into the DNS may take.
pub const LOOKUP_TIME_MS: u64 = 10_000;
/// How many SRV records of a name are used.
pub const SRV_RECORDS_MAX: usize = 8;
/// How many addresses of a server are tried.
pub const ADDRESSES_MAX: usize = 6;

/// How long a connection may take until TLS is there.
pub const CONNECT_TIME_MS: u64 = 5_000;
/// How long it may take to find a server and to connect to it before it is worked out what it is to be told.
pub const KNOCK_TIME_MS: u64 = 30_000;
/// How long one address of a server has before the next one is tried beside it.
pub const NEXT_ADDRESS_MS: u64 = 250;
/// How many bytes of an answer a server may send ahead of who reads it: far away, as many arrive in each round trip.
pub const ANSWER_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// The same of all answers on one connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// How many connections are kept that nobody uses.
pub const IDLE_CONNECTIONS_MAX: usize = 512;
/// For how long a connection is kept that nobody uses.
pub const IDLE_CONNECTION_MS: u64 = 60_000;
/// How many connections there may be to one place that speaks HTTP/1.1 only.
pub const CONNECTIONS_PER_ENDPOINT_MAX: usize = 16;

/// How long an answer may take, if the request does not say otherwise.
pub const ANSWER_TIME_MS: u64 = 30_000;
/// How many bytes an answer may have, if the request does not say otherwise.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long an answer with the state of a room may take: a join of a room with tens of thousands of members.
pub const ROOM_TIME_MS: u64 = 10 * 60_000;
/// How many bytes an answer with the state of a room may have; it is read as it comes.
pub const ROOM_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The same in the first version of joining, which few old servers speak: it is read at once.
pub const OLD_ROOM_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many bytes of an answer that is an error are read.
pub const ERROR_BYTES_MAX: usize = 64 * 1024;
/// The longest wait that a server can tell us to make with `retry_after_ms`.
pub const RETRY_AFTER_MAX_MS: i64 = HOUR_MS;
/// How many pairs of tenant and server are remembered in which the tenant was told to wait.
pub const TOLD_TO_WAIT_MAX: usize = 10_000;

/// How many servers' health is remembered. Those that are well take no place.
pub const HEALTH_SERVERS_MAX: usize = 50_000;
/// The wait after the first failure of a server; it doubles with each further one.
pub const HEALTH_WAIT_MIN_MS: i64 = 5_000;
/// Servers that are to be tried within this time are tried at its end, together.
pub const RETRIED_TOGETHER_MS: i64 = 250;
/// The longest wait after a failure.
pub const HEALTH_WAIT_MAX_MS: i64 = 12 * HOUR_MS;
/// From this wait on, a failing server is written down, so that a restart does not hammer it.
pub const HEALTH_DURABLE_MS: i64 = MINUTE_MS;

/// How long somebody waits for keys, whoever has to be asked.
pub const KEYS_WAIT_MS: u64 = 60_000;
/// How many keys are asked for at a time.
pub const WANTED_KEYS_MAX: usize = 10_000;
/// From so many keys on that are not known, notaries are asked before the servers themselves.
pub const MANY_SERVERS: usize = 16;
/// How many notary queries are answered at a time.
pub const NOTARY_QUERIES_MAX: usize = 32;

/// How many tenants a diagnosis looks at if nobody says at which.
pub const DOCTOR_TENANTS: usize = 20;
/// At how many of them it looks at the same time.
pub const DOCTOR_TENANTS_AT_ONCE: usize = 8;
/// How long a diagnosis waits for each answer.
pub const DOCTOR_TIME_MS: u64 = 10_000;

/// How many events a transaction has at most ("A transaction … limited to 50 PDUs and 100 EDUs").
pub const TRANSACTION_EVENTS_MAX: usize = 50;
/// How many ephemeral data units a transaction has at most.
pub const TRANSACTION_EDUS_MAX: usize = 100;
/// How long a server may take over a transaction: it may have to fetch what it misses first.
pub const TRANSACTION_TIME_MS: u64 = 60_000;
/// How many events wait in memory for one server; more are read from the log when it has caught up.
pub const QUEUED_EVENTS_MAX: usize = 500;
/// How many typing notices and receipts wait for one server; more are not told.
pub const EPHEMERAL_MAX: usize = 1000;
/// How many servers are remembered in all rooms together that are to be given events as they happen.
pub const AUDIENCE_SERVERS_MAX: usize = 50_000;
/// For how long they are remembered while nothing changes in the room.
pub const AUDIENCE_MS_MAX: u64 = 60_000;
/// How many rows of a tenant's log are read at once.
pub const LOG_ROWS_MAX: usize = 500;
/// The same, to find what one server missed.
pub const LOG_PAGE_ROWS: usize = 100;
/// How many rows of a tenant's log are removed at once.
pub const LOG_CUT_ROWS_MAX: usize = 2_000;
/// After how many new rows it is looked how long a log has become for servers that are away.
pub const LOG_LOOKED_AT_ROWS: usize = 10_000;
/// How many rows of a tenant's log are kept for servers that are away, roughly. A server that missed more gets the last
/// event of each room first, and finds the others from there.
pub const LOG_KEPT_ROWS_MAX: usize = 100_000;
/// For how long events are kept in the log for a server that is away; the same then.
pub const AWAY_MS_MAX: i64 = 7 * 24 * HOUR_MS;
/// How many last events of rooms are written at once.
pub const MISSED_ROOMS_PAGE: usize = 1_000;
/// How often it is looked how much waits for servers that are away.
pub const TENDED_EVERY_MS: u64 = 60 * 60 * 1000;
/// How many messages to devices wait for one server from one tenant; beyond it the oldest go.
pub const WAITING_MESSAGES_MAX: usize = 10_000;
/// How many bytes they have together; the same.
pub const WAITING_MESSAGES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// For how long they wait at least, if they are not too many; at most twice as long.
pub const WAITING_MESSAGES_MS: i64 = 14 * 24 * HOUR_MS;
/// How many messages to devices are read at once.
pub const MESSAGES_PAGE: usize = 200;
/// How many transactions with messages to devices may follow each other while events wait.
pub const MESSAGES_IN_A_ROW_MAX: usize = 20;
/// How many transactions are under way at a time, to servers that took the last one.
pub const TRANSACTIONS_AT_ONCE: usize = 512;
/// The same, to all others, which may hang.
pub const UNPROVEN_TRANSACTIONS_AT_ONCE: usize = 512;
/// Of how many servers it is remembered that they took the last transaction.
pub const PROVEN_SERVERS_MAX: usize = 20_000;
/// After how many failures in a row a transaction is no longer held in memory.
pub const HELD_FAILURES_MAX: u32 = 3;
/// After how many refusals, for which the transaction is not to blame as far as the answer says, less is sent.
pub const REFUSALS_OF_MANY_MAX: u32 = 4;
/// How long transactions that are under way have to end when the process stops.
pub const STOP_TIME_MS: u64 = 5_000;
/// How long a server has to have been left in peace before a sign of life has it tried: one that speaks but cannot be
/// spoken to is not tried each time that it speaks.
pub const WAKE_AFTER_MS: i64 = MINUTE_MS;
/// The wait after a server has refused a transaction; it doubles with each further refusal.
pub const REFUSED_WAIT_MIN_MS: i64 = 10_000;
/// The longest wait after a server has refused a transaction.
pub const REFUSED_WAIT_MAX_MS: i64 = HOUR_MS;

/// How long a file of another server may take once it comes.
pub const MEDIA_TIME_MS: u64 = 5 * 60_000;
/// How long the answer to a question for a file may take, beyond the time for which the server waits for an upload.
pub const MEDIA_ANSWER_TIME_MS: u64 = 30_000;
/// How many bytes there may be before the first of several parts of a body.
pub const PREAMBLE_BYTES_MAX: usize = 4 * 1024;
/// How many bytes the headers of a part may have.
pub const PART_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How many blanks may follow a boundary.
pub const PART_PADDING_BYTES_MAX: usize = 128;
/// How many bytes the description of a file may have.
pub const MEDIA_DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// How many redirections are followed to where a file lies.
pub const MEDIA_REDIRECTIONS_MAX: usize = 3;

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How many events of one room are taken at a time; a transaction has "a maximum of 50 PDUs".
pub const TAKEN_MAX: usize = 50;
/// How many events of a transaction are verified by one task, so that others have their turn in between.
pub const VERIFIED_AT_ONCE: usize = 8;
/// How many events of an answer are looked at before others have their turn.
pub const LOOKED_AT_ONCE: usize = 32;
/// For how long one server is waited for before the next one is asked, too, when events are missing.
pub const INGEST_HEDGE_MS: u64 = 3_000;
/// How long a search for what is missing for one event may take.
pub const FLIGHT_TIME_MS: u64 = 60_000;
/// For how long a search waits for those of others in the same room before it begins beside them.
pub const FLIGHT_LINE_MS: u64 = 10_000;
/// How long a server may take over a question when events are missing.
pub const INGEST_ANSWER_MS: u64 = 20_000;
/// How many events are taken from answers in one search, those of whole states not counted.
pub const FLIGHT_EVENTS_MAX: usize = 5_000;
/// How many servers are asked in one search.
pub const FLIGHT_SERVERS_MAX: usize = 5;
/// How many searches wait for each other in one room.
pub const FLIGHT_WAITING_MAX: usize = 16;
/// For how long no search begins in a room for a server whose last one was in vain; it doubles with each further one.
pub const FLIGHT_BACKOFF_MIN_MS: i64 = 10_000;
/// Up to which such wait the server is to bring its events again, if it could not be asked itself.
pub const FLIGHT_PATIENCE_MS: i64 = MINUTE_MS;
/// The longest such wait.
pub const FLIGHT_BACKOFF_MAX_MS: i64 = 30 * MINUTE_MS;
/// How many such waits are remembered.
pub const FLIGHT_BLAMES_MAX: usize = 10_000;
/// How many events between are asked for at a time.
pub const GAP_PAGE: usize = 20;
/// How often events between are asked for, for one event.
pub const GAP_ROUNDS_MAX: usize = 10;
/// How many events between are fetched for one event; before those the state is asked for.
pub const GAP_EVENTS_MAX: usize = 200;
/// How many states are asked for in one search.
pub const GIVEN_STATES_MAX: usize = 4;
/// How many events a state and its auth chain may have.
pub const STATE_EVENTS_MAX: usize = 500_000;
/// How many events a given state and its auth chain may bring that are not here, beside as many as the state of the room has here:
/// whoever gives one makes us keep no more than a few times what we have.
pub const GIVEN_NEW_EVENTS_MAX: usize = 5_000;
/// How many whole states are in memory at a time, of all rooms together; who wants another one waits.
pub const WHOLE_STATES_AT_ONCE: usize = 2;
/// How many bytes a whole state may have.
pub const WHOLE_STATE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How many events are fetched one by one.
pub const SINGLE_EVENTS_MAX: usize = 200;
/// How many of those are asked for at a time.
pub const EVENTS_AT_ONCE: usize = 8;
/// How often auth events of auth events are asked for.
pub const CHAIN_ROUNDS_MAX: usize = 20;
/// How many events of history are asked for at a time.
pub const BACKFILL_PAGE: usize = 100;
/// Before how many events history is asked for at a time.
pub const BACKFILL_FROM_MAX: usize = 20;
/// How often history is asked for, before other events each time, until some comes.
pub const BACKFILL_ROUNDS_MAX: usize = 3;
/// Among how many missing events of a room those are chosen.
pub const BACKFILL_CHOICE_MAX: usize = 10_000;
/// For how long a missing event that nobody gave stands behind others; it doubles with each further time.
pub const VAIN_BACKOFF_MIN_MS: i64 = 10 * MINUTE_MS;
/// The longest such wait.
pub const VAIN_BACKOFF_MAX_MS: i64 = 24 * HOUR_MS;
/// How many such events are remembered.
pub const VAIN_MAX: usize = 50_000;
/// How long an identity server may take to say whether its key is valid.
pub const KEY_VALIDITY_TIME_MS: u64 = 10_000;
/// How many bytes its answer may have.
pub const KEY_VALIDITY_BYTES_MAX: usize = 64 * 1024;
/// How long a policy server may take.
pub const POLICY_TIME_MS: u64 = 10_000;
/// How many rooms that lack members are completed at a time.
pub const LATE_MEMBERS_AT_ONCE: usize = 4;
/// How many servers are asked for the members of a room, one after the other.
pub const LATE_MEMBERS_SERVERS_MAX: usize = 5;
/// How often all of them are asked before members are left out who cannot be verified for want of keys.
pub const LATE_MEMBERS_ROUNDS_FOR_KEYS: u32 = 4;
/// After how long they are asked again when none helped; it doubles each time.
pub const LATE_MEMBERS_WAIT_MIN_MS: i64 = 5_000;
/// The longest such wait.
pub const LATE_MEMBERS_WAIT_MAX_MS: i64 = 30 * MINUTE_MS;
/// How often what was held of a room is taken before what lacks something is given up that nobody gives.
pub const HELD_ROUNDS_MAX: u32 = 4;
/// How often it is looked whether it is time to ask again for the keys of those who signed what rooms lack.
pub const LATE_STATE_ROUND_MS: u64 = 30_000;
/// In how many rooms others are asked for what was missed.
pub const CATCH_UP_ROOMS_MAX: usize = 10_000;
/// How many servers of a room are asked what was missed.
pub const CATCH_UP_SERVERS: usize = 3;
/// In how many of them at a time.
pub const CATCH_UP_AT_ONCE: usize = 16;
/// How many lost events are fetched for one repair of a room; the next one goes on.
pub const REPAIR_EVENTS_MAX: usize = 5_000;
/// How often lost events are asked for in one repair: with some, others are found to be lost.
pub const REPAIR_ROUNDS_MAX: usize = 20;
/// How many servers are asked for what is lost.
pub const REPAIR_SERVERS_MAX: usize = 10;
/// How many pages of history one repair fetches.
pub const REPAIR_HISTORY_PAGES_MAX: usize = 50;
