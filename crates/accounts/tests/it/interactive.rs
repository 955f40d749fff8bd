//! User-interactive authentication.

use freehold_accounts::{
    AccountPolicy, Attempt, Challenge, Doer, InteractionError, Password, Purpose, Registration, Stage,
    StageFailure, StageProof, TermsDocument, Translation,
};
use freehold_store::Tenant;

use crate::world::{PASSWORD, World, alices, bobs};

fn with_terms() -> AccountPolicy {
    let translation = Translation { name: "Terms".to_owned(), url: "https://alice.example/terms".to_owned() };
    let terms = TermsDocument {
        name: "terms".to_owned(),
        version: "1".to_owned(),
        required: false,
        translations: [("en".to_owned(), translation)].into(),
    };
    AccountPolicy { registration: Registration::Token, terms: vec![terms], ..AccountPolicy::default() }
}

fn attempt(session: Option<&str>, proof: Option<StageProof>) -> Option<Attempt> {
    Some(Attempt { session: session.map(str::to_owned), proof })
}

async fn challenged(
    world: &World,
    tenant: &Tenant,
    purpose: (Purpose, Vec<Vec<Stage>>),
    attempt: Option<Attempt>,
) -> Challenge {
    match world.accounts.interact(tenant, purpose, attempt).await {
        Err(InteractionError::Challenge(challenge)) => *challenge,
        other => panic!("not challenged: {other:?}"),
    }
}

#[tokio::test]
async fn stages_are_done_in_their_order_and_each_once() {
    let (world, tenant) = (World::with(with_terms()).await, alices());
    let token =
        world.accounts.new_registration_token(&tenant, Default::default(), Doer::Operator).await.unwrap();
    let flows = world.accounts.registration_flows(&tenant).await.unwrap();
    let purpose = || (Purpose::registration(&tenant), flows.clone());
    let first = challenged(&world, &tenant, purpose(), None).await;
    assert_eq!(first.flows, [[Stage::RegistrationToken, Stage::Terms]]);
    assert_eq!((first.terms.len(), first.failure.clone()), (1, None));
    let session = Some(first.session.as_str());
    let too_soon = challenged(&world, &tenant, purpose(), attempt(session, Some(StageProof::Terms))).await;
    assert_eq!(too_soon.failure, Some(StageFailure::NotNext));
    let wrong = StageProof::RegistrationToken("wrong".to_owned());
    let wrong = challenged(&world, &tenant, purpose(), attempt(session, Some(wrong))).await;
    assert_eq!(wrong.failure, Some(StageFailure::RegistrationToken));
    let right = StageProof::RegistrationToken(token);
    let half = challenged(&world, &tenant, purpose(), attempt(session, Some(right))).await;
    assert_eq!((half.completed, half.failure), (vec![Stage::RegistrationToken], None));
    // The last stage is done on a page, and then the client comes back with the session only.
    world.accounts.complete_stage(&tenant, &first.session, StageProof::Terms).await.unwrap().unwrap();
    world.accounts.interact(&tenant, purpose(), attempt(session, None)).await.unwrap();
}

#[tokio::test]
async fn what_was_done_for_one_request_does_not_count_for_another() {
    let (world, tenant) = (World::open().await, alices());
    let (alice, mallory) = (world.user(&tenant, "alice").await, world.user(&tenant, "mallory").await);
    let flows = || vec![vec![Stage::Password]];
    let wanted = (Purpose::request(&alice.actor, "devices", &["OLD"]), flows());
    let session = challenged(&world, &tenant, wanted.clone(), None).await.session;
    let proof = StageProof::Password { user: "alice".to_owned(), password: Password::new(PASSWORD) };
    world.accounts.interact(&tenant, wanted, attempt(Some(&session), Some(proof))).await.unwrap();
    for other in [
        Purpose::request(&alice.actor, "devices", &["NEW"]),
        Purpose::request(&alice.actor, "account/deactivate", &["OLD"]),
        Purpose::request(&mallory.actor, "devices", &["OLD"]),
        Purpose::registration(&tenant),
    ] {
        let answer = challenged(&world, &tenant, (other, flows()), attempt(Some(&session), None)).await;
        assert_eq!(answer.failure, Some(StageFailure::UnknownSession));
        assert!(answer.completed.is_empty());
        assert_ne!(answer.session, session);
    }
}

