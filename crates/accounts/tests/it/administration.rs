//! What the operator and administrators do to accounts of a tenant.

use freehold_accounts::{
    AccountPolicy, CredentialsError, DeviceRequest, Doer, Erase, ImportFailure, ImportedPassword, LoginError,
    ModerationError, NewAccount, NewSession, OtherSessions, Password, Proof, Refresh, Registration,
    Restraint,
};
use ruma_common::{UserId, user_id};

use crate::world::{PASSWORD, Somebody, World, alices, bobs, session};

async fn administrator(world: &World, name: &str) -> Somebody {
    let account = NewAccount { localpart: Some(name.to_owned()), admin: true, ..session(Refresh::NotAsked) };
    world.account(&alices(), account).await
}

async fn log_in(world: &World, user: &str, password: &str) -> Result<NewSession, LoginError> {
    let proof = Proof::Password { user: user.to_owned(), password: Password::new(password) };
    world.accounts.log_in(&alices(), proof, (DeviceRequest::default(), Refresh::NotAsked)).await
}

fn hashed(line: usize, user: &str, password: &str) -> ImportedPassword {
    ImportedPassword { line, user: user.to_owned(), hash: bcrypt::hash(password, 4).unwrap() }
}

const NEW: &str = "another password";

#[tokio::test]
async fn a_password_that_the_operator_resets_is_the_only_one_and_ends_sessions_if_wanted() {
    for (others, lives) in [(OtherSessions::End, false), (OtherSessions::Keep, true)] {
        let (world, tenant) = (World::open().await, alices());
        let user = world.user(&tenant, "user").await;
        let reset = (&Password::new(NEW), others);
        world.accounts.set_password(&tenant, &user.actor.user_id, reset, Doer::Operator).await.unwrap();
        assert_eq!(world.knows(&tenant, &user.tokens.access_token).await, lives);
        assert!(log_in(&world, "user", PASSWORD).await.is_err());
        assert!(log_in(&world, "user", NEW).await.is_ok());
    }
}

#[tokio::test]
async fn an_administrator_does_nothing_to_other_administrators_and_to_accounts_of_other_tenants() {
    let (world, tenant) = (World::open().await, alices());
    let (admin, other) = (administrator(&world, "admin").await, administrator(&world, "other").await);
    let stranger = world.user(&bobs(), "stranger").await;
    let by = Doer::User(&admin.actor.user_id);
    let password = Password::new(NEW);
    let failures = async |whom: &UserId| {
        let reset = world.accounts.set_password(&tenant, whom, (&password, OtherSessions::End), by).await;
        let lock = world.accounts.restrain_by(&tenant, whom, (Restraint::Locked, true), by).await;
        let leave = world.accounts.deactivate_by(&tenant, whom, Erase::No, by).await;
        [reset.map_err(|error| error.to_string()), text(lock), text(leave)].map(Result::unwrap_err)
    };
    for whom in [&admin.actor.user_id, &other.actor.user_id, &stranger.actor.user_id] {
        let said = failures(whom).await;
        assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    }
    for whom in [&admin, &other] {
        assert!(world.knows(&tenant, &whom.tokens.access_token).await);
    }
    assert!(world.knows(&bobs(), &stranger.tokens.access_token).await);
    // The operator does it to everybody.
    world.accounts.deactivate_by(&tenant, &other.actor.user_id, Erase::No, Doer::Operator).await.unwrap();
    assert!(!world.knows(&tenant, &other.tokens.access_token).await);
}

