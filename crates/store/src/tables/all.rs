//! All tables, for what looks at a store as a whole: checks, backups, reports.

use super::{
    MIGRATING, SCHEMA, accounts, encryption, federation, identity, media, outbound, receipts, rooms, tenancy,
};
use crate::table::AnyTable;

/// Every table, by subject. A new table is added here; a test finds what is missing.
pub const ALL: &[AnyTable] = &[
    SCHEMA.any(),
    MIGRATING.any(),
    identity::USER_NUMBERS.any(),
    identity::USER_IDS.any(),
    identity::ROOM_NUMBERS.any(),
    identity::ROOM_IDS.any(),
    identity::EVENT_NUMBERS.any(),
    identity::EVENT_IDS.any(),
    identity::STATE_KEY_NUMBERS.any(),
    identity::STATE_KEYS.any(),
    identity::COUNTERS.any(),
    rooms::ROOMS.any(),
    rooms::EVENTS.any(),
    rooms::EVENT_JSON.any(),
    rooms::TIMELINE.any(),
    rooms::CURRENT_STATE.any(),
    rooms::STATE_NODES.any(),
    rooms::MEMBERSHIPS.any(),
    rooms::LOCAL_MEMBERS.any(),
    rooms::RELATIONS.any(),
    rooms::ALIASES.any(),
    rooms::ROOM_ALIASES.any(),
    rooms::DIRECTORY.any(),
    rooms::SENT.any(),
    rooms::STATE_HISTORY.any(),
    rooms::WAITING_REDACTIONS.any(),
    rooms::ROOM_SERVERS.any(),
    rooms::FORMER_SERVERS.any(),
    rooms::OUTGOING.any(),
    rooms::MISSING_PREVS.any(),
    rooms::FORGOTTEN.any(),
    rooms::UNERASED.any(),
    rooms::PARTIAL_ROOMS.any(),
    rooms::HELD_EVENTS.any(),
    rooms::HELD.any(),
    rooms::LACKING_ROOMS.any(),
    rooms::LACKING_EVENTS.any(),
    rooms::MEMBER_CHANGES.any(),
    rooms::TENANT_ROOMS.any(),
    rooms::PENDING.any(),
    tenancy::TENANTS.any(),
    tenancy::TENANT_NUMBERS.any(),
    tenancy::HOSTNAMES.any(),
    tenancy::POLICIES.any(),
    tenancy::PROOFS.any(),
    tenancy::AUDIT.any(),
    tenancy::OPERATOR_TOKENS.any(),
    accounts::ACCOUNTS.any(),
    accounts::TENANT_ACCOUNTS.any(),
    accounts::DEVICE_NUMBERS.any(),
    accounts::DEVICES.any(),
    accounts::DEVICE_SEEN.any(),
    accounts::ACCESS_TOKENS.any(),
    accounts::REFRESH_TOKENS.any(),
    accounts::DEVICE_TOKENS.any(),
    accounts::LOGIN_TOKENS.any(),
    accounts::OPENID_TOKENS.any(),
    accounts::EXPIRIES.any(),
    accounts::REGISTRATION_TOKENS.any(),
    accounts::PROFILES.any(),
    accounts::MEMBER_JOBS.any(),
    accounts::ACCOUNT_DATA.any(),
    accounts::ACCOUNT_DATA_CHANGES.any(),
    accounts::FILTERS.any(),
    accounts::PUSH_RULES.any(),
    accounts::ACCEPTED_TERMS.any(),
    accounts::ERASED.any(),
    accounts::INVITATIONS.any(),
    encryption::DEVICE_KEYS.any(),
    encryption::CROSS_SIGNING_KEYS.any(),
    encryption::KEY_SIGNATURES.any(),
    encryption::ONE_TIME_KEYS.any(),
    encryption::ONE_TIME_KEY_IDS.any(),
    encryption::CLAIMED_KEYS.any(),
    encryption::ONE_TIME_KEY_COUNTS.any(),
    encryption::FALLBACK_KEYS.any(),
    encryption::DEVICE_LISTS.any(),
    encryption::DEVICE_LIST_CHANGES.any(),
    encryption::TO_DEVICE.any(),
    encryption::TO_DEVICE_SENT.any(),
    encryption::TO_DEVICE_SENT_AGES.any(),
    encryption::BACKUP_VERSIONS.any(),
    encryption::BACKED_UP_KEYS.any(),
    encryption::SIGNED_USERS.any(),
    encryption::TO_DEVICE_RECEIVED.any(),
    encryption::TO_DEVICE_RECEIVED_AGES.any(),
    encryption::FOREIGN_DEVICE_LISTS.any(),
    encryption::FOREIGN_LISTS_TOLD.any(),
    encryption::FOREIGN_LIST_CHANGES.any(),
    encryption::DEVICE_LIST_UPDATES.any(),
    federation::REMOTE_KEYS.any(),
    federation::SERVER_HEALTH.any(),
    outbound::HANDED_OVER.any(),
    outbound::BEHIND.any(),
    outbound::OUTGOING_MESSAGES.any(),
    outbound::OUTGOING_DEVICE_LISTS.any(),
    outbound::OUTGOING_SIGNING_KEYS.any(),
    outbound::SENDING_MESSAGES.any(),
    outbound::WAITING_MESSAGES.any(),
    outbound::LAST_MISSED.any(),
    federation::TRANSACTIONS.any(),
    federation::TRANSACTION_AGES.any(),
    receipts::RECEIPTS.any(),
    receipts::RECEIPT_CHANGES.any(),
    media::MEDIA.any(),
    media::BLOBS.any(),
    media::MEDIA_USE.any(),
    media::PENDING_MEDIA.any(),
    media::OTHERS_MEDIA.any(),
    media::OTHERS_MEDIA_USED.any(),
    media::OTHERS_MEDIA_SUM.any(),
    media::QUARANTINED.any(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::table::TableId;

    #[test]
    fn numbers_and_names_are_given_once() {
        let numbers: BTreeSet<_> = ALL.iter().map(|table| table.id).collect();
        let names: BTreeSet<_> = ALL.iter().map(|table| table.name).collect();
        assert_eq!((numbers.len(), names.len()), (ALL.len(), ALL.len()));
        assert!(!numbers.contains(&TableId::ENGINE) && !numbers.contains(&TableId::EXAMPLE));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "reads the sources of the schema")]
    fn every_table_of_the_schema_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tables");
        let mut declared = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            declared += text
                .lines()
                .filter(|line| line.starts_with("pub const ") && line.contains(": Table<"))
                .count();
        }
        assert_eq!(declared, ALL.len(), "a table is declared and not listed, or the other way round");
    }
}
