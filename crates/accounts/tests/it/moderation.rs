//! Locking and suspending.

use freehold_accounts::{
    AccountPolicy, DeviceRequest, LoginError, ModerationError, NewAccount, Password, Proof, Refresh,
    Restraint, Standing,
};

use crate::world::{PASSWORD, Somebody, World, alices, bobs, session};

async fn administrator(world: &World) -> Somebody {
    let account =
        NewAccount { localpart: Some("admin".to_owned()), admin: true, ..session(Refresh::NotAsked) };
    world.account(&alices(), account).await
}

#[tokio::test]
async fn a_restraint_takes_effect_at_once_and_ends_no_session() {
    let (world, tenant) = (World::open().await, alices());
    let (admin, user) = (administrator(&world).await, world.user(&tenant, "user").await);
    let standing =
        async || world.accounts.authenticate(&tenant, &user.tokens.access_token).await.unwrap().standing;
    assert_eq!(standing().await, Standing::Good);
    for (restraint, expected) in
        [(Restraint::Locked, Standing::Locked), (Restraint::Suspended, Standing::Suspended)]
    {
        world.accounts.restrain(&admin.actor, &user.actor.user_id, (restraint, true)).await.unwrap();
        assert_eq!(standing().await, expected);
        let is = world.accounts.is_restrained(&admin.actor, &user.actor.user_id, restraint).await;
        assert!(is.unwrap());
        world.accounts.restrain(&admin.actor, &user.actor.user_id, (restraint, false)).await.unwrap();
        assert_eq!(standing().await, Standing::Good);
    }
}

#[tokio::test]
async fn who_is_locked_cannot_log_in_and_who_is_suspended_can() {
    let (world, tenant) = (World::open().await, alices());
    let (admin, user) = (administrator(&world).await, world.user(&tenant, "user").await);
    let log_in = async || {
        let proof = Proof::Password { user: "user".to_owned(), password: Password::new(PASSWORD) };
        world.accounts.log_in(&tenant, proof, (DeviceRequest::default(), Refresh::NotAsked)).await
    };
    let restrain = async |restraint, on| {
        world.accounts.restrain(&admin.actor, &user.actor.user_id, (restraint, on)).await.unwrap();
    };
    restrain(Restraint::Locked, true).await;
    assert!(matches!(log_in().await, Err(LoginError::Locked)));
    restrain(Restraint::Locked, false).await;
    restrain(Restraint::Suspended, true).await;
    let session = log_in().await.unwrap();
    let found = world.accounts.authenticate(&tenant, &session.tokens.access_token).await.unwrap();
    assert_eq!(found.standing, Standing::Suspended);
}

#[tokio::test]
async fn only_administrators_of_the_tenant_moderate_and_not_each_other() {
    let world = World::open().await;
    let (admin, user) = (administrator(&world).await, world.user(&alices(), "user").await);
    let stranger = world.user(&bobs(), "user").await;
    let restrain = async |who: &Somebody, whom: &str| {
        let whom = ruma_common::UserId::parse(whom).unwrap();
        world.accounts.restrain(&who.actor, &whom, (Restraint::Locked, true)).await.unwrap_err()
    };
    // Whether there is such a user plays no part for who is no administrator.
    for whom in ["@admin:alice.example", "@nobody:alice.example", "@user:bob.example"] {
        assert!(matches!(restrain(&user, whom).await, ModerationError::NotAdministrator), "{whom}");
        assert!(matches!(restrain(&stranger, whom).await, ModerationError::NotAdministrator), "{whom}");
    }
    assert!(matches!(restrain(&admin, "@admin:alice.example").await, ModerationError::Oneself));
    assert!(matches!(restrain(&admin, "@nobody:alice.example").await, ModerationError::Unknown));
    assert!(matches!(restrain(&admin, "@user:bob.example").await, ModerationError::Foreign));
}

#[tokio::test]
async fn a_tenant_names_administrators_in_its_policy_too() {
    let admins = [ruma_common::UserId::parse("@named:alice.example").unwrap()].into();
    let world = World::with(AccountPolicy { admins, ..AccountPolicy::default() }).await;
    let (named, user) = (world.user(&alices(), "named").await, world.user(&alices(), "user").await);
    world.accounts.restrain(&named.actor, &user.actor.user_id, (Restraint::Locked, true)).await.unwrap();
    let admin = administrator(&world).await;
    let other = world.accounts.restrain(&admin.actor, &named.actor.user_id, (Restraint::Locked, true)).await;
    assert!(matches!(other, Err(ModerationError::Administrator)));
}

#[tokio::test]
async fn a_user_sees_the_own_devices_and_an_administrator_those_of_the_tenant() {
    let world = World::open().await;
    let (admin, user) = (administrator(&world).await, world.user(&alices(), "user").await);
    let stranger = world.user(&bobs(), "stranger").await;
    let who_is = async |who: &Somebody, whom: &Somebody| {
        world.accounts.who_is(&who.actor, &whom.actor.user_id).await.map(|devices| devices.len())
    };
    assert_eq!(who_is(&user, &user).await.unwrap(), 1);
    assert_eq!(who_is(&admin, &user).await.unwrap(), 1);
    assert!(matches!(who_is(&user, &admin).await, Err(ModerationError::NotAdministrator)));
    assert!(matches!(who_is(&admin, &stranger).await, Err(ModerationError::Foreign)));
}
