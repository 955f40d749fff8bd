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
/// The longest wait after a failure.
pub const HEALTH_WAIT_MAX_MS: i64 = 12 * HOUR_MS;
/// From this wait on, a failing server is written down, so that a restart does not hammer it.
pub const HEALTH_DURABLE_MS: i64 = MINUTE_MS;

/// How long somebody waits for keys, whoever has to be asked.
pub const KEYS_WAIT_MS: u64 = 60_000;
/// How many keys are asked for at a time.
pub const WANTED_KEYS_MAX: usize = 10_000;
/// How many notary queries are answered at a time.
pub const NOTARY_QUERIES_MAX: usize = 32;

/// How many tenants a diagnosis looks at.
pub const DOCTOR_TENANTS_MAX: usize = 20;
/// How long a diagnosis waits for each answer.
pub const DOCTOR_TIME_MS: u64 = 10_000;

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
