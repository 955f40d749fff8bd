//! Tenants over a store in memory, with a small world in which they prove control of their domains.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use freehold_store::{BoxFuture, Clock, MemoryEngine, Store, TenantNumber};
use freehold_tenancy::{
    AddError, BaseDomain, By, Change, Control, Haste, NewFacts, NewTenant, OldHostnames, Outside,
    PolicyError, RegistrationMode, SettleError, Tenancy, TenancySettings, TenantState, Unseen, open_keys,
};
use ruma_common::{OwnedServerName, ServerName, server_name};
use serde_json::json;

#[derive(Default)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ts(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What domains publish: records and pages by name.
#[derive(Default)]
struct SmallWorld(Mutex<BTreeMap<String, String>>);

impl SmallWorld {
    fn publish(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn withdraw(&self) {
        self.0.lock().unwrap().clear();
    }

    fn seen(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

impl Outside for SmallWorld {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unseen>> {
        Box::pin(async move { Ok(self.seen(&format!("TXT {name}")).into_iter().collect()) })
    }

    fn srv<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<(String, u16)>, Unseen>> {
        Box::pin(async move {
            Ok(self.seen(&format!("SRV {name}")).into_iter().map(|target| (target, 443)).collect())
        })
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unseen>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn page<'a>(&'a self, host: &'a str, path: &'a str) -> BoxFuture<'a, Result<Option<String>, Unseen>> {
        Box::pin(async move { Ok(self.seen(&format!("https://{host}{path}"))) })
    }
}

struct World {
    store: Store,
    clock: Arc<TestClock>,
    outside: SmallWorld,
    tenancy: Tenancy,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(MemoryEngine::new())).await.unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let tenancy = open(&store, &folder, &clock).await;
        World { store, clock, outside: SmallWorld::default(), tenancy, folder }
    }

    async fn restart(&mut self) {
        self.tenancy = open(&self.store, &self.folder, &self.clock).await;
    }

    async fn add(&self, server_name: &str) -> Result<OwnedServerName, AddError> {
        let new = NewTenant { server_name: server_name.to_owned(), ..NewTenant::default() };
        self.tenancy.add(new, &By::Operator).await.map(|facts| facts.row.server_name)
    }

    fn state(&self, name: &ServerName) -> Option<TenantState> {
        self.tenancy.by_server_name(name).map(|found| found.state)
    }

    async fn prove(&self, name: &ServerName) -> Option<String> {
        self.tenancy.prove(name, &self.outside, &By::Schedule).await.unwrap().proved_by
    }

    fn pass_days(&self, days: i64) {
        self.clock.0.fetch_add(days * 24 * 60 * 60 * 1000, Ordering::SeqCst);
    }
}

async fn open(store: &Store, folder: &tempfile::TempDir, clock: &Arc<TestClock>) -> Tenancy {
    let keys = open_keys(&folder.path().join("keys.log"), &folder.path().join("master.key")).unwrap();
    let base_domain = Some(BaseDomain::parse("m.example.net").unwrap());
    let settings = TenancySettings { base_domain, grace_ms: 0 };
    Tenancy::open(store.clone(), Arc::new(keys), clock.clone(), settings).await.unwrap()
}

fn example() -> &'static ServerName {
    server_name!("example.org")
}

#[tokio::test]
async fn a_tenant_waits_for_its_proof_and_everything_is_there_again_after_a_restart() {
    let mut world = World::new().await;
    let name = world.add("example.org").await.unwrap();
    world.add("alice.localhost").await.unwrap();
    assert_eq!(world.state(&name), Some(TenantState::Pending));
    let keys = world.tenancy.keys().keys(&name, world.clock.now_ts()).unwrap();
    assert_eq!(keys.len(), 1);
    world.restart().await;
    assert_eq!(world.state(&name), Some(TenantState::Pending));
    assert_eq!(world.state(server_name!("alice.localhost")), Some(TenantState::Active));
    assert_eq!(world.tenancy.keys().keys(&name, world.clock.now_ts()).unwrap(), keys);
    let found = world.tenancy.by_host("example-org.m.example.net:443").unwrap();
    assert_eq!(found.tenant.server_name(), example());
    assert_eq!(found.tenant.number(), TenantNumber(1));
}

