//! The numbers of the rules, as the pages of the room versions have them.

use freehold_event_auth::AuthRule as R;

use crate::version;

/// Rule, and its number in versions 1, 3, 6, 7, 8, 10, 11 and 12: one per list of rules.
#[rustfmt::skip]
const TABLE: &[(R, [&str; 8])] = &[
    (R::CreateHasPrevEvents, ["1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1"]),
    (R::CreateRoomIdDomain, ["1.2", "1.2", "1.2", "1.2", "1.2", "1.2", "1.2", ""]),
    (R::CreateHasRoomId, ["", "", "", "", "", "", "", "1.2"]),
    (R::CreateRoomVersion, ["1.3", "1.3", "1.3", "1.3", "1.3", "1.3", "1.3", "1.3"]),
    (R::CreateWithoutCreator, ["1.4", "1.4", "1.4", "1.4", "1.4", "1.4", "", ""]),
    (R::CreateAdditionalCreators, ["", "", "", "", "", "", "", "1.4"]),
    (R::RoomIdNotCreateEvent, ["", "", "", "", "", "", "", "2"]),
    (R::AuthEventsDuplicate, ["2.1", "2.1", "2.1", "2.1", "2.1", "2.1", "2.1", "3.1"]),
    (R::AuthEventsNotSelected, ["2.2", "2.2", "2.2", "2.2", "2.2", "2.2", "2.2", "3.2"]),
    (R::AuthEventsRejected, ["2.3", "2.3", "2.3", "2.3", "2.3", "2.3", "2.3", "3.3"]),
    (R::AuthEventsWithoutCreate, ["2.4", "2.4", "2.4", "2.4", "2.4", "2.4", "2.4", ""]),
    (R::AuthEventsOtherRoom, ["2.5", "2.5", "2.5", "2.5", "2.5", "2.5", "2.5", "3.5"]),
    (R::NotFederated, ["3", "3", "3", "3", "3", "3", "3", "4"]),
    (R::AliasesWithoutStateKey, ["4.1", "4.1", "", "", "", "", "", ""]),
    (R::AliasesStateKeyDomain, ["4.2", "4.2", "", "", "", "", "", ""]),
    (R::MemberIncomplete, ["5.1", "5.1", "4.1", "4.1", "4.1", "4.1", "4.1", "5.1"]),
    (R::MemberAuthorisingSignature, ["", "", "", "", "4.2.1", "4.2.1", "4.2.1", "5.2.1"]),
    (R::JoinSenderNotTarget, ["5.2.2", "5.2.2", "4.2.2", "4.2.2", "4.3.2", "4.3.2", "4.3.2", "5.3.2"]),
    (R::JoinBanned, ["5.2.3", "5.2.3", "4.2.3", "4.2.3", "4.3.3", "4.3.3", "4.3.3", "5.3.3"]),
    (R::JoinNotAuthorised, ["", "", "", "", "4.3.5.2", "4.3.5.2", "4.3.5.2", "5.3.5.2"]),
    (R::JoinNotAllowed, ["5.2.6", "5.2.6", "4.2.6", "4.2.6", "4.3.7", "4.3.7", "4.3.7", "5.3.7"]),
    (R::ThirdPartyInviteBanned, ["5.3.1.1", "5.3.1.1", "4.3.1.1", "4.3.1.1", "4.4.1.1", "4.4.1.1", "4.4.1.1", "5.4.1.1"]),
    (R::ThirdPartyInviteNotSigned, ["5.3.1.2", "5.3.1.2", "4.3.1.2", "4.3.1.2", "4.4.1.2", "4.4.1.2", "4.4.1.2", "5.4.1.2"]),
    (R::ThirdPartyInviteIncomplete, ["5.3.1.3", "5.3.1.3", "4.3.1.3", "4.3.1.3", "4.4.1.3", "4.4.1.3", "4.4.1.3", "5.4.1.3"]),
    (R::ThirdPartyInviteOtherUser, ["5.3.1.4", "5.3.1.4", "4.3.1.4", "4.3.1.4", "4.4.1.4", "4.4.1.4", "4.4.1.4", "5.4.1.4"]),
    (R::ThirdPartyInviteUnknownToken, ["5.3.1.5", "5.3.1.5", "4.3.1.5", "4.3.1.5", "4.4.1.5", "4.4.1.5", "4.4.1.5", "5.4.1.5"]),
    (R::ThirdPartyInviteOtherSender, ["5.3.1.6", "5.3.1.6", "4.3.1.6", "4.3.1.6", "4.4.1.6", "4.4.1.6", "4.4.1.6", "5.4.1.6"]),
    (R::ThirdPartyInviteSignature, ["5.3.1.8", "5.3.1.8", "4.3.1.8", "4.3.1.8", "4.4.1.8", "4.4.1.8", "4.4.1.8", "5.4.1.8"]),
    (R::InviteSenderNotJoined, ["5.3.2", "5.3.2", "4.3.2", "4.3.2", "4.4.2", "4.4.2", "4.4.2", "5.4.2"]),
    (R::InviteTargetJoinedOrBanned, ["5.3.3", "5.3.3", "4.3.3", "4.3.3", "4.4.3", "4.4.3", "4.4.3", "5.4.3"]),
    (R::InvitePower, ["5.3.5", "5.3.5", "4.3.5", "4.3.5", "4.4.5", "4.4.5", "4.4.5", "5.4.5"]),
    (R::LeaveNotInRoom, ["5.4.1", "5.4.1", "4.4.1", "4.4.1", "4.5.1", "4.5.1", "4.5.1", "5.5.1"]),
    (R::KickSenderNotJoined, ["5.4.2", "5.4.2", "4.4.2", "4.4.2", "4.5.2", "4.5.2", "4.5.2", "5.5.2"]),
    (R::UnbanPower, ["5.4.3", "5.4.3", "4.4.3", "4.4.3", "4.5.3", "4.5.3", "4.5.3", "5.5.3"]),
    (R::KickPower, ["5.4.5", "5.4.5", "4.4.5", "4.4.5", "4.5.5", "4.5.5", "4.5.5", "5.5.5"]),
    (R::BanSenderNotJoined, ["5.5.1", "5.5.1", "4.5.1", "4.5.1", "4.6.1", "4.6.1", "4.6.1", "5.6.1"]),
    (R::BanPower, ["5.5.3", "5.5.3", "4.5.3", "4.5.3", "4.6.3", "4.6.3", "4.6.3", "5.6.3"]),
    (R::KnockNotAllowed, ["", "", "", "4.6.1", "4.7.1", "4.7.1", "4.7.1", "5.7.1"]),
    (R::KnockSenderNotTarget, ["", "", "", "4.6.2", "4.7.2", "4.7.2", "4.7.2", "5.7.2"]),
    (R::KnockMembership, ["", "", "", "4.6.4", "4.7.4", "4.7.4", "4.7.4", "5.7.4"]),
    (R::MembershipUnknown, ["5.6", "5.6", "4.6", "4.7", "4.8", "4.8", "4.8", "5.8"]),
    (R::SenderNotJoined, ["6", "6", "5", "5", "5", "5", "5", "6"]),
    (R::ThirdPartyInvitePower, ["7.1", "7.1", "6.1", "6.1", "6.1", "6.1", "6.1", "7.1"]),
    (R::RequiredPower, ["8", "8", "7", "7", "7", "7", "7", "8"]),
    (R::StateKeyOtherUser, ["9", "9", "8", "8", "8", "8", "8", "9"]),
    (R::PowerLevelsProperty, ["10.1", "10.1", "9.1", "9.1", "9.1", "9.1", "9.1", "10.1"]),
    (R::PowerLevelsMap, ["10.1", "10.1", "9.1", "9.1", "9.1", "9.2", "9.2", "10.2"]),
    (R::PowerLevelsUsers, ["10.1", "10.1", "9.1", "9.1", "9.1", "9.3", "9.3", "10.3"]),
    (R::PowerLevelsCreator, ["", "", "", "", "", "", "", "10.4"]),
    (R::PropertyCurrent, ["10.3.1", "10.3.1", "9.3.1", "9.3.1", "9.3.1", "9.5.1", "9.5.1", "10.6.1"]),
    (R::PropertyNew, ["10.3.2", "10.3.2", "9.3.2", "9.3.2", "9.3.2", "9.5.2", "9.5.2", "10.6.2"]),
    (R::EntryCurrent, ["10.4.1", "10.4.1", "9.4.1", "9.4.1", "9.4.1", "9.6.1", "9.6.1", "10.7.1"]),
    (R::EntryNew, ["10.5.1", "10.5.1", "9.5.1", "9.5.1", "9.5.1", "9.7.1", "9.7.1", "10.8.1"]),
    (R::UserCurrent, ["10.6.1", "10.6.1", "9.6.1", "9.6.1", "9.6.1", "9.8.1", "9.8.1", "10.9.1"]),
    (R::UserNew, ["10.7.1", "10.7.1", "9.7.1", "9.7.1", "9.7.1", "9.9.1", "9.9.1", "10.10.1"]),
    (R::RedactionNotAllowed, ["11.3", "", "", "", "", "", "", ""]),
];

/// The list of rules that each version has.
const LIST_OF_VERSION: [usize; 12] = [0, 0, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7];

#[test]
fn every_rule_has_the_number_that_the_page_of_the_version_gives_it() {
    for (rule, numbers) in TABLE {
        for (index, list) in LIST_OF_VERSION.iter().enumerate() {
            let number = rule.number(version(index + 1)).map(|number| number.to_string());
            assert_eq!(number.unwrap_or_default(), numbers[*list], "{rule:?} in {}", index + 1);
        }
    }
}

#[test]
fn table_of_numbers_has_every_rule_once() {
    let rules: Vec<R> = TABLE.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, R::ALL);
}
