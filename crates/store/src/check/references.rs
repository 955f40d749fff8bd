//! Every row to which another refers is there: a list of what each table refers to.

use std::collections::BTreeMap;

use freehold_state_map::{NodeId, StateMap};

use super::targets::{Claims, Referring, Target};
use super::{Finding, PAGE, TableReport, after};
use crate::engine::Bytes;
use crate::number::TenantNumber;
use crate::store::{ReadError, Snapshot};
use crate::table::TableId;
use crate::tables::accounts::{self, TokenKind};
use crate::tables::media::{self, MediaContent};
use crate::tables::rooms::{self, Standing};
use crate::tables::{encryption, identity, outbound, receipts, tenancy};

/// Looks whether every row to which another refers is there. Rows that cannot be read are left to
/// [`super::check_rows`].
///
/// # Errors
/// [`ReadError`] when the engine fails.
pub async fn check_references(snapshot: &Snapshot) -> Result<Vec<TableReport>, ReadError> {
    let mut reports = Vec::new();
    let groups = [of_rooms(), of_members(), of_tenants(), of_accounts(), of_devices(), of_others()];
    for table in groups.into_iter().flatten() {
        reports.push(check_table(snapshot, &table).await?);
    }
    Ok(reports)
}

async fn check_table(snapshot: &Snapshot, table: &Referring) -> Result<TableReport, ReadError> {
    let mut report = TableReport { name: table.name, ..TableReport::default() };
    let mut start = Vec::new();
    loop {
        let rows = snapshot.scan_bytes(table.id, start, PAGE).await?;
        let Some((last, _)) = rows.last() else { return Ok(report) };
        start = after(last);
        let mut wanted: Vec<(Bytes, Target)> = Vec::new();
        for (key, row) in rows {
            report.rows += 1;
            let Some(claims) = table.claims(&key, &row) else { continue };
            if let Some(what) = claims.misfiled {
                report.add(key.clone(), Finding::Misfiled(what));
            }
            wanted.extend(claims.targets.into_iter().map(|target| (key.clone(), target)));
        }
        for (key, name) in missing(snapshot, wanted).await? {
            report.add(key, Finding::Dangling { table: name });
        }
    }
}

/// Keys of rows, and the name of the table that each refers to.
type Referrers = Vec<(Bytes, &'static str)>;

/// Who refers to what is not there.
async fn missing(snapshot: &Snapshot, wanted: Vec<(Bytes, Target)>) -> Result<Referrers, ReadError> {
    let mut by_table: BTreeMap<TableId, BTreeMap<Bytes, Referrers>> = BTreeMap::new();
    for (from, target) in wanted {
        let found = by_table.entry(target.table).or_default().entry(target.key).or_default();
        found.push((from, target.name));
    }
    let mut missing = Vec::new();
    for (table, wanted) in by_table {
        let keys: Vec<Bytes> = wanted.keys().cloned().collect();
        let present = snapshot.are_present(table, &keys).await?;
        let absent = wanted.into_values().zip(present).filter(|(_, present)| !present);
        missing.extend(absent.flat_map(|(from, _)| from));
    }
    missing.sort();
    Ok(missing)
}

fn of_rooms() -> Vec<Referring> {
    vec![
        Referring::new(&rooms::ROOMS, |room, row, claims| {
            claims.to(&identity::ROOM_IDS, room);
            claims.to(&rooms::EVENTS, &row.create);
            claims.to(&rooms::CURRENT_STATE, room);
        }),
        Referring::new(&rooms::EVENTS, event),
        Referring::new(&rooms::EVENT_JSON, |event, _, claims| claims.to(&rooms::EVENTS, event)),
        Referring::new(&rooms::TIMELINE, |_, event, claims| claims.to(&rooms::EVENTS, event)),
        Referring::new(&rooms::CURRENT_STATE, |room, row, claims| {
            claims.to(&rooms::ROOMS, room);
            to_state(row.state, claims);
            row.forward_extremities.iter().for_each(|event| claims.to(&rooms::EVENTS, event));
        }),
        Referring::new(&rooms::STATE_HISTORY, |(room, _), root, claims| {
            claims.to(&rooms::ROOMS, room);
            to_state(*root, claims);
        }),
        Referring::new(&rooms::STATE_NODES, |id, bytes, claims| {
            claims.must(NodeId::of(bytes) == NodeId::from_bytes(*id), "node of a state has another hash");
            match freehold_state_map::children(bytes) {
                Ok(children) => children.iter().for_each(|child| to_state(*child.as_bytes(), claims)),
                Err(_) => claims.must(false, "node of a state cannot be read"),
            }
        }),
        Referring::new(&rooms::RELATIONS, |(room, target, _), row, claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&identity::EVENT_IDS, target);
            claims.to(&identity::USER_IDS, &row.sender);
            claims.to(&rooms::EVENTS, &row.event);
        }),
        Referring::new(&rooms::SENT, |(_, room, _, _), event, claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&rooms::EVENTS, event);
        }),
        Referring::new(&rooms::ROOM_SERVERS, |(room, _), _, claims| claims.to(&rooms::ROOMS, room)),
        Referring::new(&rooms::FORMER_SERVERS, |(room, _), (), claims| claims.to(&rooms::ROOMS, room)),
        Referring::new(&rooms::OUTGOING, |_, row, claims| claims.to(&rooms::EVENTS, &row.event)),
        Referring::new(&outbound::LAST_MISSED, |_, row, claims| claims.to(&rooms::EVENTS, &row.event)),
        Referring::new(&rooms::MISSING_PREVS, |(_, _, event), (), claims| claims.to(&rooms::EVENTS, event)),
        Referring::new(&rooms::WAITING_REDACTIONS, |(room, _, event), (), claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&rooms::EVENTS, event);
        }),
        Referring::new(&rooms::PARTIAL_ROOMS, |room, row, claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&rooms::EVENTS, &row.join);
        }),
        Referring::new(&rooms::HELD_EVENTS, |(room, ..), _, claims| claims.to(&rooms::HELD, room)),
        Referring::new(&rooms::HELD, |room, _, claims| claims.to(&rooms::ROOMS, room)),
        Referring::new(&rooms::LACKING_ROOMS, |room, row, claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&rooms::EVENTS, &row.join);
        }),
        Referring::new(&rooms::LACKING_EVENTS, |(room, _), _, claims| claims.to(&rooms::LACKING_ROOMS, room)),
        Referring::new(&rooms::FORGOTTEN, |event, (), claims| claims.to(&rooms::EVENTS, event)),
    ]
}

