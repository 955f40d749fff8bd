//! Every rule of every room version: what it rejects, and the nearest thing it lets through.
//!
//! A case is one line: the rule, the versions, a scene that the rule rejects and one that passes.
//! The completeness test fails for a rule that some version has and no case covers.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod auth_events;
mod create;
mod general;
mod incidents;
mod joins;
mod memberships;
mod numbers;
mod policy_servers;
mod power_levels;
mod prepared;
mod scene;
mod third_party_invites;

use std::ops::RangeInclusive;

use freehold_event::RoomVersion;
use freehold_event_auth::AuthRule;
use scene::Scene;

/// What a case does to the ordinary room it starts from.
type Change = fn(Scene) -> Scene;

/// One line of the tables.
pub struct Case(AuthRule, RangeInclusive<usize>, Change, Change);

const ALL: RangeInclusive<usize> = 1..=12;

fn version(number: usize) -> &'static RoomVersion {
    RoomVersion::ALL[number - 1]
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        create::CASES,
        auth_events::CASES,
        general::CASES,
        joins::CASES,
        memberships::CASES,
        third_party_invites::CASES,
        power_levels::CASES,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn every_rule_rejects_what_it_is_for_and_nothing_beside() {
    for (line, Case(rule, versions, reject, accept)) in cases().enumerate() {
        for number in versions.clone() {
            let version = version(number);
            let ordinary = || Scene::ordinary(version);
            let denial = reject(ordinary()).verdict().expect_err(&format!("{line}: {rule:?} in {version}"));
            assert_eq!(denial.rule, *rule, "{line}: {version}, {denial}");
            assert_eq!(denial.version, version);
            assert_eq!(accept(ordinary()).verdict(), Ok(()), "{line}: {rule:?} in {version}");
        }
    }
}

#[test]
fn every_rule_that_a_version_has_is_covered_by_a_case() {
    for number in ALL {
        for rule in AuthRule::ALL {
            let exists = rule.number(version(number)).is_some();
            let covered = cases().any(|Case(of, versions, ..)| of == rule && versions.contains(&number));
            assert_eq!(covered, exists, "{rule:?} in {number}");
        }
    }
}

#[test]
fn the_ordinary_room_is_in_order() {
    for version in RoomVersion::ALL {
        assert_eq!(Scene::ordinary(version).verdict(), Ok(()), "{version}");
    }
}
