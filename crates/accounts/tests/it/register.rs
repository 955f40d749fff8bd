//! New accounts.

use freehold_accounts::{
    AccountPolicy, Admission, Doer, InvitationError, NewAccount, NewRegistrationToken, RegisterError,
    Registration,
};

use crate::world::{World, admitted, alices, bobs};

fn named(name: &str) -> NewAccount {
    NewAccount { localpart: Some(name.to_owned()), ..NewAccount::default() }
}

fn with_token(token: &str) -> Admission {
    Admission::Registered { registration_token: Some(token.to_owned()), terms: Vec::new() }
}

#[tokio::test]
async fn a_registration_token_is_used_as_often_as_it_may_be_and_at_its_tenant_only() {
    let world =
        World::with(AccountPolicy { registration: Registration::Token, ..AccountPolicy::default() }).await;
    let accounts = &world.accounts;
    let new = NewRegistrationToken { uses_allowed: Some(1), ..NewRegistrationToken::default() };
    let token = accounts.new_registration_token(&alices(), new, Doer::Operator).await.unwrap();
    assert!(!accounts.is_registration_token_valid(&bobs(), &token).await.unwrap());
    let elsewhere = accounts.register(&bobs(), named("a"), with_token(&token)).await;
    assert!(matches!(elsewhere, Err(RegisterError::RegistrationToken)));
    accounts.register(&alices(), named("a"), with_token(&token)).await.unwrap();
    assert!(!accounts.is_registration_token_valid(&alices(), &token).await.unwrap());
    let again = accounts.register(&alices(), named("b"), with_token(&token)).await;
    assert!(matches!(again, Err(RegisterError::RegistrationToken)));
}

#[tokio::test]
async fn of_many_who_want_the_last_use_of_a_token_at_once_one_gets_it() {
    let world = World::open().await;
    let new = NewRegistrationToken { uses_allowed: Some(1), ..NewRegistrationToken::default() };
    let token = world.accounts.new_registration_token(&alices(), new, Doer::Operator).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (accounts, token) = (world.accounts.clone(), token.clone());
        let name = format!("user{number}");
        tasks.spawn(
            async move { accounts.register(&alices(), named(&name), with_token(&token)).await.is_ok() },
        );
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|made| *made).count(), 1);
}

#[tokio::test]
async fn an_expired_registration_token_is_refused() {
    let world = World::open().await;
    let new = NewRegistrationToken { expires_ts: Some(10), ..NewRegistrationToken::default() };
    let token = world.accounts.new_registration_token(&alices(), new, Doer::Operator).await.unwrap();
    assert!(world.accounts.is_registration_token_valid(&alices(), &token).await.unwrap());
    world.clock.advance(10);
    assert!(!world.accounts.is_registration_token_valid(&alices(), &token).await.unwrap());
}

#[tokio::test]
async fn a_tenant_has_no_more_accounts_than_its_quota_and_its_neighbour_has_its_own() {
    let policy = AccountPolicy { users_max: Some(2), ..AccountPolicy::default() };
    let world = World::with(policy).await;
    for name in ["a", "b"] {
        world.accounts.register(&alices(), named(name), admitted()).await.unwrap();
    }
    let third = world.accounts.register(&alices(), named("c"), admitted()).await;
    assert!(matches!(third, Err(RegisterError::Full { max: 2 })));
    for name in ["a", "c"] {
        world.accounts.register(&bobs(), named(name), admitted()).await.unwrap();
    }
    let third = world.accounts.register(&bobs(), named("d"), admitted()).await;
    assert!(matches!(third, Err(RegisterError::Full { max: 2 })));
}

#[tokio::test]
async fn a_failed_registration_takes_no_place_of_the_quota() {
    let policy = AccountPolicy { users_max: Some(2), ..AccountPolicy::default() };
    let world = World::with(policy).await;
    world.accounts.register(&alices(), named("a"), admitted()).await.unwrap();
    for _ in 0..3 {
        assert!(world.accounts.register(&alices(), named("b"), with_token("no such token")).await.is_err());
    }
    world.accounts.register(&alices(), named("b"), admitted()).await.unwrap();
}

#[tokio::test]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    let world = World::open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let accounts = world.accounts.clone();
        tasks.spawn(async move { accounts.register(&alices(), named("same"), admitted()).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|made| *made).count(), 1);
}

#[tokio::test]
async fn an_invitation_names_who_invites_and_lets_one_person_in() {
    let world =
        World::with(AccountPolicy { registration: Registration::Invitation, ..AccountPolicy::default() })
            .await;
    let accounts = &world.accounts;
    // A token that nobody stands for is none, and what the other tenant's users say counts there only.
    let new = NewRegistrationToken::default();
    let token = accounts.new_registration_token(&alices(), new, Doer::Operator).await.unwrap();
    assert!(!accounts.is_registration_token_valid(&alices(), &token).await.unwrap());
    let made = accounts.register(&alices(), named("host"), Admission::Tool).await.unwrap();
    let host = made.user_id;
    assert!(matches!(
        accounts.invite(&bobs(), &host, Doer::User(&host)).await,
        Err(InvitationError::Inviter(_))
    ));
    let invitation = accounts.invite(&alices(), &host, Doer::User(&host)).await.unwrap();
    assert!(!accounts.is_registration_token_valid(&bobs(), &invitation.code).await.unwrap());
    assert!(accounts.is_registration_token_valid(&alices(), &invitation.code).await.unwrap());
    let guest = accounts.register(&alices(), named("guest"), with_token(&invitation.code)).await.unwrap();
    let again = accounts.register(&alices(), named("another"), with_token(&invitation.code)).await;
    assert!(matches!(again, Err(RegisterError::RegistrationToken)));
    let known = accounts.invitations(&alices(), None).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((&known[0].invited_by, known[0].used_by.as_ref()), (&host, Some(&guest.user_id)));
    assert!(accounts.invitations(&alices(), Some(&guest.user_id)).await.unwrap().is_empty());
}

#[tokio::test]
async fn invitations_are_few_expire_and_can_be_taken_back() {
    let world =
        World::with(AccountPolicy { registration: Registration::Invitation, ..AccountPolicy::default() })
            .await;
    let accounts = &world.accounts;
    let host = accounts.register(&alices(), named("host"), Admission::Tool).await.unwrap().user_id;
    let other = accounts.register(&alices(), named("other"), Admission::Tool).await.unwrap().user_id;
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(accounts.invite(&alices(), &host, Doer::User(&host)).await.unwrap().code);
    }
    let refused = accounts.invite(&alices(), &host, Doer::User(&host)).await;
    assert!(matches!(refused, Err(InvitationError::TooMany { .. })));
    let tenant = alices();
    let take_back = |whose| accounts.take_back_invitation(&tenant, &codes[0], whose, Doer::User(&host));
    assert!(matches!(take_back(Some(&*other)).await, Err(InvitationError::Unknown)));
    take_back(Some(&*host)).await.unwrap();
    assert!(!accounts.is_registration_token_valid(&alices(), &codes[0]).await.unwrap());
    accounts.invite(&alices(), &host, Doer::User(&host)).await.unwrap();
    world.clock.advance(7 * 24 * 60 * 60 * 1000);
    assert!(!accounts.is_registration_token_valid(&alices(), &codes[1]).await.unwrap());
    assert!(accounts.invitations(&alices(), None).await.unwrap().is_empty());
    accounts.invite(&alices(), &host, Doer::User(&host)).await.unwrap();
}