#[tokio::test]
async fn names_and_hostnames_belong_to_one_tenant() {
    let world = World::new().await;
    world.add("example.org").await.unwrap();
    assert!(matches!(world.add("example.org").await, Err(AddError::Exists { .. })));
    for hostname in ["example.org", "Example-Org.m.example.net"] {
        let new = NewTenant {
            server_name: "example.com".to_owned(),
            hostnames: vec![hostname.to_owned()],
            ..NewTenant::default()
        };
        let error = world.tenancy.add(new, &By::Operator).await.unwrap_err();
        assert!(matches!(error, AddError::HostnameTaken { .. }), "{hostname}: {error}");
    }
    let new = NewTenant {
        server_name: "example.com".to_owned(),
        hostnames: vec!["example.net".to_owned()],
        ..NewTenant::default()
    };
    world.tenancy.add(new, &By::Operator).await.unwrap();
    // Whoever is added later does not take what an earlier tenant is reached by.
    assert!(matches!(world.add("example.net").await, Err(AddError::HostnameTaken { .. })));
}

#[tokio::test]
async fn what_cannot_be_a_tenant_is_refused() {
    let world = World::new().await;
    for name in ["", "Example.org", "exa mple.org", "example.org/", "@alice:example.org"] {
        assert!(matches!(world.add(name).await, Err(AddError::ServerName { .. })), "{name}");
    }
    assert!(matches!(world.add("192.0.2.7:8448").await, Err(AddError::Unprovable)));
    let new = NewTenant { server_name: "192.0.2.7:8448".to_owned(), vouched: true, ..NewTenant::default() };
    let facts = world.tenancy.add(new, &By::Operator).await.unwrap();
    assert_eq!((facts.row.state, facts.row.control), (TenantState::Active, Control::Vouched));
    assert!(world.tenancy.by_host("192.0.2.7:8448").is_some());
}

#[tokio::test]
async fn control_is_proved_by_the_challenge_or_by_delegation_to_a_name_that_only_we_give() {
    let hostname = "example-org.m.example.net";
    let well_known = format!("{{\"m.server\": \"{hostname}:443\"}}");
    for (record, value, expected) in [
        ("TXT _freehold-challenge.example.org", "challenge", true),
        ("TXT _freehold-challenge.example.org", "of another tenant", false),
        ("https://example.org/.well-known/matrix/server", well_known.as_str(), true),
        ("https://example.org/.well-known/matrix/server", "{\"m.server\": \"other.m.example.net\"}", false),
        ("https://example.org/.well-known/matrix/server", "{\"m.server\": 7}", false),
        ("https://example.org/.well-known/matrix/server", "<html>", false),
        (
            "https://example.org/.well-known/matrix/client",
            "{\"m.homeserver\": {\"base_url\": \"https://example-org.m.example.net\"}}",
            false,
        ),
        ("SRV _matrix-fed._tcp.example.org", "example-org.m.example.net.", true),
        ("SRV _matrix-fed._tcp.example.org", "m.example.net.", false),
    ] {
        let world = World::new().await;
        let name = world.add("example.org").await.unwrap();
        let challenge = world.tenancy.facts(&name).await.unwrap().row.challenge;
        world.outside.publish(record, if value == "challenge" { &challenge } else { value });
        assert_eq!(world.prove(&name).await.is_some(), expected, "{record} {value}");
        let state = if expected { TenantState::Active } else { TenantState::Pending };
        assert_eq!(world.state(&name), Some(state), "{record} {value}");
    }
}

