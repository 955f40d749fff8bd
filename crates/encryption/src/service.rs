//! The service: its parts and how it writes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use freehold_store::tables::identity::USER_IDS;
use freehold_store::{
    Actor, Batch, Clock, CommitError, DeviceNumber, Position, ReadError, Snapshot, Store, UserNumber,
};
use ruma_common::{OwnedUserId, UserId};

use crate::devices::{Device, device_id};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::outside::Servers;
use crate::watching::Watching;

/// How often a change is tried anew when others change the same thing at the same time. Each conflict means that somebody
/// else got through.
pub(crate) const ATTEMPTS: usize = 256;

/// End-to-end encryption for all tenants. A clone is another handle on the same service.
#[derive(Clone)]
pub struct Encryption(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) servers: Arc<dyn Servers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    /// How many messages wait for a device, as far as that was counted; see `to_device.rs`.
    pub(crate) waiting: Mutex<BTreeMap<DeviceNumber, usize>>,
    pub(crate) watching: Watching,
}

impl Encryption {
    /// The service over a store.
    pub fn new(store: Store, servers: Arc<dyn Servers>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let (waiting, watching) = (Mutex::default(), Watching::default());
        Encryption(Arc::new(Parts { store, servers, clock, limits, waiting, watching }))
    }

    /// Commits; `None` if somebody else was first and the change has to be thought through again.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Option<Position>, Failure> {
        match self.0.store.commit(batch).await {
            Ok(position) => Ok(Some(position)),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(other) => Err(Failure::Commit(other)),
        }
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(self.0.store.snapshot()?)
    }

    /// The device from which a request came.
    pub(crate) async fn own_device(
        &self,
        snapshot: &Snapshot,
        actor: &Actor,
    ) -> Result<Option<Device>, Failure> {
        let Some(number) = actor.device else { return Ok(None) };
        let found = device_id(snapshot, number).await?;
        Ok(found.map(|device_id| Device { number, device_id, display_name: None }))
    }

    /// The number of a user whom the asker can reach: of its own tenant or of one that answers it.
    pub(crate) async fn reachable_user(
        &self,
        snapshot: &Snapshot,
        asker: &Actor,
        user_id: &UserId,
    ) -> Result<Reached, Failure> {
        let own = asker.tenant.owns(user_id);
        if !own && self.0.servers.reach(&asker.tenant, user_id.server_name()).is_none() {
            return Ok(Reached::Unreachable);
        }
        let number = snapshot.number_of(&user_id.to_owned()).await?;
        Ok(Reached::Server { user: number, own })
    }
}

/// What became of a question about a user.
pub(crate) enum Reached {
    /// The server of the user does not answer.
    Unreachable,
    /// The server answers; whether it knows the user is another question.
    Server {
        /// The number of the user, if anybody ever named them.
        user: Option<UserNumber>,
        /// Whether it is the asker's own server.
        own: bool,
    },
}

/// The users of numbers; a number without a user is left out.
pub(crate) async fn user_ids(
    snapshot: &Snapshot,
    users: impl IntoIterator<Item = UserNumber>,
) -> Result<Vec<OwnedUserId>, ReadError> {
    let numbers: Vec<UserNumber> = users.into_iter().collect();
    Ok(snapshot.get_many(&USER_IDS, &numbers).await?.into_iter().flatten().collect())
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").finish_non_exhaustive()
    }
}
