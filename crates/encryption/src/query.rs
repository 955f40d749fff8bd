//! `POST /keys/query`: the keys of users, as the asker may see them.

use std::collections::{BTreeMap, BTreeSet};

use freehold_store::tables::encryption::{
    CROSS_SIGNING_KEYS, CrossSigningKeyRow, CrossSigningUse, DEVICE_KEYS, DeviceKeysRow, KEY_SIGNATURES,
};
use freehold_store::{Actor, Order, Position, ReadError, Snapshot, Tenant, UserNumber};
use ruma_common::{OwnedDeviceId, OwnedServerName, OwnedUserId, UserId};

use crate::devices::devices;
use crate::document::with_signatures;
use crate::elsewhere::stream_id;
use crate::failure::Failure;
use crate::patience::Patience;
use crate::service::{Encryption, Reached};

/// Wanted devices by user; an empty list wants all devices of the user.
pub type WantedDevices = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;

/// Keys as one user may see them, each as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueriedKeys {
    /// Servers that could not be asked.
    pub failures: BTreeSet<OwnedServerName>,
    /// Identity keys by user and device. Each user whose server answered has an entry, whether that server knows them or not.
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
    /// Master keys.
    pub master_keys: BTreeMap<OwnedUserId, String>,
    /// Self-signing keys.
    pub self_signing_keys: BTreeMap<OwnedUserId, String>,
    /// The user-signing key of the asker, if they asked for themselves.
    pub user_signing_keys: BTreeMap<OwnedUserId, String>,
}

/// The devices of a user, with their keys as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevicesOfUser {
    /// The last change of the list: its number in what servers tell each other.
    pub stream_id: Position,
    /// Identity keys by device.
    pub devices: BTreeMap<OwnedDeviceId, String>,
    /// The master key.
    pub master_key: Option<String>,
    /// The self-signing key.
    pub self_signing_key: Option<String>,
}

/// A signature that may be seen: by whom, with which key, and itself.
type Seen = (String, String, String);

/// A user asked about, as the asker stands to them.
struct Subject<'q> {
    /// The user who asks; `None` for another server.
    asker: Option<&'q Actor>,
    user: UserNumber,
    user_id: &'q UserId,
    /// Whether both are of one server.
    own_server: bool,
}

impl Encryption {
    /// The keys of users.
    ///
    /// Of users of another tenant it shows what federation would: the names of devices stay at home. Signatures are shown by
    /// <https://spec.matrix.org/v1.19/client-server-api/#key-and-signature-security>.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn query_keys(
        &self,
        asker: &Actor,
        wanted: &WantedDevices,
        patience: Patience,
    ) -> Result<QueriedKeys, Failure> {
        let (snapshot, deadline) = (self.snapshot()?, self.deadline(patience));
        let mut keys = QueriedKeys::default();
        let mut elsewhere: BTreeMap<OwnedServerName, WantedDevices> = BTreeMap::new();
        for (user_id, devices) in wanted {
            match self.reachable_user(&snapshot, asker, user_id).await? {
                Reached::Unreachable => {
                    let of_server = elsewhere.entry(user_id.server_name().to_owned()).or_default();
                    of_server.insert(user_id.clone(), devices.clone());
                }
                Reached::Server { user: None, .. } => {
                    keys.device_keys.insert(user_id.clone(), BTreeMap::new());
                }
                Reached::Server { user: Some(user), own } => {
                    let subject = Subject { asker: Some(asker), user, user_id, own_server: own };
                    let devices = self.devices_of(&snapshot, &subject, devices).await?;
                    keys.device_keys.insert(user_id.clone(), devices);
                    cross_signing_keys(&snapshot, &subject, &mut keys).await?;
                }
            }
        }
        self.query_elsewhere((&snapshot, asker, deadline), elsewhere, &mut keys).await?;
        Ok(keys)
    }

    /// The keys of users of a tenant, as another server may see them
    /// (<https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery>). Users of others are left out.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn query_keys_for_server(
        &self,
        tenant: &Tenant,
        wanted: &WantedDevices,
    ) -> Result<QueriedKeys, Failure> {
        let snapshot = self.snapshot()?;
        let mut keys = QueriedKeys::default();
        for (user_id, devices) in wanted.iter().filter(|(user_id, _)| tenant.owns(user_id)) {
            let devices = match snapshot.number_of(user_id).await? {
                None => BTreeMap::new(),
                Some(user) => {
                    let subject = Subject { asker: None, user, user_id, own_server: false };
                    cross_signing_keys(&snapshot, &subject, &mut keys).await?;
                    self.devices_of(&snapshot, &subject, devices).await?
                }
            };
            keys.device_keys.insert(user_id.clone(), devices);
        }
        Ok(keys)
    }

    /// All devices of a user of a tenant that have keys, as another server may see them
    /// (<https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid>). A user whom nobody knows has none.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn devices_for_server(&self, user_id: &UserId) -> Result<DevicesOfUser, Failure> {
        let snapshot = self.snapshot()?;
        let mut found = DevicesOfUser::default();
        let Some(user) = snapshot.number_of(&user_id.to_owned()).await? else { return Ok(found) };
        let subject = Subject { asker: None, user, user_id, own_server: false };
        let mut keys = QueriedKeys::default();
        cross_signing_keys(&snapshot, &subject, &mut keys).await?;
        found.stream_id = stream_id(&snapshot, user).await?;
        found.devices = self.devices_of(&snapshot, &subject, &[]).await?;
        found.master_key = keys.master_keys.remove(user_id);
        found.self_signing_key = keys.self_signing_keys.remove(user_id);
        Ok(found)
    }

    /// The keys of one device of a user of a tenant as another server may see them, if it has any.
    pub(crate) async fn device_for_server(
        &self,
        snapshot: &Snapshot,
        (user, user_id): (UserNumber, &UserId),
        device_id: &str,
    ) -> Result<Option<String>, Failure> {
        let subject = Subject { asker: None, user, user_id, own_server: false };
        let devices = self.devices_of(snapshot, &subject, &[OwnedDeviceId::from(device_id)]).await?;
        Ok(devices.into_values().next())
    }

    /// The master key and the self-signing key of a user of a tenant as another server may see them.
    pub(crate) async fn signing_keys_for_server(
        &self,
        snapshot: &Snapshot,
        (user, user_id): (UserNumber, &UserId),
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let subject = Subject { asker: None, user, user_id, own_server: false };
        let mut keys = QueriedKeys::default();
        cross_signing_keys(snapshot, &subject, &mut keys).await?;
        Ok((keys.master_keys.remove(user_id), keys.self_signing_keys.remove(user_id)))
    }

    async fn devices_of(
        &self,
        snapshot: &Snapshot,
        subject: &Subject<'_>,
        wanted: &[OwnedDeviceId],
    ) -> Result<BTreeMap<OwnedDeviceId, String>, Failure> {
        let names = self.names_of(snapshot, subject).await?;
        let mut devices = BTreeMap::new();
        for (device_id, row) in device_rows(snapshot, subject.user, wanted).await? {
            let seen = subject.signatures_by(snapshot, &device_id, (subject.user, subject.user_id)).await?;
            let name = names.get(&device_id).map(String::as_str);
            if let Ok(json) = with_signatures(&row.keys, &seen, name) {
                devices.insert(OwnedDeviceId::from(device_id), json);
            }
        }
        Ok(devices)
    }

    /// The names of the user's devices, if the asker may know them.
    async fn names_of(
        &self,
        snapshot: &Snapshot,
        subject: &Subject<'_>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        if !subject.own_server {
            return Ok(BTreeMap::new());
        }
        let devices = devices(snapshot, subject.user).await?;
        let named =
            devices.into_iter().filter_map(|one| Some((one.device_id.to_string(), one.display_name?)));
        Ok(named.collect())
    }
}