#[tokio::test]
async fn delegation_to_a_hostname_of_somebodys_own_proves_nothing() {
    let world = World::new().await;
    let new = NewTenant {
        server_name: "example.org".to_owned(),
        hostnames: vec!["matrix.example.org".to_owned()],
        ..NewTenant::default()
    };
    world.tenancy.add(new, &By::Operator).await.unwrap();
    // The owner of the domain runs a server of his own there, and has never heard of us.
    let document = "{\"m.server\": \"matrix.example.org:443\"}";
    world.outside.publish("https://example.org/.well-known/matrix/server", document);
    assert_eq!(world.prove(example()).await, None);
    assert_eq!(world.state(example()), Some(TenantState::Pending));
}

#[tokio::test]
async fn a_domain_that_lapsed_is_suspended_and_comes_back_by_the_operator_only() {
    let world = World::new().await;
    let name = world.add("example.org").await.unwrap();
    let challenge = world.tenancy.facts(&name).await.unwrap().row.challenge;
    let record = "TXT _freehold-challenge.example.org";
    world.outside.publish(record, &challenge);
    world.prove(&name).await;
    assert_eq!(world.tenancy.due_for_proof(10).len(), 0);

    world.outside.withdraw();
    world.pass_days(2);
    assert_eq!(world.tenancy.due_for_proof(10).len(), 1);
    world.prove(&name).await;
    assert_eq!(world.state(&name), Some(TenantState::Active), "a web server may be down for some days");
    world.pass_days(6);
    world.prove(&name).await;
    assert_eq!(world.state(&name), Some(TenantState::Suspended));

    // A new owner delegates to us: the accounts and keys of the old one do not wake up for him.
    world.outside.publish(
        "https://example.org/.well-known/matrix/server",
        "{\"m.server\": \"example-org.m.example.net:443\"}",
    );
    assert!(world.prove(&name).await.is_some());
    assert_eq!(world.state(&name), Some(TenantState::Suspended));
    world.tenancy.change(&name, Change::Resume, &By::Operator).await.unwrap();
    assert_eq!(world.state(&name), Some(TenantState::Active));
}

#[tokio::test]
async fn a_departed_tenant_is_found_no_more_and_its_name_stays_reserved() {
    let world = World::new().await;
    let name = world.add("alice.localhost").await.unwrap();
    for change in [Change::Remove, Change::Depart] {
        world.tenancy.change(&name, change, &By::Operator).await.unwrap();
    }
    assert_eq!(world.state(&name), None);
    assert!(world.tenancy.by_host("alice.localhost:8008").is_none());
    assert!(matches!(world.add("alice.localhost").await, Err(AddError::Exists { .. })));
    assert_eq!(world.tenancy.keys().keys(&name, world.clock.now_ts()).unwrap().len(), 1);
}

#[tokio::test]
async fn every_act_is_in_the_log_of_the_tenant_whom_it_concerned() {
    let world = World::new().await;
    let (alice, bob) =
        (world.add("alice.localhost").await.unwrap(), world.add("bob.localhost").await.unwrap());
    world.tenancy.change(&alice, Change::Suspend, &By::Operator).await.unwrap();
    let tenant = world.tenancy.by_server_name(&alice).unwrap().tenant;
    let secret = json!({ "registration": { "shared_secret": "a secret nobody logs" } });
    world.tenancy.change_policy(&tenant, &secret, &By::Operator).await.unwrap();
    let acts = |number| {
        let tenancy = &world.tenancy;
        async move {
            let rows = tenancy.audit(number, 10).await.unwrap();
            rows.into_iter().map(|row| format!("{} {}", row.act, row.details)).collect::<Vec<_>>()
        }
    };
    let of_alice = acts(Some(tenant.number())).await;
    assert!(!of_alice.join("\n").contains("nobody logs"));
    let names: Vec<&str> = of_alice.iter().filter_map(|act| act.split(" {").next()).collect();
    assert_eq!(names, ["tenant policy", "tenant suspend", "tenant add"]);
    let bob = world.tenancy.by_server_name(&bob).unwrap().tenant.number();
    assert_eq!(acts(Some(bob)).await.len(), 1);
    assert_eq!(acts(None).await.len(), 0);
}

