//! Policy servers: what a room's says of an event.

use freehold_event::Pdu;
use freehold_event_auth::PolicyServer;
use freehold_signing::{Signature, SignedPdu};
use freehold_store::Tenant;
use freehold_store::tables::rooms::ROOM_SERVERS;
use ruma_common::{OwnedServerName, ServerName};

use crate::error::ActionError;
use crate::outside::Unanswered;
use crate::rooms::Rooms;
use crate::work::Work;

impl Work {
    /// The event with the signature of the room's policy server, if the room uses one and the event needs it. Others write to the room
    /// until that server has answered, unless the event comes after one of the same change.
    ///
    /// > If a room has enabled a Policy Server, *all* servers in that room MUST ask that Policy Server for a signature before
    /// > sending an event. If the Policy Server refuses to sign the event being sent, servers SHOULD fail to send that event.
    pub(crate) async fn recommended(
        &mut self,
        tenant: &Tenant,
        signed: SignedPdu,
    ) -> Result<SignedPdu, ActionError> {
        let Some(policy) = self.policy_server_to_ask(signed.pdu()).await? else {
            return Ok(signed);
        };
        let rooms = self.rooms.clone();
        let asked = rooms.recommendation(tenant, &policy, signed.pdu());
        let recommendation = match self.staged.is_empty() {
            true => self.while_open(asked).await??,
            false => asked.await?,
        };
        Ok(recommendation.on(signed))
    }

    /// The policy server that is to be asked about an event: the room uses one, which has not recommended it yet.
    pub(crate) async fn policy_server_to_ask(
        &mut self,
        pdu: &Pdu,
    ) -> Result<Option<PolicyServer>, ActionError> {
        Ok(self.policy_server().await?.filter(|policy| !policy.recommends(pdu)))
    }

    /// The policy server that the room uses
    /// (<https://spec.matrix.org/v1.19/server-server-api/#determining-if-a-policy-server-is-enabled-in-a-room>).
    pub(crate) async fn policy_server(&mut self) -> Result<Option<PolicyServer>, ActionError> {
        let Some(event) = self.state_event("m.room.policy", "").await? else {
            return Ok(None);
        };
        let Some(server) = PolicyServer::named_by(event.pdu.content()) else {
            return Ok(None);
        };
        let Ok(name) = ServerName::parse(server.server_name()) else {
            return Ok(None);
        };
        let row = self.snapshot.get(&ROOM_SERVERS, &(self.number, name)).await?;
        Ok(row.map(|_| server))
    }
}

/// The signature of a policy server on an event, which holds.
pub(crate) struct Recommendation {
    server: OwnedServerName,
    signature: Signature,
}

impl Recommendation {
    /// The event with the signature; without, if it has no room for it.
    pub(crate) fn on(&self, signed: SignedPdu) -> SignedPdu {
        signed.with_policy_signature(&self.server, &self.signature).unwrap_or(signed)
    }
}

impl Rooms {
    /// Asks a policy server about an event, on behalf of a tenant.
    ///
    /// > After asking for a signature, homeservers SHOULD validate the returned signature before continuing to send events. If
    /// > the Policy Server returns an error, the event SHOULD NOT be sent to clients and servers.
    ///
    /// # Errors
    /// [`ActionError::Refused`] with its answer.
    pub(crate) async fn recommendation(
        &self,
        tenant: &Tenant,
        policy: &PolicyServer,
        pdu: &Pdu,
    ) -> Result<Recommendation, ActionError> {
        let server = ServerName::parse(policy.server_name())
            .map_err(|_| ActionError::damaged("a policy server without a name"))?;
        let refused = |answer| ActionError::Refused { server: server.clone(), answer };
        let asked = self.0.outside.remote.policy_signature(tenant, &server, pdu.canonical_json());
        let signature = Signature::from_base64(&asked.await.map_err(refused)?);
        let holds = |signature: &Signature| {
            policy.key().is_some_and(|key| key.verify(pdu.signed_bytes(), signature).is_ok())
        };
        match signature.filter(holds) {
            Some(signature) => Ok(Recommendation { server, signature }),
            None => Err(refused(Unanswered::Malformed("no valid signature of the policy server".into()))),
        }
    }
}
