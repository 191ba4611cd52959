//! What can be typed: help, completions and man pages come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::text;
use super::trace::Client;
use crate::control::DEFAULT_SOCKET;
use crate::dataplane::DEFAULT_PIN_DIR;
use crate::telemetry::LogFormat;

const DEFAULT_CONFIG: &str = "/etc/fastswitch/fastswitch.toml";
const DEFAULT_STATE_DIR: &str = "/var/lib/fastswitch";

/// Failover switch: sends packets for a virtual IP to whichever backend is active.
///
/// Exit codes: 0 done, 1 failed (the reason is printed), 2 usage or configuration error.
#[derive(Debug, Parser)]
#[command(name = "fastswitch", version, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) places: Places,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where everything is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Places {
    /// Control socket of the daemon.
    #[arg(long, global = true, env = "FASTSWITCH_SOCKET", default_value = DEFAULT_SOCKET, value_name = "PATH")]
    pub(super) socket: PathBuf,
    /// Directory of the pinned maps, on a BPF file system.
    #[arg(long, global = true, env = "FASTSWITCH_PIN_DIR", default_value = DEFAULT_PIN_DIR, value_name = "DIR")]
    pub(super) pin_dir: PathBuf,
    /// Directory of what the daemon remembers of its scripts.
    #[arg(long, global = true, env = "FASTSWITCH_STATE_DIR", default_value = DEFAULT_STATE_DIR, value_name = "DIR")]
    pub(super) state_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon in the foreground. SIGTERM stops it and leaves traffic flowing.
    Run {
        /// Configuration file.
        #[arg(short, long, default_value = DEFAULT_CONFIG, value_name = "FILE")]
        config: PathBuf,
        /// Form of the log, which goes to standard error; FASTSWITCH_LOG sets its levels.
        #[arg(
            long,
            env = "FASTSWITCH_LOG_FORMAT",
            value_enum,
            default_value = "text",
            value_name = "FORMAT"
        )]
        log_format: LogFormat,
        /// Also log messages of the XDP program itself, down to this level (error, warn, info, debug, trace).
        #[arg(long, value_name = "LEVEL")]
        packet_log: Option<tracing::Level>,
    },
    /// Check a configuration file, with all its errors at once.
    Check {
        /// Configuration file.
        #[arg(short, long, default_value = DEFAULT_CONFIG, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show who is active, who could take over, and why not. Works without the daemon.
    #[command(after_long_help = text::reasons())]
    Status {
        /// Only this service.
        service: Option<String>,
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
        /// Go on showing it.
        #[arg(long)]
        watch: bool,
    },
    /// Make a backend active. Works without the daemon.
    Switch {
        /// The service.
        service: String,
        /// The backend.
        backend: String,
        /// Even if it is not eligible.
        #[arg(long)]
        force: bool,
        /// For how long the backend before keeps the TCP connections that it has, for example 30s; 0s: not at all.
        /// Otherwise as configured, and without the daemon not at all.
        #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
        drain: Option<Duration>,
    },
    /// Return to the most preferred eligible hot backend.
    Failback {
        /// The service.
        service: String,
        /// For how long the backend before keeps the TCP connections that it has; 0s: not at all. Otherwise as configured.
        #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
        drain: Option<Duration>,
    },
    /// Keep automation from switching, starting and stopping. Works without the daemon.
    Freeze {
        /// The service.
        service: String,
        /// Only for so long, for example 30m; otherwise until `unfreeze`.
        #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
        r#for: Option<Duration>,
    },
    /// Let automation act again. Works without the daemon.
    Unfreeze {
        /// The service.
        service: String,
    },
    /// Put a backend into maintenance, so that it is not eligible, or take it out. Works without the daemon.
    Maint {
        /// The service.
        service: String,
        /// The backend.
        backend: String,
        /// `on` or `off`.
        state: OnOff,
    },
    /// Show, step by step, what would happen to a packet of a client, and to the answer. Works without the daemon.
    ///
    /// The packet is made up and given to a copy of the XDP program, which nothing is counted by. Exit code 0 if it
    /// reaches a backend and the answer its client.
    Trace(TraceArgs),
    /// Take the program off every interface; remove every pin and every VIP that the daemon assigned.
    Detach,
}

#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// The service.
    pub(super) service: String,
    /// The client: its address, and its port if it matters (an IPv6 address in brackets then).
    #[arg(value_name = "CLIENT[:PORT]")]
    pub(super) client: Client,
    /// Whether the client opens a TCP connection (syn), or goes on with the one of its port (ack).
    #[arg(long, value_enum, default_value = "syn", value_name = "FLAG")]
    pub(super) flags: Flags,
    /// Interface that the packet arrives on; otherwise the one that the kernel's route to the client names.
    #[arg(long, value_name = "INTERFACE")]
    pub(super) from: Option<String>,
    /// As one line of JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Of a TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Flags {
    Syn,
    Ack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOff {
    On,
    Off,
}

impl Command {
    /// Whether the output is for a program.
    pub(super) fn is_json(&self) -> bool {
        matches!(self, Self::Status { json: true, .. } | Self::Trace(TraceArgs { json: true, .. }))
    }
}