fn event(number: &crate::EventNumber, row: &rooms::EventRow, claims: &mut Claims) {
    claims.to(&identity::EVENT_IDS, number);
    claims.to(&rooms::EVENT_JSON, number);
    claims.to(&identity::ROOM_IDS, &row.room);
    claims.to(&identity::USER_IDS, &row.sender);
    row.state_key.iter().for_each(|key| claims.to(&identity::STATE_KEYS, key));
    row.state_before.iter().for_each(|root| to_state(*root, claims));
    row.redacted_by.iter().for_each(|redaction| claims.to(&rooms::EVENTS, redaction));
    row.prev_events.iter().for_each(|event| claims.to(&identity::EVENT_IDS, event));
    row.auth_events.iter().for_each(|event| claims.to(&identity::EVENT_IDS, event));
    // An outlier is kept for what it says; what allowed it may not be here.
    if row.standing != Standing::Outlier {
        row.auth_events.iter().for_each(|event| claims.to(&rooms::EVENTS, event));
    }
    row.timeline.iter().for_each(|index| claims.to(&rooms::TIMELINE, &(row.room, *index)));
}

/// The state without entries has no nodes.
fn to_state(root: [u8; NodeId::LEN], claims: &mut Claims) {
    if NodeId::from_bytes(root) != StateMap::new().root_id() {
        claims.to(&rooms::STATE_NODES, &root);
    }
}

fn of_members() -> Vec<Referring> {
    vec![
        Referring::new(&rooms::MEMBERSHIPS, |(user, room), row, claims| {
            claims.to(&identity::USER_IDS, user);
            claims.to(&identity::ROOM_IDS, room);
            // What is pending was said by other servers, of rooms that nobody here is in.
            if row.membership == rooms::Membership::Join {
                claims.to(&rooms::EVENTS, &row.event);
                claims.to(&rooms::LOCAL_MEMBERS, &(*room, row.tenant, *user));
            }
        }),
        Referring::new(&rooms::PENDING, |(user, room), _, claims| {
            claims.to(&rooms::MEMBERSHIPS, &(*user, *room));
        }),
        Referring::new(&rooms::LOCAL_MEMBERS, |(room, _, user), _, claims| {
            claims.to(&rooms::MEMBERSHIPS, &(*user, *room));
        }),
        Referring::new(&rooms::MEMBER_CHANGES, |(room, _, user), (), claims| {
            claims.to(&rooms::MEMBERSHIPS, &(*user, *room));
        }),
        Referring::new(&rooms::TENANT_ROOMS, |(_, room), (), claims| claims.to(&rooms::ROOMS, room)),
        Referring::new(&rooms::ALIASES, |_, row, claims| claims.to(&rooms::ROOMS, &row.room)),
        Referring::new(&rooms::ROOM_ALIASES, |(room, _, alias), (), claims| {
            claims.to(&rooms::ROOMS, room);
            claims.to(&rooms::ALIASES, alias);
        }),
        Referring::new(&rooms::DIRECTORY, |(_, room), (), claims| claims.to(&rooms::ROOMS, room)),
        Referring::new(&receipts::RECEIPTS, |(room, told, user, kind, thread), row, claims| {
            claims.to(&identity::USER_IDS, user);
            let change = (*room, *told, row.since, *user, *kind, thread.clone());
            claims.to(&receipts::RECEIPT_CHANGES, &change);
        }),
        Referring::new(&receipts::RECEIPT_CHANGES, |(room, told, _, user, kind, thread), (), claims| {
            claims.to(&receipts::RECEIPTS, &(*room, *told, *user, *kind, thread.clone()));
        }),
    ]
}

