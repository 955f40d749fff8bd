//! `POST /keys/claim`: each one-time key is handed out at most once.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::encryption::{
    CLAIMED_KEYS, FALLBACK_KEYS, ONE_TIME_KEY_COUNTS, ONE_TIME_KEY_IDS, ONE_TIME_KEYS, OneTimeKeyCountsRow,
    OneTimeKeyIdRow,
};
use freehold_store::{Actor, Batch, DeviceNumber, Order, ReadError, Snapshot, Tenant, UserNumber};
use futures_util::future::try_join_all;
use ruma_common::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::devices::device_number;
use crate::failure::Failure;
use crate::one_time_keys::of_algorithm;
use crate::patience::Patience;
use crate::service::{ATTEMPTS, Encryption, Reached};

/// Wanted keys: the algorithm by user and device.
pub type WantedKeys = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>;

/// Keys that were claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedKeys {
    /// Servers that could not be asked.
    pub failures: BTreeSet<OwnedServerName>,
    /// By user and device: `<algorithm>:<key_id>` and the key as JSON.
    pub one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, (String, String)>>,
}

/// How many claims of a request are committed together.
const TOGETHER: usize = 64;

struct Claim {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    device: DeviceNumber,
    algorithm: String,
}

impl Encryption {
    /// Claims keys: one-time keys in the order in which they were uploaded, then the fallback key.
    /// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim>
    ///
    /// # Errors
    /// [`Failure`]; keys that were claimed by then are lost.
    pub async fn claim_keys(
        &self,
        actor: &Actor,
        wanted: &WantedKeys,
        patience: Patience,
    ) -> Result<ClaimedKeys, Failure> {
        let deadline = self.deadline(patience);
        let mut claimed = ClaimedKeys::default();
        let mut elsewhere = BTreeMap::new();
        let claims = self.claims(actor, wanted, &mut elsewhere).await?;
        self.claim_all(claims, &mut claimed).await?;
        self.claim_elsewhere((actor, deadline), elsewhere, &mut claimed).await;
        Ok(claimed)
    }

