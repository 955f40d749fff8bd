//! Passwords: changed, brought from elsewhere, guessed.

use freehold_accounts::{
    DeviceRequest, Doer, Erase, LoginError, NewSession, OtherSessions, Password, Proof, Refresh,
};
use freehold_store::Tenant;
use freehold_store::tables::accounts::{ACCOUNTS, ERASED, PasswordRow};

use crate::world::{PASSWORD, World, alices, bobs, session};

async fn log_in(world: &World, tenant: &Tenant, password: &str) -> Result<NewSession, LoginError> {
    let proof = Proof::Password { user: "alice".to_owned(), password: Password::new(password) };
    world.accounts.log_in(tenant, proof, (DeviceRequest::default(), Refresh::NotAsked)).await
}

#[tokio::test]
async fn a_new_password_ends_other_sessions_if_asked_and_never_the_one_that_asks() {
    for (others, other_lives) in [(OtherSessions::End, false), (OtherSessions::Keep, true)] {
        let (world, tenant) = (World::open().await, alices());
        let somebody = world.user(&tenant, "alice").await;
        let other = log_in(&world, &tenant, PASSWORD).await.unwrap().tokens;
        let new = Password::new("another password");
        world.accounts.change_password(&somebody.actor, &new, others).await.unwrap();
        assert!(world.knows(&tenant, &somebody.tokens.access_token).await);
        assert_eq!(world.knows(&tenant, &other.access_token).await, other_lives);
        assert!(matches!(log_in(&world, &tenant, PASSWORD).await, Err(LoginError::Wrong)));
        log_in(&world, &tenant, "another password").await.unwrap();
    }
}

#[tokio::test]
async fn a_bcrypt_hash_is_replaced_at_the_first_login_and_not_by_a_wrong_password() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let hash = bcrypt::hash("from elsewherepepper", 4).unwrap();
    let user_id = &somebody.actor.user_id;
    world.accounts.import_bcrypt(&tenant, user_id, (&hash, "pepper"), Doer::Operator).await.unwrap();
    let stored = async || {
        let row = world.store.snapshot().unwrap().get(&ACCOUNTS, &somebody.actor.user).await.unwrap();
        row.unwrap().password.unwrap()
    };
    assert!(log_in(&world, &tenant, "wrong").await.is_err());
    assert!(matches!(stored().await, PasswordRow::Bcrypt { .. }));
    log_in(&world, &tenant, "from elsewhere").await.unwrap();
    assert!(matches!(stored().await, PasswordRow::Argon2id { .. }));
    log_in(&world, &tenant, "from elsewhere").await.unwrap();
}

#[tokio::test]
async fn what_is_no_bcrypt_hash_or_costs_too_much_is_not_taken() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let costly = "$2b$31$abcdefghijklmnopqrstuuu5LHVfo1qZgS6Z9m1lM0ZcFZ7k8w0yS";
    for hash in ["", "plain", costly] {
        let user_id = &somebody.actor.user_id;
        let taken = world.accounts.import_bcrypt(&tenant, user_id, (hash, ""), Doer::Operator).await;
        assert!(taken.is_err(), "{hash}");
    }
    let (hash, user_id) = (bcrypt::hash("cheap", 4).unwrap(), &somebody.actor.user_id);
    let elsewhere = world.accounts.import_bcrypt(&bobs(), user_id, (&hash, ""), Doer::Operator).await;
    assert!(elsewhere.is_err());
}

