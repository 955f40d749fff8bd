//! Refresh tokens.

use freehold_accounts::{NewTokens, Refresh, RefreshError, TokenError};
use freehold_store::Tenant;

use crate::world::{World, alices, bobs, session};

async fn refreshed(world: &World, tenant: &Tenant, tokens: &NewTokens) -> NewTokens {
    world.accounts.refresh(tenant, tokens.refresh_token.as_ref().unwrap()).await.unwrap()
}

#[tokio::test]
async fn old_tokens_live_until_a_new_one_is_used() {
    let (world, tenant) = (World::open().await, alices());
    let first = world.account(&tenant, session(Refresh::Asked)).await.tokens;
    let second = refreshed(&world, &tenant, &first).await;
    assert!(world.knows(&tenant, &first.access_token).await, "nothing new was used");
    assert!(world.knows(&tenant, &second.access_token).await);
    assert!(!world.knows(&tenant, &first.access_token).await);
    let old = world.accounts.refresh(&tenant, first.refresh_token.as_ref().unwrap()).await;
    assert!(matches!(old, Err(RefreshError::Unknown)));
    assert!(world.knows(&tenant, &second.access_token).await, "a replay of the old one ends nothing");
}

#[tokio::test]
async fn who_did_not_receive_the_answer_asks_again_and_the_lost_tokens_end() {
    let (world, tenant) = (World::open().await, alices());
    let first = world.account(&tenant, session(Refresh::Asked)).await.tokens;
    let lost = refreshed(&world, &tenant, &first).await;
    let second = refreshed(&world, &tenant, &first).await;
    assert!(!world.knows(&tenant, &lost.access_token).await);
    assert!(world.accounts.refresh(&tenant, lost.refresh_token.as_ref().unwrap()).await.is_err());
    let third = refreshed(&world, &tenant, &second).await;
    assert!(!world.knows(&tenant, &first.access_token).await, "a new refresh token was used");
    assert!(world.knows(&tenant, &third.access_token).await);
}

#[tokio::test]
async fn an_access_token_expires_softly_if_it_came_with_a_refresh_token_and_never_otherwise() {
    let (world, tenant) = (World::open().await, alices());
    let expiring = world.account(&tenant, session(Refresh::Asked)).await.tokens;
    let lasting = world.account(&tenant, session(Refresh::NotAsked)).await.tokens;
    assert_eq!(lasting.expires_in_ms, None);
    world.clock.advance(i64::try_from(expiring.expires_in_ms.unwrap()).unwrap());
    let expired = world.accounts.authenticate(&tenant, &expiring.access_token).await;
    assert!(matches!(expired, Err(TokenError::Expired)));
    assert!(world.knows(&tenant, &lasting.access_token).await);
    let fresh = refreshed(&world, &tenant, &expiring).await;
    assert!(world.knows(&tenant, &fresh.access_token).await);
}

#[tokio::test]
async fn a_refresh_token_is_unknown_to_every_other_tenant_and_after_logout() {
    let (world, tenant) = (World::open().await, alices());
    let somebody = world.account(&tenant, session(Refresh::Asked)).await;
    let token = somebody.tokens.refresh_token.unwrap();
    assert!(matches!(world.accounts.refresh(&bobs(), &token).await, Err(RefreshError::Unknown)));
    world.accounts.log_out(&somebody.actor).await.unwrap();
    assert!(matches!(world.accounts.refresh(&tenant, &token).await, Err(RefreshError::Unknown)));
}

#[tokio::test]
async fn an_access_token_is_no_refresh_token_and_the_other_way_round() {
    let (world, tenant) = (World::open().await, alices());
    let tokens = world.account(&tenant, session(Refresh::Asked)).await.tokens;
    assert!(world.accounts.refresh(&tenant, &tokens.access_token).await.is_err());
    assert!(!world.knows(&tenant, tokens.refresh_token.as_ref().unwrap()).await);
}