    /// Claims keys of users of a tenant for another server
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim>). Users of others are left out.
    ///
    /// # Errors
    /// [`Failure`]; keys that were claimed by then are lost.
    pub async fn claim_keys_for_server(
        &self,
        tenant: &Tenant,
        wanted: &WantedKeys,
    ) -> Result<ClaimedKeys, Failure> {
        let snapshot = self.snapshot()?;
        let mut claims = Vec::new();
        for (user_id, devices) in wanted.iter().filter(|(user_id, _)| tenant.owns(user_id)) {
            if let Some(user) = snapshot.number_of(user_id).await? {
                add_claims(&snapshot, (user_id, user), devices, &mut claims).await?;
            }
        }
        let mut claimed = ClaimedKeys::default();
        self.claim_all(claims, &mut claimed).await?;
        Ok(claimed)
    }

    async fn claim_all(&self, claims: Vec<Claim>, claimed: &mut ClaimedKeys) -> Result<(), Failure> {
        for together in claims.chunks(TOGETHER) {
            let keys = try_join_all(together.iter().map(|claim| self.claim(claim))).await?;
            for (claim, key) in together.iter().zip(keys) {
                let Some(key) = key else { continue };
                let of_user = claimed.one_time_keys.entry(claim.user_id.clone()).or_default();
                of_user.insert(claim.device_id.clone(), key);
            }
        }
        Ok(())
    }

    /// The wanted keys of devices that exist; those of users of other servers are put apart, by server.
    async fn claims(
        &self,
        actor: &Actor,
        wanted: &WantedKeys,
        elsewhere: &mut BTreeMap<OwnedServerName, WantedKeys>,
    ) -> Result<Vec<Claim>, Failure> {
        let snapshot = self.snapshot()?;
        let mut claims = Vec::new();
        for (user_id, devices) in wanted {
            let user = match self.reachable_user(&snapshot, actor, user_id).await? {
                Reached::Server { user: Some(user), .. } => user,
                Reached::Server { user: None, .. } => continue,
                Reached::Unreachable => {
                    let of_server = elsewhere.entry(user_id.server_name().to_owned()).or_default();
                    of_server.insert(user_id.clone(), devices.clone());
                    continue;
                }
            };
            add_claims(&snapshot, (user_id, user), devices, &mut claims).await?;
        }
        Ok(claims)
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<(String, String)>, Failure> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot()?;
            let mut batch = Batch::new();
            let key = match self.take_one_time_key(&snapshot, claim, &mut batch).await? {
                Some(key) => Some(key),
                None => use_fallback_key(&snapshot, claim, &mut batch).await?,
            };
            if batch.is_empty() || self.commit(batch).await?.is_some() {
                return Ok(key);
            }
        }
        Err(Failure::Busy(ATTEMPTS))
    }

    /// Adds the change by which the oldest one-time key goes.
    async fn take_one_time_key(
        &self,
        snapshot: &Snapshot,
        Claim { device, algorithm, .. }: &Claim,
        batch: &mut Batch,
    ) -> Result<Option<(String, String)>, Failure> {
        let oldest = snapshot
            .scan_prefix(&ONE_TIME_KEYS, &(*device, algorithm.clone()), Order::Ascending, 1)
            .await?
            .pop();
        let Some((place, key)) = oldest else { return Ok(None) };
        let before = self.count_row(snapshot, *device).await?;
        let mut row = before.clone().unwrap_or_default();
        batch.expect_unchanged(&ONE_TIME_KEY_COUNTS, device, before.as_ref());
        batch.delete(&ONE_TIME_KEYS, &place);
        let key_id = place.3;
        let id = (*device, algorithm.clone(), key_id.clone());
        if let Some(known) = snapshot.get(&ONE_TIME_KEY_IDS, &id).await? {
            batch.put(&ONE_TIME_KEY_IDS, &id, &OneTimeKeyIdRow { unclaimed: None, ..known });
        }
        let (_, claimed_algorithm, claimed_id) = id;
        let claimed_device = *device;
        batch.at_position(move |position, writes| {
            writes.put(&CLAIMED_KEYS, &(claimed_device, claimed_algorithm, position, claimed_id), &());
        });
        let counts = of_algorithm(&mut row, algorithm);
        counts.unclaimed = counts.unclaimed.saturating_sub(1);
        counts.remembered += 1;
        self.forget_claimed(snapshot, (*device, algorithm), &mut row, batch).await?;
        row.revision += 1;
        batch.put(&ONE_TIME_KEY_COUNTS, device, &row);
        Ok(Some((format!("{algorithm}:{key_id}"), key)))
    }

    /// Adds the change by which the key that was claimed longest ago is forgotten, if too many are remembered.
    async fn forget_claimed(
        &self,
        snapshot: &Snapshot,
        (device, algorithm): (DeviceNumber, &str),
        row: &mut OneTimeKeyCountsRow,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let counts = of_algorithm(row, algorithm);
        if counts.remembered <= self.0.limits.claimed_keys_remembered {
            return Ok(());
        }
        let prefix = (device, algorithm.to_owned());
        let oldest = snapshot.scan_prefix(&CLAIMED_KEYS, &prefix, Order::Ascending, 1).await?;
        for (place, ()) in oldest {
            counts.remembered -= 1;
            batch.delete(&CLAIMED_KEYS, &place);
            let id = (device, algorithm.to_owned(), place.3);
            let known = snapshot.get(&ONE_TIME_KEY_IDS, &id).await?;
            // Another key may have been uploaded under the id since.
            if known.is_some_and(|known| known.unclaimed.is_none()) {
                batch.delete(&ONE_TIME_KEY_IDS, &id);
            }
        }
        Ok(())
    }
}

/// Adds what is wanted of the devices of a user, as far as they exist.
async fn add_claims(
    snapshot: &Snapshot,
    (user_id, user): (&OwnedUserId, UserNumber),
    devices: &BTreeMap<OwnedDeviceId, String>,
    claims: &mut Vec<Claim>,
) -> Result<(), ReadError> {
    for (device_id, algorithm) in devices {
        let Some(device) = device_number(snapshot, user, device_id).await? else { continue };
        let (user_id, device_id) = (user_id.clone(), device_id.clone());
        claims.push(Claim { user_id, device_id, device, algorithm: algorithm.clone() });
    }
    Ok(())
}

/// The fallback key; adds the change by which it counts as used.
async fn use_fallback_key(
    snapshot: &Snapshot,
    Claim { device, algorithm, .. }: &Claim,
    batch: &mut Batch,
) -> Result<Option<(String, String)>, Failure> {
    let place = (*device, algorithm.clone());
    let Some(mut row) = snapshot.get(&FALLBACK_KEYS, &place).await? else { return Ok(None) };
    let name = format!("{algorithm}:{}", row.key_id);
    let key = row.key.clone();
    if !row.used {
        batch.expect_unchanged(&FALLBACK_KEYS, &place, Some(&row));
        row.used = true;
        batch.put(&FALLBACK_KEYS, &place, &row);
    }
    Ok(Some((name, key)))
}
