//! What happened to others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use freehold_federation::fake::{Handler, Network, Trouble, answer};
use freehold_federation::{DiscoveryError, Remote, Step, WebError, WebLimits, limits};
use freehold_rooms::RemoteServers as _;

use crate::world::{World, server};

/// A host that delegates to itself, so that whoever asked it was led there.
fn insider() -> Handler {
    Arc::new(|_| Box::pin(async { answer(200, r#"{"m.server":"inside.example:443"}"#) }))
}

fn redirecting(network: &Network, location: &'static str) {
    network.host("evil.example", 443, move |_| {
        let mut response = answer(302, "");
        response.headers_mut().insert("location", location.parse().unwrap());
        response
    });
}

const INSIDE: [&str; 6] =
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"];

/// A network on which every address of the inside would answer.
async fn world_with_an_inside() -> World {
    let world = World::new().await;
    for inside in INSIDE {
        let address: IpAddr = inside.parse().unwrap();
        for port in [443, 8448] {
            let names = ["inside.example", "evil.example", inside];
            world.network.serve_at(SocketAddr::new(address, port), &names, insider());
        }
    }
    world
}

fn asked_inside(world: &World) -> Vec<String> {
    let sent = world.network.sent();
    let inside =
        |address: &SocketAddr| INSIDE.iter().any(|inside| address.ip() == inside.parse::<IpAddr>().unwrap());
    sent.iter().map(|sent| sent.endpoint.address).filter(inside).map(|address| address.to_string()).collect()
}

/// CVE-2024-52594, PYSEC-2021-25: requests were sent into the server's own network, by names, by IPv6-mapped addresses
/// and by redirections of well-known documents.
#[tokio::test(start_paused = true)]
async fn cve_2024_52594_nothing_that_a_stranger_names_leads_into_the_own_network() {
    for inside in INSIDE {
        let address: IpAddr = inside.parse().unwrap();
        let literal = if address.is_ipv6() { format!("[{inside}]") } else { inside.to_owned() };
        let world = world_with_an_inside().await;
        let not_public = |host: &str| DiscoveryError::NotPublic { host: host.to_owned() };

        let by_literal = world.discovery.find(&server(&literal)).await;
        assert!(matches!(by_literal, Err(DiscoveryError::NotPublic { .. })), "{literal}: {by_literal:?}");
        world.network.address("evil.example", &[address]);
        let by_name = world.discovery.find(&server("evil.example")).await;
        assert_eq!(by_name, Err(not_public("evil.example")), "{inside}");
        world.network.srv_record("_matrix-fed._tcp.srv.example", "evil.example", 8448);
        let by_srv = world.discovery.find(&server("srv.example")).await;
        assert_eq!(by_srv, Err(not_public("evil.example")), "{inside}");
        assert_eq!(asked_inside(&world), [""; 0], "{inside}");

        let delegating = world_with_an_inside().await;
        let body = format!(r#"{{"m.server":"{literal}"}}"#);
        delegating.network.host("evil.example", 443, move |_| answer(200, body.clone()));
        let by_delegation = delegating.discovery.find(&server("evil.example")).await;
        assert!(matches!(by_delegation, Err(DiscoveryError::NotPublic { .. })), "{by_delegation:?}");
        assert_eq!(asked_inside(&delegating), [""; 0], "{inside}");
    }
}

#[tokio::test(start_paused = true)]
async fn cve_2024_52594_no_redirection_leads_into_the_own_network() {
    for location in [
        "https://inside.example/",
        "//inside.example/.well-known/matrix/server",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]:8448/",
        "http://inside.example/",
    ] {
        let world = world_with_an_inside().await;
        world.network.address("inside.example", &["127.0.0.1".parse().unwrap()]);
        redirecting(&world.network, location);
        let found = world.discovery.find(&server("evil.example")).await.unwrap();
        assert_eq!(found.step, Step::Host, "{location}: there is no delegation then");
        assert_eq!(asked_inside(&world), [""; 0], "{location}");
    }
}

/// A name may resolve to something else each time that somebody looks: what was checked is what is connected to.
#[tokio::test(start_paused = true)]
async fn a_name_that_changes_between_check_and_connection_gains_nothing() {
    let world = world_with_an_inside().await;
    world.network.address("evil.example", &["127.0.0.1".parse().unwrap(), "8.9.9.9".parse().unwrap()]);
    let found = world.discovery.find(&server("evil.example:443")).await.unwrap();
    assert_eq!(found.addresses, ["8.9.9.9:443".parse().unwrap()]);
    world.network.address("evil.example", &["127.0.0.1".parse().unwrap()]);
    let endpoint = found.endpoints().next().unwrap();
    assert_eq!(endpoint.address.ip(), "8.9.9.9".parse::<IpAddr>().unwrap());
    assert_eq!(asked_inside(&world), [""; 0]);
}

/// PYSEC-2021-132: a well-known document without end took all memory.
#[tokio::test(start_paused = true)]
async fn pysec_2021_132_a_well_known_document_is_read_up_to_a_bound() {
    for (spaces, step) in [
        (limits::WELL_KNOWN_BYTES_MAX - 100, Step::DelegatedPort),
        (limits::WELL_KNOWN_BYTES_MAX, Step::Host),
        (10 * limits::WELL_KNOWN_BYTES_MAX, Step::Host),
    ] {
        let world = World::new().await;
        world.network.address("target.example", &["8.1.0.2".parse().unwrap()]);
        let body = format!(r#"{{{}"m.server":"target.example:443"}}"#, " ".repeat(spaces));
        world.network.host("plain.example", 443, move |_| answer(200, body.clone()));
        assert_eq!(world.discovery.find(&server("plain.example")).await.unwrap().step, step, "{spaces}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirections_come_to_an_end_and_so_does_waiting() {
    let world = World::new().await;
    redirecting(&world.network, "/.well-known/matrix/server");
    let found = world.discovery.find(&server("evil.example")).await.unwrap();
    assert_eq!(found.step, Step::Host);
    assert_eq!(world.network.sent().len(), limits::REDIRECTIONS_MAX + 1);

    let world = World::new().await;
    let address = world.network.host("slow.example", 443, |_| answer(200, "{}"));
    world.network.trouble(address, Trouble::Hangs);
    let before = tokio::time::Instant::now();
    assert_eq!(world.discovery.find(&server("slow.example")).await.unwrap().step, Step::Host);
    assert_eq!(before.elapsed().as_millis(), u128::from(limits::WELL_KNOWN_TIME_MS));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_the_web_is_fetched_within_the_same_bounds() {
    let world = world_with_an_inside().await;
    world.network.address("inside.example", &["10.0.0.1".parse().unwrap()]);
    world.network.host("media.example", 443, |_| answer(200, "12345"));
    let web = world.discovery.web();
    let limits = WebLimits { time: std::time::Duration::from_secs(1), bytes_max: 5, redirections_max: 0 };
    let page = web.get("https://media.example/a?b", limits).await.unwrap();
    assert_eq!(page.body.collect().await.unwrap(), "12345");
    let short = web.get("https://media.example/", WebLimits { bytes_max: 4, ..limits }).await.unwrap();
    assert!(short.body.collect().await.is_err());
    for url in ["http://media.example/", "https://user:pass@media.example/", "media.example", "https://"] {
        assert!(matches!(web.get(url, limits).await, Err(WebError::Url { .. })), "{url}");
    }
    let inside = web.get("https://inside.example/", limits).await;
    assert!(matches!(inside, Err(WebError::Host(DiscoveryError::NotPublic { .. }))), "{inside:?}");
}

/// Whether a key of an identity server is valid is asked where a room says: nowhere inside, and of nobody for long.
#[tokio::test(start_paused = true)]
async fn cve_2024_52594_whether_a_key_is_valid_is_asked_of_nobody_inside() {
    let world = world_with_an_inside().await;
    let remote = Remote::new(world.client.clone(), world.keyring(&[]));
    let is_valid = async |url: &str| remote.is_key_valid(url, "a+b").await.ok();
    world.network.host("id.example", 443, |request| {
        let uri = request.uri().to_string();
        assert!(uri.ends_with("public_key=a%2Bb"), "{uri}");
        match request.uri().path() {
            "/valid" => answer(200, r#"{"valid":true}"#),
            "/revoked" => answer(200, r#"{"valid":false}"#),
            "/odd" => answer(200, r#"{"valid":"yes"}"#),
            "/long" => answer(200, vec![b' '; limits::KEY_VALIDITY_BYTES_MAX + 1]),
            "/moved" => {
                let mut moved = answer(302, "");
                moved.headers_mut().insert("location", "https://id.example/valid".parse().unwrap());
                moved
            }
            _ => answer(404, ""),
        }
    });
    for (url, expected) in [
        ("https://id.example/valid", Some(true)),
        ("https://id.example/valid?v=2", Some(true)),
        ("https://id.example/revoked", Some(false)),
        ("https://id.example/odd", Some(false)),
        ("https://id.example/long", None),
        ("https://id.example/moved", None),
        ("https://id.example/nothing", None),
        ("http://id.example/valid", None),
        ("https://gone.example/valid", None),
        ("valid", None),
    ] {
        assert_eq!(is_valid(url).await, expected, "{url}");
    }
    let hanging = world.network.host("slow.example", 443, |_| answer(200, r#"{"valid":true}"#));
    world.network.trouble(hanging, Trouble::Hangs);
    let started = world.now_ts();
    assert_eq!(is_valid("https://slow.example/valid").await, None);
    assert_eq!(world.now_ts() - started, i64::try_from(limits::KEY_VALIDITY_TIME_MS).unwrap());
    for inside in INSIDE {
        world.network.address("evil.example", &[inside.parse().unwrap()]);
        assert_eq!(is_valid("https://evil.example/valid").await, None, "{inside}");
        let literal = if inside.contains(':') { format!("[{inside}]") } else { (*inside).to_owned() };
        assert_eq!(is_valid(&format!("https://{literal}/valid")).await, None, "{inside}");
    }
    assert_eq!(asked_inside(&world), [""; 0]);
}