#[tokio::test]
async fn after_many_failures_even_the_right_password_waits() {
    let (world, tenant) = (World::open().await, alices());
    world.user(&tenant, "alice").await;
    let wait_ms = loop {
        match log_in(&world, &tenant, "wrong").await {
            Err(LoginError::Wrong) => {}
            Err(LoginError::TooManyFailures { wait_ms }) => break wait_ms,
            other => panic!("{:?}", other.err()),
        }
    };
    assert!(matches!(log_in(&world, &tenant, PASSWORD).await, Err(LoginError::TooManyFailures { .. })));
    world.clock.advance(i64::try_from(wait_ms).unwrap());
    log_in(&world, &tenant, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_login_token_opens_one_session_at_its_tenant_and_only_soon() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let accounts = &world.accounts;
    let device = || (DeviceRequest::default(), Refresh::NotAsked);
    let (token, lifetime_ms) = accounts.new_login_token(&somebody.actor).await.unwrap();
    assert!(accounts.log_in(&bobs(), Proof::Token(token.clone()), device()).await.is_err());
    assert!(!world.knows(&tenant, &token).await, "it is no access token");
    let session = accounts.log_in(&tenant, Proof::Token(token.clone()), device()).await.unwrap();
    assert_eq!(session.user_id, somebody.actor.user_id);
    assert!(accounts.log_in(&tenant, Proof::Token(token), device()).await.is_err());
    let (late, _) = accounts.new_login_token(&somebody.actor).await.unwrap();
    world.clock.advance(i64::try_from(lifetime_ms).unwrap());
    assert!(accounts.log_in(&tenant, Proof::Token(late), device()).await.is_err());
}

#[tokio::test]
async fn what_a_session_asked_for_ends_with_it_when_the_password_is_reset() {
    for (others, lives) in [(OtherSessions::End, false), (OtherSessions::Keep, true)] {
        let (world, tenant) = (World::open().await, alices());
        let somebody = world.account(&tenant, session(Refresh::Asked)).await;
        let (login_token, _) = world.accounts.new_login_token(&somebody.actor).await.unwrap();
        let reset = (&Password::new("another password"), others);
        let user_id = &somebody.actor.user_id;
        world.accounts.set_password(&tenant, user_id, reset, Doer::Operator).await.unwrap();
        let device = (DeviceRequest::default(), Refresh::NotAsked);
        let opened = world.accounts.log_in(&tenant, Proof::Token(login_token), device).await;
        assert_eq!(opened.is_ok(), lives);
        let refresh_token = somebody.tokens.refresh_token.unwrap();
        assert_eq!(world.accounts.refresh(&tenant, &refresh_token).await.is_ok(), lives);
    }
}

#[tokio::test]
async fn of_many_who_use_a_login_token_at_once_one_gets_in() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let (token, _) = world.accounts.new_login_token(&somebody.actor).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (accounts, token, tenant) = (world.accounts.clone(), token.clone(), tenant.clone());
        let device = (DeviceRequest::default(), Refresh::NotAsked);
        tasks.spawn(async move { accounts.log_in(&tenant, Proof::Token(token), device).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|opened| *opened).count(), 1);
}

#[tokio::test]
async fn an_account_that_was_given_up_is_over_for_ever() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let (login_token, _) = world.accounts.new_login_token(&somebody.actor).await.unwrap();
    world.accounts.deactivate(somebody.actor.user, Erase::Yes).await.unwrap();
    assert!(!world.knows(&tenant, &somebody.tokens.access_token).await);
    assert!(matches!(log_in(&world, &tenant, PASSWORD).await, Err(LoginError::Wrong)));
    let device = (DeviceRequest::default(), Refresh::NotAsked);
    assert!(world.accounts.log_in(&tenant, Proof::Token(login_token), device).await.is_err());
    assert!(world.accounts.check_username(&tenant, "alice").await.is_err(), "nobody gets the name");
    assert!(world.accounts.profile(&somebody.actor.user_id).await.is_err());
    let erased = world.store.snapshot().unwrap().get(&ERASED, &somebody.actor.user).await.unwrap();
    assert!(erased.is_some(), "what the user said is shown to nobody new");
}

#[tokio::test]
async fn an_openid_token_names_its_user_to_its_tenant_and_opens_nothing() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.user(&tenant, "alice").await;
    let (token, lifetime_ms) = world.accounts.new_openid_token(&somebody.actor).await.unwrap();
    assert!(!world.knows(&tenant, &token).await);
    let user = world.accounts.openid_user(&tenant, &token).await.unwrap();
    assert_eq!(user.as_ref(), Some(&somebody.actor.user_id));
    assert_eq!(world.accounts.openid_user(&bobs(), &token).await.unwrap(), None);
    world.clock.advance(i64::try_from(lifetime_ms).unwrap() + 1);
    assert_eq!(world.accounts.openid_user(&tenant, &token).await.unwrap(), None);
    world.accounts.remove_expired_tokens().await.unwrap();
    let left = world.store.snapshot().unwrap();
    let left = left
        .scan_prefix(
            &freehold_store::tables::accounts::OPENID_TOKENS,
            &(),
            freehold_store::Order::Ascending,
            9,
        )
        .await;
    assert!(left.unwrap().is_empty());
}
