//! What tenants send to other servers, and what is asked of those after the start.

use std::sync::Arc;

use freehold_encryption::Encryption;
use freehold_federation::{
    CaughtUp, Ingest, LateMembers, Outbound, OutboundParts, SystemRandomness, TenantsByNumber,
};
use freehold_rooms::Rooms;
use freehold_store::{Clock, Store, Tenant, TenantNumber};
use freehold_tenancy::{Tenancy, TenantState};

use crate::between::{DevicesOfTenants, IdentitiesOfTenants};
use crate::cli::Failure;
use crate::reach::Reach;
use crate::stop::Stop;

/// Who sends, going on where it was when this process last ran.
pub(crate) async fn outbound(
    reach: &Reach,
    (store, rooms): (&Store, &Rooms),
    (tenancy, encryption): (&Tenancy, &Encryption),
    clock: &Arc<dyn Clock>,
) -> Result<Outbound, Failure> {
    let outbound = Outbound::open(OutboundParts {
        client: reach.client.clone(),
        rooms: rooms.clone(),
        store: store.clone(),
        identities: Arc::new(IdentitiesOfTenants(tenancy.clone())),
        tenants: Arc::new(NumbersOfTenants(tenancy.clone())),
        devices: Arc::new(DevicesOfTenants(encryption.clone())),
        clock: clock.clone(),
        randomness: Arc::new(SystemRandomness),
    });
    outbound.await.map_err(|error| Failure::of("cannot read what is to be sent", error))
}

/// Sends what is to be sent, and asks for what was missed while this process did not run, until it is time to stop.
pub(crate) async fn run(outbound: Outbound, ingest: Ingest, stop: Stop) {
    let catch_up = async {
        let CaughtUp { rooms, missed, unanswered } = ingest.catch_up().await;
        if rooms > 0 {
            tracing::info!(rooms, missed, unanswered, "asked other servers for what was missed");
        }
    };
    let catch_up = async {
        tokio::select! {
            () = catch_up => {}
            () = stop.asked() => {}
        }
    };
    let late_members = LateMembers::new(ingest.clone(), Arc::new(SystemRandomness));
    let late_members = late_members.run_until(stop.asked());
    let late_state = ingest.take_late_state_until(stop.asked());
    tokio::join!(outbound.run_until(stop.asked()), late_members, late_state, catch_up);
}

/// The tenants that are in service, by their numbers.
struct NumbersOfTenants(Tenancy);

impl TenantsByNumber for NumbersOfTenants {
    fn tenant(&self, number: TenantNumber) -> Option<Tenant> {
        let found = self.0.by_number(number)?;
        (found.state == TenantState::Active).then_some(found.tenant)
    }
}