#[tokio::test]
async fn a_policy_is_the_tenants_own_and_survives_a_restart() {
    let mut world = World::new().await;
    world.add("alice.localhost").await.unwrap();
    world.add("example.org").await.unwrap();
    let tenant = |world: &World, name| world.tenancy.by_server_name(name).unwrap().tenant;
    let (alice, example) = (tenant(&world, server_name!("alice.localhost")), tenant(&world, example()));
    let mode = |world: &World| {
        let tenancy = world.tenancy.clone();
        let tenants = [alice.clone(), example.clone()];
        async move {
            let mut modes = Vec::new();
            for tenant in tenants {
                modes.push(tenancy.policy(&tenant).await.unwrap().registration.mode);
            }
            modes
        }
    };
    assert_eq!(mode(&world).await, [RegistrationMode::Open, RegistrationMode::Closed]);
    let patch = json!({
        "registration": { "mode": "tokens" }, "admins": ["@admin:example.org"], "federation": { "deny": ["evil.org"] },
    });
    world.tenancy.change_policy(&example, &patch, &By::Operator).await.unwrap();
    for _ in 0..2 {
        assert_eq!(mode(&world).await, [RegistrationMode::Open, RegistrationMode::Tokens]);
        assert!(!world.tenancy.speak(&example, server_name!("evil.org")));
        assert!(world.tenancy.speak(&alice, server_name!("evil.org")));
        world.restart().await;
    }
    let off = json!({ "features_off": ["federation"], "federation": null });
    world.tenancy.change_policy(&example, &off, &By::Operator).await.unwrap();
    for _ in 0..2 {
        // One side is enough.
        assert!(!world.tenancy.speak(&example, alice.server_name()));
        assert!(!world.tenancy.speak(&alice, example.server_name()));
        assert!(world.tenancy.reach(&alice, example.server_name()).is_none());
        assert_eq!(world.tenancy.reach(&example, example.server_name()), Some(example.clone()));
        world.restart().await;
    }
    let version = json!({ "default_room_version": "no.such" });
    let refused = world.tenancy.change_policy(&example, &version, &By::Operator).await;
    assert!(matches!(refused, Err(PolicyError::UnknownVersion { .. })));
    let foreign = json!({ "admins": ["@admin:alice.localhost"] });
    let refused = world.tenancy.change_policy(&example, &foreign, &By::Operator).await;
    assert!(matches!(refused, Err(PolicyError::ForeignAdmin { .. })));
}

#[tokio::test]
async fn operator_tokens_are_known_until_they_are_taken_back() {
    let world = World::new().await;
    assert!(!world.tenancy.has_operator_token().await.unwrap());
    let token = world.tenancy.new_operator_token("console", &By::Operator).await.unwrap().unwrap();
    assert!(world.tenancy.is_operator_token(token.reveal()).await.unwrap());
    assert!(!world.tenancy.is_operator_token("fho_").await.unwrap());
    assert!(!format!("{token:?}").contains(token.reveal()));
    assert_eq!(world.tenancy.remove_operator_tokens("console", &By::Operator).await.unwrap(), 1);
    assert!(!world.tenancy.is_operator_token(token.reveal()).await.unwrap());
}