async fn device_rows(
    snapshot: &Snapshot,
    user: UserNumber,
    wanted: &[OwnedDeviceId],
) -> Result<Vec<(String, DeviceKeysRow)>, ReadError> {
    if wanted.is_empty() {
        let rows = snapshot.scan_prefix(&DEVICE_KEYS, &user, Order::Ascending, usize::MAX).await?;
        return Ok(rows.into_iter().map(|((_, device_id), row)| (device_id, row)).collect());
    }
    let places: Vec<_> = wanted.iter().map(|device_id| (user, device_id.to_string())).collect();
    let rows = snapshot.get_many(&DEVICE_KEYS, &places).await?;
    let found = places.into_iter().zip(rows).filter_map(|((_, device_id), row)| Some((device_id, row?)));
    Ok(found.collect())
}

async fn cross_signing_keys(
    snapshot: &Snapshot,
    subject: &Subject<'_>,
    keys: &mut QueriedKeys,
) -> Result<(), Failure> {
    let rows = snapshot.scan_prefix(&CROSS_SIGNING_KEYS, &subject.user, Order::Ascending, 3).await?;
    for ((_, key_use), row) in rows {
        let place = match key_use {
            CrossSigningUse::Master => &mut keys.master_keys,
            CrossSigningUse::SelfSigning => &mut keys.self_signing_keys,
            CrossSigningUse::UserSigning if subject.is_asker() => &mut keys.user_signing_keys,
            CrossSigningUse::UserSigning => continue,
        };
        if let Some(json) = subject.cross_signing_key(snapshot, &row).await? {
            place.insert(subject.user_id.to_owned(), json);
        }
    }
    Ok(())
}

impl Subject<'_> {
    fn is_asker(&self) -> bool {
        self.asker.is_some_and(|asker| asker.user == self.user)
    }

    /// A cross-signing key with its user's signatures, and with the asker's own.
    async fn cross_signing_key(
        &self,
        snapshot: &Snapshot,
        row: &CrossSigningKeyRow,
    ) -> Result<Option<String>, ReadError> {
        let mut seen = self.signatures_by(snapshot, &row.public_key, (self.user, self.user_id)).await?;
        if let Some(asker) = self.asker.filter(|asker| asker.user != self.user) {
            seen.extend(self.signatures_by(snapshot, &row.public_key, (asker.user, &asker.user_id)).await?);
        }
        Ok(with_signatures(&row.key, &seen, None).ok())
    }

    /// The signatures of one of the user's keys by that user or by the asker.
    async fn signatures_by(
        &self,
        snapshot: &Snapshot,
        key: &str,
        (signer, signer_id): (UserNumber, &UserId),
    ) -> Result<Vec<Seen>, ReadError> {
        let prefix = (self.user, key.to_owned(), signer);
        let rows = snapshot.scan_prefix(&KEY_SIGNATURES, &prefix, Order::Ascending, usize::MAX).await?;
        let seen =
            rows.into_iter().map(|((.., key_id), signature)| (signer_id.to_string(), key_id, signature));
        Ok(seen.collect())
    }
}
