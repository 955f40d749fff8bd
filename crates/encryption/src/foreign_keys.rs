//! Keys of users of other servers: from what is remembered, or from their servers. What those say of users who were not asked
//! for, or who are not theirs, is left out.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::encryption::{CrossSigningUse, ForeignDeviceListRow, KEY_SIGNATURES};
use freehold_store::{Actor, Order, ReadError, Snapshot, UserNumber};
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use ruma_common::{OwnedDeviceId, OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::claim::{ClaimedKeys, WantedKeys};
use crate::document::Document;
use crate::failure::Failure;
use crate::outside::NotAnswered;
use crate::patience::Deadline;
use crate::query::{QueriedKeys, WantedDevices};
use crate::service::Encryption;

/// How many servers are asked at the same time for one request.
const SERVERS_AT_ONCE: usize = 32;
/// How many lists of one server are fetched at the same time.
const LISTS_AT_ONCE: usize = 5;

/// The answer with the devices of a user.
#[derive(Deserialize)]
struct DevicesAnswer {
    user_id: OwnedUserId,
    stream_id: i64,
    devices: Vec<DeviceAnswer>,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct DeviceAnswer {
    device_id: OwnedDeviceId,
    keys: Box<RawValue>,
}

/// The answer to a question about keys.
#[derive(Deserialize)]
struct QueryAnswer {
    device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Box<RawValue>>>,
    #[serde(default)]
    master_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
    #[serde(default)]
    self_signing_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
}

/// The answer with claimed keys.
#[derive(Deserialize)]
struct ClaimAnswer {
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<String, Box<RawValue>>>>,
}

/// Who asks, what of the store is looked at, and until when they wait for other servers.
type Question<'q> = (&'q Snapshot, &'q Actor, Deadline);

/// The keys of users, by user.
type Lists = BTreeMap<OwnedUserId, ForeignDeviceListRow>;

impl Encryption {
    /// Adds the keys of users of other servers.
    pub(crate) async fn query_elsewhere(
        &self,
        question: Question<'_>,
        elsewhere: BTreeMap<OwnedServerName, WantedDevices>,
        keys: &mut QueriedKeys,
    ) -> Result<(), Failure> {
        let asked = iter(elsewhere.into_iter().map(|(server, wanted)| async move {
            let (lists, failed) = self.query_server(question, &server, &wanted).await?;
            Ok::<_, Failure>((server, wanted, lists, failed))
        }));
        let mut answers = asked.buffer_unordered(SERVERS_AT_ONCE);
        while let Some(answer) = answers.next().await {
            let (server, wanted, lists, failed) = answer?;
            if failed {
                keys.failures.insert(server);
            }
            for (user_id, list) in lists {
                let devices = wanted.get(&user_id).map(Vec::as_slice).unwrap_or_default();
                add_list(keys, (user_id, devices), list);
            }
        }
        drop(answers);
        let (snapshot, asker, _) = question;
        self.add_own_signatures(snapshot, asker, keys).await?;
        Ok(())
    }

    /// What is known or can be had of users of one server, and whether something could not be had.
    async fn query_server(
        &self,
        question: Question<'_>,
        server: &ServerName,
        wanted: &WantedDevices,
    ) -> Result<(Lists, bool), Failure> {
        let (mut lists, mut tracked, mut others) = (Lists::new(), Vec::new(), WantedDevices::new());
        for (user_id, devices) in wanted {
            match self.followed(question, user_id).await? {
                None => drop(others.insert(user_id.clone(), devices.clone())),
                Some((_, Some(list))) => drop(lists.insert(user_id.clone(), list)),
                Some((user, None)) => tracked.push((user_id.clone(), user)),
            }
        }
        let spare = tracked.split_off(tracked.len().min(self.0.limits.foreign_lists_fetched));
        let fetched = iter(tracked).map(|(user_id, user)| async move {
            let list = self.fetch_list(question, (&user_id, user)).await;
            (user_id, list)
        });
        let fetched: Vec<_> = fetched.buffer_unordered(LISTS_AT_ONCE).collect().await;
        for (user_id, list) in fetched {
            match list? {
                Some(list) => drop(lists.insert(user_id, list)),
                None => drop(others.insert(user_id, Vec::new())),
            }
        }
        others.extend(spare.into_iter().map(|(user_id, _)| (user_id, Vec::new())));
        if others.is_empty() {
            return Ok((lists, false));
        }
        match self.ask(question, server, &others).await {
            Ok(answered) => {
                lists.extend(answered);
                Ok((lists, false))
            }
            Err(NotAnswered) => Ok((lists, true)),
        }
    }

    /// A user with whom the asker shares a room, and their list, if it is known and all changes were told since. Their
    /// server tells of changes while a room is shared: what was known before may have changed unseen.
    async fn followed(
        &self,
        (snapshot, asker, _): Question<'_>,
        user_id: &OwnedUserId,
    ) -> Result<Option<(UserNumber, Option<ForeignDeviceListRow>)>, Failure> {
        let Some(user) = snapshot.number_of(user_id).await? else { return Ok(None) };
        let list = (asker.tenant.number(), user);
        let shares = |since| self.0.servers.shares_room(snapshot, asker.user, user_id, since);
        let known = match self.known_list(snapshot, list).await? {
            Some(list) if shares(Some(list.fetched_at)).await? => Some(list),
            _ if shares(None).await? => None,
            _ => return Ok(None),
        };
        self.0.watching.note(list, asker.user, self.0.limits.foreign_watchers);
        Ok(Some((user, known)))
    }

    /// The whole list of a user, which is remembered from now on; `None` if it cannot be had.
    async fn fetch_list(
        &self,
        (snapshot, asker, deadline): Question<'_>,
        (user_id, user): (&OwnedUserId, UserNumber),
    ) -> Result<Option<ForeignDeviceListRow>, Failure> {
        let Ok(within) = self.until(deadline) else { return Ok(None) };
        let answer = self.0.servers.devices(&asker.tenant, user_id, within).await;
        let Ok(answer) = answer else { return Ok(None) };
        let answer = serde_json::from_str(&answer).ok();
        let Some(answer) = answer.filter(|answer: &DevicesAnswer| answer.user_id == *user_id) else {
            return Ok(None);
        };
        let devices = answer.devices.into_iter().map(|device| (device.device_id, device.keys));
        let keys = (answer.master_key, answer.self_signing_key);
        let mut list = self.checked_list(user_id, devices, keys);
        list.stream_ids.push(answer.stream_id);
        list.complete = true;
        list.fetched_ts = self.0.clock.now_ts();
        list.fetched_at = snapshot.position();
        self.keep_list(snapshot, (asker.tenant.number(), user), &list).await?;
        Ok(Some(list))
    }

    async fn ask(
        &self,
        (_, asker, deadline): Question<'_>,
        server: &ServerName,
        wanted: &WantedDevices,
    ) -> Result<Lists, NotAnswered> {
        let body = json!({ "device_keys": wanted }).to_string();
        let within = self.until(deadline)?;
        let answer = self.0.servers.query_keys(&asker.tenant, server, body, within).await?;
        let mut answer: QueryAnswer = serde_json::from_str(&answer).map_err(|_| NotAnswered)?;
        let of_user = |user_id: &OwnedUserId| {
            let devices = answer.device_keys.remove(user_id).unwrap_or_default();
            let keys = (answer.master_keys.remove(user_id), answer.self_signing_keys.remove(user_id));
            (user_id.clone(), self.checked_list(user_id, devices, keys))
        };
        Ok(wanted.keys().map(of_user).collect())
    }

    /// What of an answer is about the user, in form.
    fn checked_list(
        &self,
        user_id: &UserId,
        devices: impl IntoIterator<Item = (OwnedDeviceId, Box<RawValue>)>,
        (master, self_signing): (Option<Box<RawValue>>, Option<Box<RawValue>>),
    ) -> ForeignDeviceListRow {
        let is_device =
            |(id, keys): &(OwnedDeviceId, Box<RawValue>)| self.is_device(keys.get(), user_id, id.as_str());
        let devices = devices.into_iter().filter(is_device);
        let key = |key: Option<Box<RawValue>>, key_use| {
            let key = key.filter(|key| self.is_cross_signing(key.get(), user_id, key_use));
            key.map(|key| key.get().to_owned())
        };
        ForeignDeviceListRow {
            devices: devices.map(|(id, keys)| (id.to_string(), keys.get().to_owned())).collect(),
            master_key: key(master, CrossSigningUse::Master),
            self_signing_key: key(self_signing, CrossSigningUse::SelfSigning),
            ..ForeignDeviceListRow::default()
        }
    }

    /// Adds the signatures by which the asker verified users of other servers.
    async fn add_own_signatures(
        &self,
        snapshot: &Snapshot,
        asker: &Actor,
        keys: &mut QueriedKeys,
    ) -> Result<(), ReadError> {
        for (user_id, text) in &mut keys.master_keys {
            if asker.tenant.owns(user_id)
                || self.0.servers.reach(&asker.tenant, user_id.server_name()).is_some()
            {
                continue;
            }
            let Some(user) = snapshot.number_of(user_id).await? else { continue };
            let Ok(document) = Document::parse(text, self.0.limits.key_bytes) else { continue };
            let public_key = document.keys().ok().and_then(|keys| Some(keys.first()?.1.to_owned()));
            let Some(public_key) = public_key else { continue };
            let prefix = (user, public_key, asker.user);
            let rows = snapshot.scan_prefix(&KEY_SIGNATURES, &prefix, Order::Ascending, usize::MAX).await?;
            let own = rows.into_iter().map(|((.., key_id), signature)| (key_id, signature));
            *text = document.with_more_signatures(&asker.user_id, own);
        }
        Ok(())
    }

    /// Adds keys of devices of other servers that could be claimed.
    pub(crate) async fn claim_elsewhere(
        &self,
        (actor, deadline): (&Actor, Deadline),
        elsewhere: BTreeMap<OwnedServerName, WantedKeys>,
        claimed: &mut ClaimedKeys,
    ) {
        let asked = iter(elsewhere.into_iter().map(|(server, wanted)| async move {
            let answer = self.claim_from((actor, deadline), &server, &wanted).await;
            (server, wanted, answer)
        }));
        let mut answers = asked.buffer_unordered(SERVERS_AT_ONCE);
        while let Some((server, wanted, answer)) = answers.next().await {
            match answer {
                Ok(answer) => self.add_claimed(wanted, answer, claimed),
                Err(NotAnswered) => drop(claimed.failures.insert(server)),
            }
        }
    }

    async fn claim_from(
        &self,
        (actor, deadline): (&Actor, Deadline),
        server: &ServerName,
        wanted: &WantedKeys,
    ) -> Result<ClaimAnswer, NotAnswered> {
        let body = json!({ "one_time_keys": wanted }).to_string();
        let within = self.until(deadline)?;
        let answer = self.0.servers.claim_keys(&actor.tenant, server, body, within).await?;
        serde_json::from_str(&answer).map_err(|_| NotAnswered)
    }

    fn add_claimed(&self, wanted: WantedKeys, mut answer: ClaimAnswer, claimed: &mut ClaimedKeys) {
        for (user_id, devices) in wanted {
            let mut of_user = answer.one_time_keys.remove(&user_id).unwrap_or_default();
            for (device_id, algorithm) in devices {
                let keys = of_user.remove(&device_id).unwrap_or_default();
                let of_algorithm = |key_id: &str| key_id.split(':').next() == Some(algorithm.as_str());
                let key = keys
                    .into_iter()
                    .find(|(key_id, key)| of_algorithm(key_id) && key.get().len() <= self.0.limits.key_bytes);
                if let Some((key_id, key)) = key {
                    let of_user = claimed.one_time_keys.entry(user_id.clone()).or_default();
                    of_user.insert(device_id, (key_id, key.get().to_owned()));
                }
            }
        }
    }
}

/// Adds what was asked for of a user's list.
fn add_list(
    keys: &mut QueriedKeys,
    (user_id, wanted): (OwnedUserId, &[OwnedDeviceId]),
    list: ForeignDeviceListRow,
) {
    let wanted: BTreeSet<&str> = wanted.iter().map(|device_id| device_id.as_str()).collect();
    let devices =
        list.devices.into_iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id.as_str()));
    let devices = devices.map(|(id, keys)| (OwnedDeviceId::from(id), keys)).collect();
    if let Some(key) = list.master_key {
        keys.master_keys.insert(user_id.clone(), key);
    }
    if let Some(key) = list.self_signing_key {
        keys.self_signing_keys.insert(user_id.clone(), key);
    }
    keys.device_keys.insert(user_id, devices);
}
