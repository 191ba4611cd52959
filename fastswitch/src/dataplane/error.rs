//! What can go wrong between the daemon and the kernel.

use std::io;
use std::path::PathBuf;

use super::place::{Place, Refusal};

/// An error of the data plane: what, where, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The process may not use BPF.
    #[error(
        "no permission to {what}: run as root, or grant CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Privilege {
        /// What was tried.
        what: String,
    },
    /// The pin directory is not on a BPF file system and none could be mounted.
    #[error(
        "{path} is not on a BPF file system ({detail}): mount one with `mount -t bpf bpf /sys/fs/bpf`, or choose another --pin-dir"
    )]
    NoBpffs {
        /// The pin directory.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// A file operation failed.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another daemon holds the pins.
    #[error("another fastswitch daemon{} holds {path}: stop it first, or use another --pin-dir", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The locked directory.
        path: PathBuf,
        /// Its process id, as it noted it.
        pid: Option<u32>,
    },
    /// Pins of another version are there.
    #[error(
        "{path} holds pins of {found}, this is ABI {}: stop that version's daemon and run `fastswitch detach` (traffic is not switched in between)",
        fastswitch_common::abi::ABI
    )]
    OtherVersion {
        /// Where.
        path: PathBuf,
        /// Whose.
        found: String,
    },
    /// Pins that were removed may have known VIPs.
    #[error(
        "program and pins of {found} are removed, but not its VIPs, which this version cannot read: `ip address show` lists those that are left, as /32 or /128 (the program was on {interfaces}); remove each with `ip address delete VIP dev DEV`"
    )]
    VipsUnknown {
        /// Whose pins.
        found: String,
        /// Which the program was on.
        interfaces: String,
    },
    /// A pinned map has another shape than this version's.
    #[error(
        "pinned map {path} has {found}, this version needs {needed}: run `fastswitch detach`, then start again"
    )]
    Shape {
        /// The pin.
        path: PathBuf,
        /// Its shape.
        found: String,
        /// The shape needed.
        needed: String,
    },
    /// Nothing is pinned.
    #[error("nothing is pinned in {path}: no fastswitch daemon has run there, or it was detached")]
    NotPinned {
        /// The directory.
        path: PathBuf,
    },
    /// The program on an interface is not the one that is built into this command.
    #[error(
        "the program on {interface} is another one than this command's: fastswitch {loaded} loaded it, this is {own}{}; restart the daemon with this fastswitch (traffic goes on meanwhile), or run the command of the one that is loaded", if .loaded == .own { " of another build" } else { "" }
    )]
    OtherProgram {
        /// The interface.
        interface: String,
        /// Version of the daemon that loaded it.
        loaded: String,
        /// Version of this command.
        own: String,
    },
    /// A packet could not be given to the program.
    #[error("cannot give a packet to the program: {detail}")]
    Run {
        /// The library's words.
        detail: String,
    },
    /// A map operation failed.
    #[error("map {map}: cannot {what}: {detail}")]
    Map {
        /// The map.
        map: &'static str,
        /// What was tried.
        what: &'static str,
        /// The library's words.
        detail: String,
    },
    /// The program did not load.
    #[error("the XDP program did not load: {detail}")]
    Load {
        /// The library's words, the verifier's log included.
        detail: String,
    },
    /// Somebody else's program is on the interface.
    #[error(
        "interface {interface} already has the XDP program `{name}` (id {id}), which is not fastswitch's: take it off first (`ip link set dev {interface} {} off`) or leave this interface out",
        .place.word()
    )]
    Foreign {
        /// The interface.
        interface: String,
        /// The program's name.
        name: String,
        /// Its id.
        id: u32,
        /// Where it runs.
        place: Place,
    },
    /// The program of another pin directory is on the interface.
    #[error(
        "another fastswitch has interface {interface} (XDP program id {id}), whose pins are not in {path}: `fastswitch detach --pin-dir DIR` with its pin directory gives the interface back; or use that --pin-dir, or leave this interface out"
    )]
    OtherPins {
        /// The interface.
        interface: String,
        /// The program's id.
        id: u32,
        /// This pin directory.
        path: PathBuf,
    },
    /// The program could not be put on the interface.
    #[error("cannot attach to interface {interface} in {place} mode: {detail}. {advice}")]
    Attach {
        /// The interface.
        interface: String,
        /// Where the program was to run.
        place: Place,
        /// Why not there, if somewhere else might do.
        refusal: Option<Refusal>,
        /// The system's words.
        detail: String,
        /// What to do.
        advice: String,
    },
    /// Nothing to hang the programs for local processes on.
    #[error(
        "no control groups of version 2 are mounted: `mount -t cgroup2 none DIR` on an empty directory, or bring them into the container, and start again"
    )]
    NoCgroups,
    /// The programs for local processes are not in place.
    #[error(
        "cannot {what} the programs for local processes, which need Linux 5.15 with CONFIG_CGROUP_BPF (to do without, set gateway.local_clients = false): {detail}"
    )]
    Local {
        /// What was tried.
        what: &'static str,
        /// The system's words, the verifier's log included.
        detail: String,
    },
    /// More services or backends than the maps hold.
    #[error("{what}")]
    Full {
        /// What does not fit, and what does.
        what: String,
    },
}

impl DataplaneError {
    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::Privilege { what: format!("{what} {}", path.display()) };
        }
        Self::File { what, path, source }
    }
}
