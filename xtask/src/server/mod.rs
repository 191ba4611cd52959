//! The stand-in for a speech service: loads a "model" for a while, then answers HTTP on TCP and echoes on UDP.
//!
//! It transcribes nothing; what it does for real is what a switch can break: take long, remember, refuse while loading.

mod api;
mod echo;
mod history;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use history::History;

/// What `cargo xtask server` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Address for TCP (HTTP) and UDP (echo); not 0.0.0.0: an echo must come from the address that was asked.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: SocketAddr,
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
    anyhow::ensure!(!args.listen.ip().is_unspecified(), "--listen {}: name one address", args.listen);
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
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("TCP {}", args.listen))?;
    let address = listener.local_addr()?;
    let socket = UdpSocket::bind(address).await.with_context(|| format!("UDP {address}"))?;
    println!(
        "{}: listening on {address}, loading for {}",
        args.name,
        humantime::format_duration(args.load_time)
    );

    tokio::spawn(load(service.clone(), args.load_time));
    tokio::spawn(echo::run(socket));
    let (end, mut ended) = tokio::sync::watch::channel(false);
    let serving = axum::serve(listener, api::router(service)).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is an end as well.
        let _ = ended.wait_for(|end| *end).await;
    });
    let serving = tokio::spawn(serving.into_future());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    end.send_replace(true);
    match tokio::time::timeout(args.grace, serving).await {
        Ok(served) => served??,
        Err(_) => println!("{}: requests were still open at the end", args.name),
    }
    println!("{}: ended", args.name);
    Ok(())
}

async fn load(service: Arc<Service>, time: Duration) {
    tokio::time::sleep(time).await;
    service.loaded.store(true, Ordering::Release);
    println!("{}: ready, version {}", service.name, service.version);
}
