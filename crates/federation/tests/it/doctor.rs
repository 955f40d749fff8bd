//! What the doctor sees.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_federation::fake::{Trouble, answer};
use freehold_federation::{Diagnosis, Doctor, limits};
use freehold_store::BoxFuture;

use crate::world::{START_TS, Tenants, World, key_document, ordinary, server, tenant};

fn doctor(world: &World) -> Doctor {
    Doctor {
        client: world.client.clone(),
        identities: Arc::new(Tenants),
        documents: Arc::new(Tenants),
        clock: world.clock.clone(),
    }
}

async fn examine(world: &World, name: &str, tenants: &[&str]) -> Diagnosis {
    let tenants: Vec<_> = tenants.iter().map(|name| tenant(name)).collect();
    doctor(world).examine(&server(name), &tenants, usize::MAX).await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_well_is_reached_at_each_address() {
    let world = World::new().await;
    world.network.host("remote.example", 443, |_| answer(200, r#"{"m.server":"matrix.remote.example:443"}"#));
    world.network.host("matrix.remote.example", 443, ordinary("remote.example"));
    let diagnosis = examine(&world, "remote.example", &[]).await;
    assert!(diagnosis.is_healthy());
    let text = diagnosis.to_string();
    for line in [
        "https://remote.example/.well-known/matrix/server",
        "leads to `matrix.remote.example:443`",
        "found by step 3.2: Host `matrix.remote.example:443`, a certificate for `matrix.remote.example`",
        "Example 1.2, keys ed25519:a_1",
        "remote.example is reached",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let json = serde_json::to_string(&diagnosis).unwrap();
    assert_eq!(serde_json::from_str::<Diagnosis>(&json).unwrap(), diagnosis);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_where_it_is_wrong() {
    let world = World::new().await;
    world.network.host("remote.example", 443, |_| answer(500, ""));
    let address = world.ordinary_server("remote.example");
    let text = |diagnosis: Diagnosis| {
        assert!(!diagnosis.is_healthy());
        diagnosis.to_string()
    };
    world.network.trouble(address, Trouble::Refuses);
    let refused = text(examine(&world, "remote.example", &[]).await);
    assert!(refused.contains("leads nowhere: the answer is 500"), "{refused}");
    assert!(refused.contains("connection refused"), "{refused}");
    world.network.heal(address);
    world.network.serve_at(address, &["other.example"], Arc::new(|_| Box::pin(async { answer(200, "{}") })));
    let certificate = text(examine(&world, "remote.example", &[]).await);
    assert!(certificate.contains("does not prove to be remote.example"), "{certificate}");
    world.network.host("remote.example", 8448, ordinary("other.example"));
    let keys = text(examine(&world, "remote.example", &[]).await);
    assert!(keys.contains("its keys are those of `other.example`"), "{keys}");
    let old = key_document("remote.example", START_TS - 1);
    world.network.host("remote.example", 8448, move |_| answer(200, old.clone()));
    let old = text(examine(&world, "remote.example", &[]).await);
    assert!(old.contains("past their time"), "{old}");
    let nowhere = text(examine(&world, "nowhere.example", &[]).await);
    assert!(nowhere.contains("not found: `nowhere.example` has no address"), "{nowhere}");
}

#[tokio::test(start_paused = true)]
async fn tenants_are_looked_at_as_others_see_them() {
    let world = World::new().await;
    world.ordinary_server("remote.example");
    world.ordinary_server("alice.example");
    let diagnosis = examine(&world, "remote.example", &["alice.example", "bob.example"]).await;
    let problems: Vec<bool> = diagnosis.tenants.iter().map(|tenant| tenant.problem.is_some()).collect();
    assert_eq!(problems, [false, true], "{diagnosis}");
    assert!(diagnosis.to_string().ends_with("not reached from outside: bob.example"), "{diagnosis}");

    // Somebody else's server where a tenant's name leads to.
    let stolen = key_document("alice.example", START_TS + 1000);
    assert!(!stolen.is_empty());
    world.network.host("bob.example", 8448, ordinary("alice.example"));
    let diagnosis = examine(&world, "remote.example", &["bob.example"]).await;
    assert!(diagnosis.tenants[0].problem.is_some(), "{diagnosis}");
}

#[tokio::test(start_paused = true)]
async fn the_other_server_is_asked_whether_it_has_the_tenants_keys() {
    for (names, known) in [("alice.example", Some(true)), ("bob.example", Some(false))] {
        let world = World::new().await;
        world.ordinary_server("alice.example");
        let own = ordinary("remote.example");
        world.network.host("remote.example", 8448, move |request| match request.uri().path() {
            "/_matrix/key/v2/query/alice.example" => {
                answer(200, format!(r#"{{"server_keys":[{{"server_name":"{names}"}}]}}"#))
            }
            _ => own(request),
        });
        let diagnosis = examine(&world, "remote.example", &["alice.example"]).await;
        assert_eq!(diagnosis.tenants[0].known_there, known);
        assert_eq!(diagnosis.is_healthy(), known == Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_seen_from_outside_when_it_is_examined_itself() {
    let world = World::new().await;
    world.ordinary_server("alice.example");
    let diagnosis = examine(&world, "alice.example", &[]).await;
    assert!(diagnosis.hosted && diagnosis.is_healthy(), "{diagnosis}");
    assert_eq!(world.sent("/_matrix/key/v2/server"), 1, "it is not answered from within");
}

#[tokio::test(start_paused = true)]
async fn many_tenants_are_looked_at_in_their_order_a_few_at_a_time() {
    let world = World::new().await;
    world.ordinary_server("remote.example");
    let names: Vec<String> = (0..30).map(|number| format!("tenant{number}.example")).collect();
    let looked_at: Arc<Mutex<(usize, usize)>> = Arc::default();
    for name in &names {
        let (key, looked_at) = (ordinary(name), Arc::clone(&looked_at));
        let address = world.ordinary_server(name);
        let serve = move |request| {
            let (answer, looked_at) = (key(request), Arc::clone(&looked_at));
            let answered: BoxFuture<'static, _> = Box::pin(async move {
                let change = |by: isize| {
                    let mut counts = looked_at.lock().unwrap();
                    counts.0 = counts.0.strict_add_signed(by);
                    counts.1 = counts.1.max(counts.0);
                };
                change(1);
                tokio::time::sleep(Duration::from_secs(1)).await;
                change(-1);
                answer
            });
            answered
        };
        world.network.serve_at(address, &[name], Arc::new(serve));
    }
    let tenants: Vec<_> = names.iter().map(|name| tenant(name)).collect();
    for (most, left_out) in [(20, 10), (usize::MAX, 0)] {
        let diagnosis = doctor(&world).examine(&server("remote.example"), &tenants, most).await;
        let seen: Vec<&str> = diagnosis.tenants.iter().map(|tenant| tenant.server_name.as_str()).collect();
        assert_eq!(seen, names[..30 - left_out]);
        assert_eq!(diagnosis.tenants_left_out, left_out);
        assert_eq!(diagnosis.to_string().contains("10 more tenants were not looked at"), left_out > 0);
    }
    assert_eq!(looked_at.lock().unwrap().1, limits::DOCTOR_TENANTS_AT_ONCE);
}
