//! `freehold serve`: opens what there is, listens, and stops in order.

use std::sync::Arc;
use std::time::Duration;

use freehold_accounts::Accounts;
use freehold_sync::SyncService;
use freehold_tenancy::By;
use sd_notify::NotifyState;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::cli::{Failure, ServeArgs, print};
use crate::config::{Address, Config, Listener};
use crate::data::{Data, admin_socket};
use crate::listen::{
    BindError, Certificates, Inherited, ListenerFacts, Places, Serving, Socket, TlsError, renew_certificates,
};
use crate::parts::Parts;
use crate::stop::{Hangups, Stop};
use crate::{bootstrap, descriptors, log, neighbours, proofs, routes, sweeps, upkeep};

/// Threads that run requests. Password hashes and files have threads of their own.
const WORKERS: usize = 2;

/// Runs the server until it is asked to stop.
pub(crate) fn run(mut config: Config, arguments: ServeArgs) -> Result<(), Failure> {
    if !arguments.listen.is_empty() {
        config.listener =
            arguments.listen.iter().map(|address| listener(address)).collect::<Result<_, _>>()?;
    }
    log::start(&config.log);
    let data = Data::take(&config.data).map_err(|error| Failure::of("cannot start", error))?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of("cannot start", error))?;
    runtime.block_on(serve(&config, &data))?;
    tracing::info!("stopped");
    Ok(())
}

/// What accounts have to do without anybody asking.
async fn background(accounts: Accounts, stop: Stop) {
    tokio::select! {
        () = accounts.run_in_background() => {}
        () = stop.asked() => {}
    }
}

async fn presence(sync: SyncService, stop: Stop) {
    tokio::select! {
        () = sync.tell_presence() => {}
        () = stop.asked() => {}
    }
}

/// Tells systemd, if it started us.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

fn listener(address: &str) -> Result<Listener, Failure> {
    let address: Address = address.parse().map_err(Failure::Usage)?;
    Ok(Listener { address, ..Listener::default() })
}

async fn serve(config: &Config, data: &Data) -> Result<(), Failure> {
    let unheard = |error| Failure::of("cannot wait for signals", error);
    let (stop, hangups) = (Stop::on_signals().map_err(unheard)?, Hangups::listen().map_err(unheard)?);
    descriptors::allow(config);
    let parts = Parts::open(config, data).await?;
    if let Some(file) = &config.bootstrap {
        let added = bootstrap::run(file, &parts.tenancy).await;
        added.map_err(|error| Failure::of("cannot add the tenants of the bootstrap file", error))?;
    }
    let (servings, certificates) = bind(config, data, &parts).await?;
    greet(&parts, &servings).await?;
    tell_systemd(NotifyState::Ready);
    let mut running = JoinSet::new();
    running.spawn(background(parts.accounts.clone(), stop.clone()));
    running.spawn(presence(parts.sync.clone(), stop.clone()));
    running.spawn(upkeep::run(parts.clone(), stop.clone()));
    running.spawn(proofs::run(parts.tenancy.clone(), parts.outside.clone(), stop.clone()));
    running.spawn(sweeps::run(parts.media.clone(), parts.clock.clone(), stop.clone()));
    running.spawn(neighbours::run(parts.outbound.clone(), parts.ingest.clone(), stop.clone()));
    running.spawn(renew_certificates(certificates, hangups, stop.clone()));
    for serving in servings {
        running.spawn(serving.run(stop.clone()));
    }
    stop.asked().await;
    tracing::info!("stopping");
    tell_systemd(NotifyState::Stopping);
    while running.join_next().await.is_some() {}
    Ok(())
}

async fn bind(
    config: &Config,
    data: &Data,
    parts: &Parts,
) -> Result<(Vec<Serving>, Vec<Arc<Certificates>>), Failure> {
    let failed = |error: BindError| Failure::of("cannot start", error);
    let wrong = |error: TlsError| Failure::of("cannot start", error);
    let mut inherited = Inherited::from_environment();
    let (mut servings, mut certificates) = (Vec::new(), Vec::new());
    let idle = Duration::from_secs(60 * u64::from(config.limits.idle_minutes.get()));
    for listener in &config.listener {
        let tls = if listener.tls.is_empty() {
            None
        } else {
            let read = Certificates::read(&listener.tls).map_err(wrong)?;
            certificates.push(read.clone());
            Some(read.acceptor().map_err(wrong)?)
        };
        let socket = Socket::bind(&listener.address, 0o666, &mut inherited).await.map_err(failed)?;
        let facts = Arc::new(ListenerFacts::of(listener));
        let routes = routes::of(parts, config, &listener.apis);
        servings.push(Serving { socket, facts, routes, tls, places: Places::new(config), idle });
    }
    let admin = Address::Unix(admin_socket(data.path()));
    let socket = Socket::bind(&admin, 0o600, &mut inherited).await.map_err(failed)?;
    let facts = Arc::new(ListenerFacts { is_local: true, ..ListenerFacts::default() });
    let routes = routes::of_admin_socket(parts);
    servings.push(Serving { socket, facts, routes, tls: None, places: Places::new(config), idle });
    Ok((servings, certificates))
}

/// Says where the server listens and, at the first start, the operator's token.
async fn greet(parts: &Parts, servings: &[Serving]) -> Result<(), Failure> {
    let failed = |error: freehold_tenancy::TenancyError| Failure::of("cannot make a token", error);
    let mut text = String::new();
    for serving in servings {
        text.push_str(&format!("listening on {}\n", serving.socket.name(serving.facts.scheme())));
    }
    if !parts.tenancy.has_operator_token().await.map_err(failed)? {
        let token = parts.tenancy.new_operator_token("first start", &By::Schedule).await.map_err(failed)?;
        if let Some(token) = token {
            text.push_str(&format!("operator token, shown only now: {}\n", token.reveal()));
        }
    }
    print(&text);
    Ok(())
}