fn of_tenants() -> Vec<Referring> {
    vec![
        Referring::new(&tenancy::TENANTS, |_, row, claims| {
            claims.to(&tenancy::TENANT_NUMBERS, &row.server_name);
        }),
        Referring::new(&tenancy::TENANT_NUMBERS, |_, tenant, claims| to_tenant(*tenant, claims)),
        Referring::new(&tenancy::HOSTNAMES, |_, tenant, claims| to_tenant(*tenant, claims)),
        Referring::new(&tenancy::POLICIES, |tenant, _, claims| to_tenant(*tenant, claims)),
        Referring::new(&tenancy::PROOFS, |tenant, _, claims| to_tenant(*tenant, claims)),
        Referring::new(&tenancy::AUDIT, |(tenant, _), _, claims| {
            tenant.iter().for_each(|tenant| to_tenant(*tenant, claims));
        }),
        Referring::new(&media::MEDIA, |(tenant, media_id), row, claims| {
            to_tenant(*tenant, claims);
            match &row.content {
                MediaContent::Stored(stored) => claims.to(&media::BLOBS, &stored.blob),
                MediaContent::Pending { expires_ts } => {
                    let key = (*tenant, row.uploader, *expires_ts, media_id.clone());
                    claims.to(&media::PENDING_MEDIA, &key);
                }
            }
        }),
        Referring::new(&media::PENDING_MEDIA, |(tenant, _, _, media_id), (), claims| {
            claims.to(&media::MEDIA, &(*tenant, media_id.clone()));
        }),
        Referring::new(&media::OTHERS_MEDIA, |(tenant, server, media_id), row, claims| {
            to_tenant(*tenant, claims);
            claims.to(&media::BLOBS, &row.file.blob);
            let key = (*tenant, row.used_ts, server.clone(), media_id.clone());
            claims.to(&media::OTHERS_MEDIA_USED, &key);
        }),
        Referring::new(&media::OTHERS_MEDIA_USED, |(tenant, _, server, media_id), (), claims| {
            claims.to(&media::OTHERS_MEDIA, &(*tenant, server.clone(), media_id.clone()));
        }),
    ]
}

fn to_tenant(tenant: TenantNumber, claims: &mut Claims) {
    claims.to(&tenancy::TENANTS, &tenant);
}

fn of_accounts() -> Vec<Referring> {
    vec![
        Referring::new(&accounts::ACCOUNTS, |user, row, claims| {
            claims.to(&identity::USER_IDS, user);
            claims.to(&accounts::TENANT_ACCOUNTS, &(row.tenant, *user));
        }),
        Referring::new(&accounts::TENANT_ACCOUNTS, |(_, user), (), claims| {
            claims.to(&accounts::ACCOUNTS, user);
        }),
        Referring::new(&accounts::LOGIN_TOKENS, |hash, row, claims| {
            claims.to(&accounts::EXPIRIES, &(row.expires_ts, *hash));
        }),
        Referring::new(&accounts::OPENID_TOKENS, |hash, row, claims| {
            claims.to(&accounts::EXPIRIES, &(row.expires_ts, *hash));
        }),
        Referring::new(&accounts::ACCOUNT_DATA, |(user, room, event_type), row, claims| {
            claims.to(&identity::USER_IDS, user);
            room.iter().for_each(|room| claims.to(&identity::ROOM_IDS, room));
            claims.to(&accounts::ACCOUNT_DATA_CHANGES, &(*user, row.changed, *room, event_type.clone()));
        }),
        Referring::new(&accounts::ACCOUNT_DATA_CHANGES, |(user, _, room, event_type), (), claims| {
            claims.to(&accounts::ACCOUNT_DATA, &(*user, *room, event_type.clone()));
        }),
        Referring::new(&accounts::ERASED, |user, _, claims| claims.to(&accounts::ACCOUNTS, user)),
        Referring::new(&accounts::FILTERS, |(user, _), _, claims| claims.to(&identity::USER_IDS, user)),
        Referring::new(&accounts::PUSH_RULES, |user, _, claims| claims.to(&identity::USER_IDS, user)),
        Referring::new(&accounts::PROFILES, |user, _, claims| claims.to(&identity::USER_IDS, user)),
        Referring::new(&accounts::MEMBER_JOBS, |user, _, claims| claims.to(&identity::USER_IDS, user)),
        Referring::new(&accounts::REGISTRATION_TOKENS, |(tenant, _), _, claims| to_tenant(*tenant, claims)),
    ]
}