#[tokio::test]
async fn the_password_of_somebody_else_proves_nothing() {
    let (world, tenant) = (World::open().await, alices());
    let alice = world.user(&tenant, "alice").await;
    world.user(&tenant, "mallory").await;
    world.user(&bobs(), "alice").await;
    for user in ["mallory", "@alice:bob.example", "nobody"] {
        let purpose = (Purpose::request(&alice.actor, "devices", &[]), vec![vec![Stage::Password]]);
        let proof = StageProof::Password { user: user.to_owned(), password: Password::new(PASSWORD) };
        let answer = challenged(&world, &tenant, purpose, attempt(None, Some(proof))).await;
        assert_eq!(answer.failure, Some(StageFailure::Password), "{user}");
    }
}

#[tokio::test]
async fn a_session_is_unknown_to_other_tenants_and_after_half_an_hour() {
    let (world, tenant) = (World::open().await, alices());
    let purpose = || (Purpose::registration(&tenant), vec![vec![Stage::Dummy]]);
    let session = challenged(&world, &tenant, purpose(), None).await.session;
    assert_eq!(world.accounts.interaction(&bobs(), &session), None);
    let elsewhere = world.accounts.complete_stage(&bobs(), &session, StageProof::Dummy).await.unwrap();
    assert_eq!(elsewhere, Err(StageFailure::UnknownSession));
    assert!(world.accounts.interaction(&tenant, &session).is_some());
    world.clock.advance(30 * 60 * 1000 + 1);
    assert_eq!(world.accounts.interaction(&tenant, &session), None);
}

#[tokio::test]
async fn people_are_asked_for_what_they_must_accept_and_did_not() {
    let document = |name: &str, version: &str, required| TermsDocument {
        name: name.to_owned(),
        version: version.to_owned(),
        required,
        translations: [].into(),
    };
    let policy = |terms: &[TermsDocument]| AccountPolicy {
        registration: Registration::Open,
        terms: terms.to_vec(),
        ..AccountPolicy::default()
    };
    let before = World::with(policy(&[document("rules", "1", true), document("news", "1", false)])).await;
    let (alice, bob) =
        (before.user(&alices(), "alice").await.actor, before.user(&alices(), "bob").await.actor);
    let session = before.accounts.consent_session(&alice).await.unwrap().unwrap();
    assert_eq!(
        before.accounts.consent_session(&alice).await.unwrap().as_ref(),
        Some(&session),
        "one session each"
    );
    assert_ne!(before.accounts.consent_session(&bob).await.unwrap().unwrap(), session);
    let shown = before.accounts.interaction(&alices(), &session).unwrap();
    assert_eq!(shown.terms, [document("rules", "1", true)]);
    // Another tenant's host leads nowhere, and nothing else than accepting counts.
    let done = before.accounts.complete_stage(&bobs(), &session, StageProof::Terms).await.unwrap();
    assert_eq!(done, Err(StageFailure::UnknownSession));
    let done = before.accounts.complete_stage(&alices(), &session, StageProof::Dummy).await.unwrap();
    assert_eq!(done, Err(StageFailure::NotNext));
    assert!(before.accounts.consent_session(&alice).await.unwrap().is_some());
    before.accounts.complete_stage(&alices(), &session, StageProof::Terms).await.unwrap().unwrap();
    assert_eq!(before.accounts.consent_session(&alice).await.unwrap(), None);
    assert!(before.accounts.consent_session(&bob).await.unwrap().is_some());

    let after = |terms: &[TermsDocument]| {
        World::over(
            before.store.clone(),
            policy(terms),
            std::sync::Arc::new(freehold_accounts::NoMemberEvents),
        )
    };
    let same = after(&[document("rules", "1", true)]);
    assert_eq!(same.accounts.consent_session(&alice).await.unwrap(), None, "also after a restart");
    let newer = after(&[document("rules", "2", true)]);
    let session = newer.accounts.consent_session(&alice).await.unwrap().unwrap();
    newer.accounts.complete_stage(&alices(), &session, StageProof::Terms).await.unwrap().unwrap();
    assert_eq!(newer.accounts.consent_session(&alice).await.unwrap(), None);
    assert_eq!(after(&[document("rules", "3", false)]).accounts.consent_session(&alice).await.unwrap(), None);
}