fn text(result: Result<(), ModerationError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_password_that_is_too_short_is_not_set() {
    let (world, tenant) = (World::open().await, alices());
    let user = world.user(&tenant, "user").await;
    let reset = (&Password::new("short"), OtherSessions::End);
    let refused = world.accounts.set_password(&tenant, &user.actor.user_id, reset, Doer::Operator).await;
    assert!(matches!(refused, Err(CredentialsError::Password(_))));
    assert!(world.knows(&tenant, &user.tokens.access_token).await);
}

#[tokio::test]
async fn an_import_makes_accounts_that_are_not_there_and_changes_passwords_of_others() {
    let (world, tenant) = (World::open().await, alices());
    world.user(&tenant, "here").await;
    let lines = [hashed(1, "@here:alice.example", "old secret"), hashed(2, "new", "new secret")];
    let imported = world.accounts.import(&tenant, (&lines, ""), Doer::Operator).await.unwrap();
    assert_eq!((imported.made, imported.changed), (1, 1));
    let again = world.accounts.import(&tenant, (&lines, ""), Doer::Operator).await.unwrap();
    assert_eq!((again.made, again.changed), (0, 2));
    assert!(log_in(&world, "here", PASSWORD).await.is_err());
    assert!(log_in(&world, "here", "old secret").await.is_ok());
    assert!(log_in(&world, "new", "new secret").await.is_ok());
    let shown = world.accounts.profile(user_id!("@new:alice.example")).await.unwrap();
    assert!(format!("{shown:?}").contains("new"), "{shown:?}");
}

#[tokio::test]
async fn a_line_that_makes_no_sense_is_named_before_anything_is_imported() {
    let (world, tenant) = (World::open().await, alices());
    let not_bcrypt = ImportedPassword { line: 7, user: "x".to_owned(), hash: "$argon2id$".to_owned() };
    for (bad, expected) in [
        (not_bcrypt, "line 7: not a bcrypt hash of cost 4 to 15"),
        (hashed(7, "@x:bob.example", "secret"), "line 7: `@x:bob.example` is not a user of this server"),
        (hashed(7, "Capital", "secret"), "line 7: user name contains 'C'; a-z, 0-9 and ._=-/+ are allowed"),
    ] {
        let lines = [hashed(6, "good", "secret"), bad];
        let refused = world.accounts.import(&tenant, (&lines, ""), Doer::Operator).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert!(!world.accounts.exists(user_id!("@good:alice.example")).await.unwrap());
    }
}

#[tokio::test]
async fn an_import_brings_nobody_back_takes_no_administrator_over_and_keeps_to_the_quota() {
    let policy =
        AccountPolicy { registration: Registration::Open, users_max: Some(3), ..AccountPolicy::default() };
    let (world, tenant) = (World::with(policy).await, alices());
    let (admin, other) = (administrator(&world, "admin").await, administrator(&world, "other").await);
    let gone = world.user(&tenant, "gone").await;
    world.accounts.deactivate(gone.actor.user, Erase::No).await.unwrap();
    let import = async |name: &str, by: Doer<'_>| {
        let lines = [hashed(1, name, "secret")];
        world.accounts.import(&tenant, (&lines, ""), by).await.map_err(|error| error.failure)
    };
    let over = import("other", Doer::User(&admin.actor.user_id)).await;
    assert!(matches!(
        over,
        Err(ImportFailure::Credentials(CredentialsError::Moderation(ModerationError::Administrator)))
    ));
    assert!(import("gone", Doer::Operator).await.unwrap_err().to_string().contains("taken"));
    assert!(import("fourth", Doer::Operator).await.unwrap_err().to_string().contains("no more than 3"));
    assert!(log_in(&world, "other", PASSWORD).await.is_ok());
    assert!(world.knows(&tenant, &other.tokens.access_token).await);
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_shown_with_their_devices() {
    let admins = [UserId::parse("@c:alice.example").unwrap()].into();
    let (world, tenant) = (World::with(AccountPolicy { admins, ..AccountPolicy::default() }).await, alices());
    for name in ["c", "a", "b"] {
        world.user(&tenant, name).await;
        world.user(&bobs(), name).await;
    }
    let page = async |after: Option<&UserId>| {
        let found = world.accounts.accounts_of(&tenant, after, 2).await.unwrap();
        found.into_iter().map(|facts| (facts.user_id.to_string(), facts.admin)).collect::<Vec<_>>()
    };
    let (a, b, c) = ("@a:alice.example", "@b:alice.example", "@c:alice.example");
    assert_eq!(page(None).await, [(c.to_owned(), true), (a.to_owned(), false)]);
    assert_eq!(page(Some(user_id!("@a:alice.example"))).await, [(b.to_owned(), false)]);
    for unknown in [user_id!("@no:alice.example"), user_id!("@a:bob.example")] {
        assert!(world.accounts.accounts_of(&tenant, Some(unknown), 2).await.is_err());
        assert!(world.accounts.account(&tenant, unknown).await.is_err());
    }
    let (facts, devices) = world.accounts.account(&tenant, user_id!("@c:alice.example")).await.unwrap();
    assert!(facts.admin && !facts.locked && !facts.suspended && !facts.deactivated);
    assert_eq!(devices.len(), 1);
}
