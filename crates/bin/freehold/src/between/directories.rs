//! The directories of other servers, as the client-server API asks for them.

use std::time::Duration;

use freehold_client_api::OtherDirectories;
use freehold_federation::{Client, Request};
use freehold_store::{BoxFuture, Tenant};
use freehold_tenancy::Tenancy;
use ruma_common::ServerName;

/// What other servers list, those of neighbours too.
pub(crate) struct DirectoriesOfOthers {
    pub(crate) tenancy: Tenancy,
    pub(crate) client: Client,
}

/// How long a person waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

impl OtherDirectories for DirectoriesOfOthers {
    fn neighbour(&self, asker: &Tenant, server: &ServerName) -> Option<Tenant> {
        self.tenancy.reach(asker, server)
    }

    fn public_rooms<'a>(
        &'a self,
        asker: &'a Tenant,
        server: &'a ServerName,
        wanted: String,
    ) -> BoxFuture<'a, Option<String>> {
        let request = Request::post("/_matrix/federation/v1/publicRooms", wanted).within(PATIENCE).at_once();
        Box::pin(async move {
            match self.client.request(asker, server, request).await {
                Ok(answer) => String::from_utf8(answer.body.into()).ok(),
                Err(error) => {
                    tracing::debug!(%server, %error, "a directory is not had");
                    None
                }
            }
        })
    }
}
