//! Forward extremities are kept few.

use freehold_canonical_json::Object;
use freehold_event_auth::Power;
use freehold_store::{Tenant, UserNumber};
use ruma_common::{OwnedUserId, RoomId};

use crate::error::ActionError;
use crate::limits::{EXTREMITIES_MAX, SPEAKERS_MAX};
use crate::rooms::Rooms;
use crate::send::tried;
use crate::work::{Wanted, Work};

/// The event that ties them up. Others use the same, and clients are not shown it.
const TIE: &str = "org.matrix.dummy_event";

impl Rooms {
    /// Ties up the forward extremities of a room that has this many, if these are too many and somebody here may speak. If it
    /// cannot be done, the next event is another occasion: what was received is received.
    pub(crate) async fn tie_up(&self, room_id: &RoomId, extremities: usize) {
        if extremities > EXTREMITIES_MAX {
            let tied: Result<(), ActionError> = tried!(self.try_tie_up(room_id));
            drop(tied);
        }
    }

    async fn try_tie_up(&self, room_id: &RoomId) -> Result<(), ActionError> {
        let mut work = Work::begin(self, room_id).await?;
        if work.machine.forward_extremities().len() <= EXTREMITIES_MAX
            || work.policy_server().await?.is_some()
        {
            return Ok(());
        }
        let Some((tenant, sender)) = work.speaker().await? else {
            return Ok(());
        };
        let wanted = Wanted {
            sender,
            event_type: TIE.to_owned(),
            state_key: None,
            content: Object::default(),
            redacts: None,
            origin_server_ts: 0,
        };
        let event = work.append(&tenant, wanted).await?;
        work.beside.withheld.insert(event.number);
        work.commit().await
    }
}

impl Work {
    /// A joined user of a tenant who may send an event that ties up.
    async fn speaker(&self) -> Result<Option<(Tenant, OwnedUserId)>, ActionError> {
        let needed = Power::Level(self.power_levels().required_level(TIE, None));
        let joined: Vec<UserNumber> = self.locals.joined().take(SPEAKERS_MAX).collect();
        for user in joined {
            let user_id: OwnedUserId = self.snapshot.id_of(user).await?;
            let tenant = self.rooms.0.outside.identities.tenant(user_id.server_name());
            if let Some(tenant) = tenant.filter(|tenant| self.machine.admits(tenant.server_name()))
                && self.power(user_id.as_str()) >= needed
            {
                return Ok(Some((tenant, user_id)));
            }
        }
        Ok(None)
    }
}