#[tokio::test]
async fn a_new_hostname_is_published_and_the_old_one_goes_on_until_it_is_dropped() {
    let world = World::new().await;
    let name = server_name!("example.org");
    at(&world, "example.org", "old.example.net").await;
    at(&world, "example.com", "other.example.net").await;
    let set = async |hostnames: &[&str], old_hostnames: OldHostnames| {
        let hostnames = hostnames.iter().map(|name| (*name).to_owned()).collect();
        let new = NewFacts { hostnames, old_hostnames, owner: None };
        world.tenancy.settle(name, new, &By::Operator).await.map(|facts| facts.row.hostnames)
    };
    let leads_to = |tenancy: &Tenancy, host: &str| {
        tenancy.by_host(host).map(|found| found.tenant.server_name().to_string())
    };
    assert_eq!(
        set(&["new.example.net"], OldHostnames::Kept).await.unwrap(),
        ["new.example.net", "old.example.net"]
    );
    for host in ["new.example.net", "old.example.net", "example.org"] {
        assert_eq!(leads_to(&world.tenancy, host).as_deref(), Some("example.org"), "{host}");
    }
    for taken in ["other.example.net", "example.com"] {
        let refused = set(&[taken], OldHostnames::Kept).await;
        assert!(matches!(refused, Err(SettleError::HostnameTaken { .. })), "{taken}: {refused:?}");
    }
    assert!(matches!(set(&["not a host"], OldHostnames::Kept).await, Err(SettleError::Hostname(_))));
    let many: Vec<String> = (0..8).map(|n| format!("h{n}.example.net")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(set(&many, OldHostnames::Kept).await, Err(SettleError::TooManyHostnames { count: 10 })));

    assert_eq!(set(&["new.example.net"], OldHostnames::Dropped).await.unwrap(), ["new.example.net"]);
    let again = open(&world.store, &world.folder, &world.clock).await;
    for tenancy in [&world.tenancy, &again] {
        assert_eq!(leads_to(tenancy, "old.example.net"), None);
        assert_eq!(leads_to(tenancy, "new.example.net").as_deref(), Some("example.org"));
        assert_eq!(leads_to(tenancy, "other.example.net").as_deref(), Some("example.com"));
    }
    at(&world, "example.net", "old.example.net").await;
    assert_eq!(leads_to(&world.tenancy, "old.example.net").as_deref(), Some("example.net"));
}

#[tokio::test]
async fn an_owner_is_changed_and_taken_back_and_the_log_says_so() {
    let world = World::new().await;
    let name = server_name!("example.org");
    at(&world, "example.org", "m.example.net").await;
    for (given, expected) in [("admin@example.org", Some("admin@example.org")), ("", None)] {
        let new = NewFacts { owner: Some(given.to_owned()), ..NewFacts::default() };
        let facts = world.tenancy.settle(name, new, &By::Operator).await.unwrap();
        assert_eq!(facts.row.owner.as_deref(), expected);
        assert_eq!(facts.row.hostnames, ["m.example.net"]);
    }
    let number = world.tenancy.facts(name).await.unwrap().tenant.number();
    let acts = world.tenancy.audit(Some(number), 9).await.unwrap();
    let acts: Vec<&str> = acts.iter().map(|row| row.act.as_str()).collect();
    assert_eq!(acts, ["tenant set", "tenant set", "tenant add"]);
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_the_one_before_it_for_ever() {
    let world = World::new().await;
    let name = server_name!("example.org");
    at(&world, "example.org", "m.example.net").await;
    let signing = || {
        let export = world.tenancy.keys().export(name, world.clock.now_ts()).unwrap();
        export.secrets.first().unwrap().key_id().to_string()
    };
    let first = signing();
    let new = world.tenancy.rotate_key(name, Haste::InTime, &By::Operator).await.unwrap();
    assert_eq!(signing(), first, "not before others could have it");
    world.clock.0.store(new.signs_from_ts, Ordering::SeqCst);
    assert_eq!(signing(), new.key_id);
    let at_once = world.tenancy.rotate_key(name, Haste::AtOnce, &By::Operator).await.unwrap();
    assert_eq!(signing(), at_once.key_id);
    let export = world.tenancy.keys().export(name, world.clock.now_ts()).unwrap();
    let old: Vec<String> = export.old.iter().map(|key| key.key_id.to_string()).collect();
    assert_eq!(old, [first, new.key_id]);
    assert!(world.tenancy.rotate_key(server_name!("no.such"), Haste::InTime, &By::Operator).await.is_err());
}

async fn at(world: &World, server_name: &str, hostname: &str) {
    let (server_name, hostnames) = (server_name.to_owned(), vec![hostname.to_owned()]);
    let new = NewTenant { server_name, hostnames, ..NewTenant::default() };
    world.tenancy.add(new, &By::Operator).await.unwrap();
}
