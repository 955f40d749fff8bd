//! What is due without anybody asking: proofs of control, and tenants whose grace period is over.

use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::{By, Change, Outside, Tenancy};
use tokio::task::JoinSet;

use crate::stop::Stop;

/// How often is looked for what is due.
const ROUND: Duration = Duration::from_secs(60);
/// How many domains are looked at in a round, and at a time.
const PER_ROUND: usize = 600;
const AT_A_TIME: usize = 8;

/// Looks for what is due until it is time to stop. One task, however many tenants there are.
pub(crate) async fn run(tenancy: Tenancy, outside: Arc<dyn Outside>, stop: Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.asked() => return,
        }
        tokio::select! {
            () = prove_due(&tenancy, &outside) => {}
            () = stop.asked() => return,
        }
        depart_due(&tenancy).await;
    }
}

async fn prove_due(tenancy: &Tenancy, outside: &Arc<dyn Outside>) {
    let mut looking = JoinSet::new();
    for tenant in tenancy.due_for_proof(PER_ROUND) {
        if looking.len() >= AT_A_TIME {
            looking.join_next().await;
        }
        let (tenancy, outside) = (tenancy.clone(), outside.clone());
        looking.spawn(async move {
            if let Err(error) = tenancy.prove(tenant.server_name(), &*outside, &By::Schedule).await {
                tracing::warn!(tenant = %tenant.server_name(), %error, "control of a domain was not looked at");
            }
        });
    }
    while looking.join_next().await.is_some() {}
}

async fn depart_due(tenancy: &Tenancy) {
    for tenant in tenancy.due_to_depart().await {
        let changed = tenancy.change(tenant.server_name(), Change::Depart, &By::Schedule).await;
        match changed {
            Ok(_) => tracing::info!(tenant = %tenant.server_name(), "a tenant has departed"),
            Err(error) => tracing::warn!(tenant = %tenant.server_name(), %error, "a tenant did not depart"),
        }
    }
}