fn of_devices() -> Vec<Referring> {
    vec![
        Referring::new(&accounts::DEVICE_NUMBERS, |_, device, claims| claims.to(&accounts::DEVICES, device)),
        Referring::new(&accounts::DEVICES, |_, row, claims| {
            claims.to(&accounts::DEVICE_NUMBERS, &(row.user, row.device_id.clone()));
            claims.to(&accounts::ACCOUNTS, &row.user);
        }),
        Referring::new(&accounts::ACCESS_TOKENS, |hash, row, claims| {
            claims.to(&accounts::DEVICES, &row.device);
            claims.to(&accounts::DEVICE_TOKENS, &(row.device, *hash));
        }),
        Referring::new(&accounts::REFRESH_TOKENS, |hash, row, claims| {
            claims.to(&accounts::DEVICES, &row.device);
            claims.to(&accounts::DEVICE_TOKENS, &(row.device, *hash));
        }),
        Referring::new(&accounts::DEVICE_TOKENS, |(_, hash), kind, claims| match kind {
            TokenKind::Refresh => claims.to(&accounts::REFRESH_TOKENS, hash),
            _ => claims.to(&accounts::ACCESS_TOKENS, hash),
        }),
        Referring::new(&encryption::TO_DEVICE, |(device, _), _, claims| {
            claims.to(&accounts::DEVICES, device);
        }),
        Referring::new(&encryption::TO_DEVICE_SENT, |(device, kind, transaction), ts, claims| {
            let age = (*device, *ts, kind.clone(), transaction.clone());
            claims.to(&encryption::TO_DEVICE_SENT_AGES, &age);
        }),
        Referring::new(&encryption::TO_DEVICE_SENT_AGES, |(device, _, kind, transaction), (), claims| {
            claims.to(&encryption::TO_DEVICE_SENT, &(*device, kind.clone(), transaction.clone()));
        }),
        Referring::new(&encryption::DEVICE_KEYS, |(user, device_id), row, claims| {
            claims.to(&accounts::DEVICE_NUMBERS, &(*user, device_id.clone()));
            claims.to(&accounts::DEVICES, &row.device);
        }),
    ]
}

fn of_others() -> Vec<Referring> {
    vec![
        Referring::new(&encryption::ONE_TIME_KEYS, |(device, algorithm, _, key_id), _, claims| {
            let key = (*device, algorithm.clone(), key_id.clone());
            claims.to(&encryption::ONE_TIME_KEY_IDS, &key);
            claims.to(&encryption::ONE_TIME_KEY_COUNTS, device);
        }),
        Referring::new(&encryption::CLAIMED_KEYS, |(device, algorithm, _, key_id), (), claims| {
            let key = (*device, algorithm.clone(), key_id.clone());
            claims.to(&encryption::ONE_TIME_KEY_IDS, &key);
        }),
        Referring::new(&encryption::CROSS_SIGNING_KEYS, |(user, _), _, claims| {
            claims.to(&identity::USER_IDS, user);
        }),
        Referring::new(&encryption::KEY_SIGNATURES, |(user, _, signer, _), _, claims| {
            claims.to(&identity::USER_IDS, user);
            claims.to(&identity::USER_IDS, signer);
        }),
        Referring::new(&encryption::DEVICE_LISTS, |user, position, claims| {
            claims.to(&encryption::DEVICE_LIST_CHANGES, &(*position, *user));
        }),
        Referring::new(&encryption::DEVICE_LIST_CHANGES, |(_, user), (), claims| {
            claims.to(&encryption::DEVICE_LISTS, user);
        }),
        Referring::new(&encryption::FOREIGN_LISTS_TOLD, |(tenant, user), position, claims| {
            claims.to(&encryption::FOREIGN_LIST_CHANGES, &(*tenant, *position, *user));
        }),
        Referring::new(&encryption::FOREIGN_LIST_CHANGES, |(tenant, _, user), (), claims| {
            claims.to(&encryption::FOREIGN_LISTS_TOLD, &(*tenant, *user));
        }),
        Referring::new(&encryption::BACKED_UP_KEYS, |(user, version, _, _), _, claims| {
            claims.to(&encryption::BACKUP_VERSIONS, &(*user, *version));
        }),
    ]
}
