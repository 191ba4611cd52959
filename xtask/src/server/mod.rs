//! The stand-in for a speech service: loads a "model" for a while, then answers HTTP on TCP and echoes on UDP.
//!
//! It transcribes nothing; what it does for real is what a switch can break: take long, remember, refuse while loading.

mod api;
mod blob;
mod echo;
mod history;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use history::History;

/// What `cargo xtask server` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Address for TCP (HTTP) and UDP (echo), several times for several. Not 0.0.0.0 or `::`: an echo must come from the
    /// address that was asked.
    #[arg(long, value_name = "IP:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// Name that `/whoami` and each job give.
    #[arg(long)]
    pub name: String,
    /// How long the model loads; /health is 503 meanwhile.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub load_time: Duration,
    /// Version that `/version` gives.
    #[arg(long, default_value = "v1")]
    pub version: String,
    /// Folder of the history; servers may share it.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How long open requests may go on after SIGTERM.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
}

/// What the parts of the server share.
struct Service {
    name: String,
    version: String,
    history: History,
    loaded: AtomicBool,
    /// Distinguishes this run's jobs from those of earlier runs: its start, in ms since the Unix epoch.
    run: u128,
    jobs: AtomicU64,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the address cannot be had, or when the data folder cannot be written.
pub fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(args))?;
    // Jobs may last for hours; a server that was told to end does not wait for them.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let service = Arc::new(Service {
        name: args.name.clone(),
        version: args.version.clone(),
        history: History::open(&args.data)?,
        loaded: AtomicBool::new(false),
        run: history::unix_ms(),
        jobs: AtomicU64::new(0),
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // All of them before anything is answered: a server that answers at one address answers at each.
    let mut sockets = Vec::new();
    for address in &args.listen {
        sockets.push(Sockets::bind(*address).await?);
    }
    let addresses: Vec<String> = sockets.iter().map(|sockets| sockets.address.to_string()).collect();
    println!(
        "{}: listening on {}, loading for {}",
        args.name,
        addresses.join(" and "),
        humantime::format_duration(args.load_time)
    );

    tokio::spawn(load(service.clone(), args.load_time));
    let (end, ended) = tokio::sync::watch::channel(false);
    let router = api::router(service);
    let mut serving = JoinSet::new();
    for Sockets { listener, socket, .. } in sockets {
        tokio::spawn(echo::run(socket));
        let mut ended = ended.clone();
        let http = axum::serve(listener, router.clone()).with_graceful_shutdown(async move {
            // An error means that the sender is gone, which is an end as well.
            let _ = ended.wait_for(|end| *end).await;
        });
        serving.spawn(http.into_future());
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    end.send_replace(true);
    match tokio::time::timeout(args.grace, all(serving)).await {
        Ok(served) => served?,
        Err(_) => println!("{}: requests were still open at the end", args.name),
    }
    println!("{}: ended", args.name);
    Ok(())
}

/// Waits until each of them is done.
async fn all(mut serving: JoinSet<io::Result<()>>) -> anyhow::Result<()> {
    while let Some(served) = serving.join_next().await {
        served??;
    }
    Ok(())
}

/// What listens at one address.
struct Sockets {
    address: SocketAddr,
    listener: TcpListener,
    socket: UdpSocket,
}

impl Sockets {
    async fn bind(address: SocketAddr) -> anyhow::Result<Sockets> {
        anyhow::ensure!(!address.ip().is_unspecified(), "--listen {address}: name one address");
        let listener = TcpListener::bind(address).await.with_context(|| format!("TCP {address}"))?;
        let address = listener.local_addr()?;
        let socket = UdpSocket::bind(address).await.with_context(|| format!("UDP {address}"))?;
        Ok(Sockets { address, listener, socket })
    }
}

async fn load(service: Arc<Service>, time: Duration) {
    tokio::time::sleep(time).await;
    service.loaded.store(true, Ordering::Release);
    println!("{}: ready, version {}", service.name, service.version);
}
