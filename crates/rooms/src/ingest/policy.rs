//! Policy servers: what a room's says of an event.

use freehold_event_auth::PolicyServer;
use freehold_signing::{Signature, SignedPdu};
use freehold_store::Tenant;
use freehold_store::tables::rooms::ROOM_SERVERS;
use ruma_common::ServerName;

use crate::error::ActionError;
use crate::outside::Unanswered;
use crate::work::Work;

impl Work {
    /// The event with the signature of the room's policy server, if the room uses one and the event needs it. Nothing else happens in the
    /// room until that server has answered, because the event says after which others it comes.
    ///
    /// > If a room has enabled a Policy Server, *all* servers in that room MUST ask that Policy Server for a signature before
    /// > sending an event. If the Policy Server refuses to sign the event being sent, servers SHOULD fail to send that event.
    pub(crate) async fn recommended(
        &mut self,
        tenant: &Tenant,
        signed: SignedPdu,
    ) -> Result<SignedPdu, ActionError> {
        let policy = self.policy_server().await?.filter(|policy| !policy.recommends(signed.pdu()));
        let Some(policy) = policy else {
            return Ok(signed);
        };
        let server = ServerName::parse(policy.server_name())
            .map_err(|_| ActionError::damaged("a policy server without a name"))?;
        let refused = |answer| ActionError::Refused { server: server.clone(), answer };
        let remote = &self.rooms.0.outside.remote;
        let answer = remote.policy_signature(tenant, &server, signed.pdu().canonical_json()).await;
        let signature = answer.map_err(refused)?;
        let useless = || refused(Unanswered::Malformed("no valid signature of the policy server".into()));
        let signature = Signature::from_base64(&signature).ok_or_else(useless)?;
        let signed = signed.with_policy_signature(&server, &signature).map_err(|_| useless())?;
        if policy.recommends(signed.pdu()) { Ok(signed) } else { Err(useless()) }
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
