//! A router over real services in memory, and requests to it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use freehold_accounts::{
    AccountParts, AccountPolicy, AccountSettings, Accounts, HashCost, NoDeviceKeys, NoMemberEvents,
};
use freehold_client_api::{
    Authenticate, AuthenticationError, Limits, LimitsSettings, Services, Session, Standing, TenantOfHost,
    TenantsByHost, router,
};
use freehold_store::{
    Actor, BoxFuture, DeviceNumber, Interner, MemoryEngine, Store, Tenant, TenantNumber, UserNumber,
};
use ruma_common::{OwnedServerName, UserId};
use serde_json::Value;
use tower::ServiceExt;

/// The time of the tests.
pub(crate) const NOW_TS: i64 = 1_800_000_000_000;

/// Two tenants in one process.
pub(crate) const ALICES: &str = "alice.example";
/// The other one.
pub(crate) const BOBS: &str = "bob.example";

/// A server of two tenants.
pub(crate) struct Server {
    router: Router,
}

impl Server {
    /// A server without rate limits.
    pub(crate) fn start() -> Self {
        Server::with_limits(LimitsSettings::OFF)
    }

    /// A server with these limits.
    pub(crate) fn with_limits(limits: LimitsSettings) -> Self {
        Server::with(Arc::new(TokenIsUser), accounts(AccountPolicy::default()), limits)
    }

    /// A server whose sessions are those of its accounts; both tenants have this policy.
    pub(crate) fn with_accounts(policy: AccountPolicy) -> Self {
        let accounts = accounts(policy);
        Server::with(Arc::new(accounts.clone()), accounts, LimitsSettings::OFF)
    }

    fn with(sessions: Arc<dyn Authenticate>, accounts: Accounts, limits: LimitsSettings) -> Self {
        let services = Services {
            tenants: Arc::new(TwoTenants),
            sessions,
            accounts,
            limits: Limits::new(limits),
            clock: Arc::new(NOW_TS),
        };
        Server { router: router(services) }
    }

    /// Sends a request to [`ALICES`] or wherever `to` says.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        let response = self.router.clone().oneshot(ask.0).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, bytes: bytes.to_vec(), json }
    }
}

/// A request under construction.
pub(crate) struct Ask(Request<Body>);

impl Ask {
    /// A request to the tenant [`ALICES`], of nobody.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).header("host", ALICES);
        Ask(request.body(Body::empty()).unwrap())
    }

    /// The same to another host.
    pub(crate) fn to(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// The same as a user, at the user's own tenant.
    pub(crate) fn by(self, user_id: &str) -> Self {
        let server_name = user_id.split_once(':').unwrap().1.to_owned();
        self.to(&server_name).header("authorization", &format!("Bearer {user_id}"))
    }

    /// The same with an access token.
    pub(crate) fn with_token(self, access_token: &str) -> Self {
        self.header("authorization", &format!("Bearer {access_token}"))
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// The same with JSON in the body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// The same with any body.
    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Vec<u8>,
    /// Its body, if it is JSON.
    pub json: Value,
}

impl Answer {
    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["errcode"].as_str().unwrap_or_default())
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        self.json
    }
}

/// Accounts in memory; passwords are hashed as cheaply as possible.
fn accounts(policy: AccountPolicy) -> Accounts {
    let store = now(Store::open(Arc::new(MemoryEngine::new()))).unwrap();
    Accounts::new(AccountParts {
        interner: Interner::new(&store),
        store,
        clock: Arc::new(NOW_TS),
        policies: Arc::new(Arc::new(policy)),
        device_keys: Arc::new(NoDeviceKeys),
        member_events: Arc::new(NoMemberEvents),
        settings: AccountSettings {
            hash_cost: HashCost { memory_kib: 8, passes: 1 },
            ..AccountSettings::default()
        },
    })
}

/// What a future of the memory engine gives, which is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory engine made somebody wait"),
    }
}

struct TwoTenants;

impl TenantsByHost for TwoTenants {
    fn tenant_of_host(&self, host: &str) -> Option<Tenant> {
        let number = [ALICES, BOBS].iter().position(|name| *name == host)?;
        let number = TenantNumber(u32::try_from(number).unwrap());
        Some(Tenant::new(number, OwnedServerName::try_from(host).unwrap()))
    }
}

/// Tokens are user ids. The localparts `suspended` and `locked` say what their users may do.
struct TokenIsUser;

impl Authenticate for TokenIsUser {
    fn authenticate<'a>(
        &'a self,
        host: &'a TenantOfHost,
        access_token: &'a str,
    ) -> BoxFuture<'a, Result<Session, AuthenticationError>> {
        let session = UserId::parse(access_token).map_err(|_| AuthenticationError::Unknown).map(|user_id| {
            let standing = match user_id.localpart() {
                "suspended" => Standing::Suspended,
                "locked" => Standing::Locked,
                _ => Standing::Good,
            };
            let tenant = TwoTenants.tenant_of_host(user_id.server_name().as_str()).unwrap_or(host.0.clone());
            let actor = Actor { tenant, user_id, user: UserNumber(1), device: Some(DeviceNumber(1)) };
            Session { actor, device_id: Some("DEVICE".into()), standing }
        });
        Box::pin(async { session })
    }
}
