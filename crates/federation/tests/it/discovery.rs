//! The steps of the specification, over a network in memory.

use freehold_federation::fake::{Network, answer};
use freehold_federation::{DiscoveryError, Step};

use crate::world::{World, server};

/// What is on the network beside a few addresses.
type Scene = fn(&Network);

fn well_known(network: &Network, host: &str, delegated: &'static str) {
    network.host(host, 443, move |_| answer(200, format!(r#"{{"m.server":"{delegated}"}}"#)));
}

fn answering(network: &Network, status: u16, body: &'static str) {
    network.host("plain.example", 443, move |_| answer(status, body));
}

/// Names with fixed addresses.
fn addresses(network: &Network) {
    for (name, address) in [
        ("plain.example", "8.1.0.1"),
        ("target.example", "8.1.0.2"),
        ("other.example", "8.1.0.3"),
        ("host.example", "2620:fe::1"),
    ] {
        network.address(name, &[address.parse().unwrap()]);
    }
}

/// A name, what is on the network, and the step, `Host`, certificate and address that are found.
type Case = (&'static str, Scene, (Step, &'static str, &'static str, &'static str));

const WITHOUT_DELEGATION: &[Case] = &[
    ("9.9.9.9", |_| {}, (Step::IpLiteral, "9.9.9.9", "9.9.9.9", "9.9.9.9:8448")),
    ("9.9.9.9:80", |_| {}, (Step::IpLiteral, "9.9.9.9:80", "9.9.9.9", "9.9.9.9:80")),
    ("[2620:fe::9]", |_| {}, (Step::IpLiteral, "[2620:fe::9]", "2620:fe::9", "[2620:fe::9]:8448")),
    ("[2620:fe::9]:1", |_| {}, (Step::IpLiteral, "[2620:fe::9]:1", "2620:fe::9", "[2620:fe::9]:1")),
    (
        "plain.example:8000",
        // With a port nobody is asked for anything but addresses.
        |network| {
            well_known(network, "plain.example", "target.example:1");
            network.srv_record("_matrix-fed._tcp.plain.example", "target.example", 2);
        },
        (Step::Port, "plain.example:8000", "plain.example", "8.1.0.1:8000"),
    ),
    (
        "plain.example",
        |network| {
            network.srv_record("_matrix-fed._tcp.plain.example", "other.example", 4);
            network.srv_record("_matrix._tcp.plain.example", "target.example", 5);
        },
        (Step::Srv, "plain.example", "plain.example", "8.1.0.3:4"),
    ),
    (
        "plain.example",
        |network| network.srv_record("_matrix._tcp.plain.example", "target.example", 5),
        (Step::DeprecatedSrv, "plain.example", "plain.example", "8.1.0.2:5"),
    ),
    ("plain.example", |_| {}, (Step::Host, "plain.example", "plain.example", "8.1.0.1:8448")),
];

const DELEGATED: &[Case] = &[
    (
        "plain.example",
        |network| well_known(network, "plain.example", "9.9.9.9"),
        (Step::DelegatedIpLiteral, "9.9.9.9", "9.9.9.9", "9.9.9.9:8448"),
    ),
    (
        "plain.example",
        |network| well_known(network, "plain.example", "[2620:fe::9]:443"),
        (Step::DelegatedIpLiteral, "[2620:fe::9]:443", "2620:fe::9", "[2620:fe::9]:443"),
    ),
    (
        "plain.example",
        |network| {
            well_known(network, "plain.example", "target.example:443");
            network.srv_record("_matrix-fed._tcp.target.example", "other.example", 2);
        },
        (Step::DelegatedPort, "target.example:443", "target.example", "8.1.0.2:443"),
    ),
    (
        "plain.example",
        |network| {
            well_known(network, "plain.example", "target.example");
            network.srv_record("_matrix-fed._tcp.target.example", "host.example", 2);
            network.srv_record("_matrix._tcp.target.example", "other.example", 3);
            network.srv_record("_matrix-fed._tcp.plain.example", "other.example", 4);
        },
        (Step::DelegatedSrv, "target.example", "target.example", "[2620:fe::1]:2"),
    ),
    (
        "plain.example",
        |network| {
            well_known(network, "plain.example", "target.example");
            network.srv_record("_matrix._tcp.target.example", "other.example", 3);
        },
        (Step::DelegatedDeprecatedSrv, "target.example", "target.example", "8.1.0.3:3"),
    ),
    (
        "plain.example",
        |network| well_known(network, "plain.example", "target.example"),
        (Step::Delegated, "target.example", "target.example", "8.1.0.2:8448"),
    ),
];

#[tokio::test(start_paused = true)]
async fn every_step_leads_to_its_address_host_and_certificate() {
    for (name, scene, (step, host, certificate_name, address)) in WITHOUT_DELEGATION.iter().chain(DELEGATED) {
        let world = World::new().await;
        addresses(&world.network);
        scene(&world.network);
        let target = world.discovery.find(&server(name)).await.unwrap();
        let first = target.addresses[0].to_string();
        let found = (target.step, &*target.host, &*target.certificate_name, &*first);
        assert_eq!(found, (*step, *host, *certificate_name, *address), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_a_well_known_document_discovery_goes_on_without() {
    let scenes: &[(&str, Scene)] = &[
        ("nobody listens", |_| {}),
        ("not found", |network| answering(network, 404, "")),
        ("an error", |network| answering(network, 500, "")),
        ("no JSON", |network| answering(network, 200, "<html>")),
        ("no member", |network| answering(network, 200, "{}")),
        ("no name", |network| well_known(network, "plain.example", "https://target.example/")),
        ("another certificate", |network| {
            let handler = |_| -> freehold_store::BoxFuture<'static, _> {
                Box::pin(async { answer(200, r#"{"m.server":"target.example"}"#) })
            };
            let address = "8.1.0.1:443".parse().unwrap();
            network.serve_at(address, &["other.example"], std::sync::Arc::new(handler));
        }),
    ];
    for (what, scene) in scenes {
        let world = World::new().await;
        addresses(&world.network);
        scene(&world.network);
        let target = world.discovery.find(&server("plain.example")).await.unwrap();
        assert_eq!(target.step, Step::Host, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_targets_of_a_priority_are_tried_and_both_families_of_addresses() {
    let world = World::new().await;
    let network = &world.network;
    addresses(network);
    network.address("target.example", &["8.1.0.2".parse().unwrap(), "2620:fe::2".parse().unwrap()]);
    network.srv_record("_matrix-fed._tcp.plain.example", "target.example", 1);
    network.srv_record("_matrix-fed._tcp.plain.example", "other.example", 2);
    let target = world.discovery.find(&server("plain.example")).await.unwrap();
    let mut found: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found, ["8.1.0.2:1", "8.1.0.3:2", "[2620:fe::2]:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_target_without_addresses_does_not_hide_the_others() {
    let world = World::new().await;
    addresses(&world.network);
    world.network.srv_record("_matrix-fed._tcp.plain.example", "gone.example", 1);
    world.network.srv_record("_matrix-fed._tcp.plain.example", "other.example", 2);
    let target = world.discovery.find(&server("plain.example")).await.unwrap();
    assert_eq!(target.addresses, ["8.1.0.3:2".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_nowhere_is_a_typed_error() {
    let world = World::new().await;
    addresses(&world.network);
    world.network.srv_record("_matrix-fed._tcp.none.example", "", 0);
    let no_address = |host: &str| DiscoveryError::NoAddress { host: host.to_owned() };
    let not_offered = DiscoveryError::NotOffered { name: "_matrix-fed._tcp.none.example".to_owned() };
    for (name, expected) in [
        ("nowhere.example", no_address("nowhere.example")),
        ("nowhere.example:1", no_address("nowhere.example")),
        ("none.example", not_offered),
    ] {
        assert_eq!(world.discovery.find(&server(name)).await, Err(expected), "{name}");
    }
    world.network.kill_name("plain.example");
    let dead = world.discovery.find(&server("plain.example:1")).await;
    assert!(matches!(dead, Err(DiscoveryError::Lookup(_))), "{dead:?}");
}
