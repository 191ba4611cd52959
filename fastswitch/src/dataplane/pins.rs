//! The pin directory: `<pin-dir>/v<ABI>/` holds the maps by name, the links to interfaces as `link-<interface>`, and those to
//! the system calls of local processes as `local-<program>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::MapData;
use fastswitch_common::abi::{
    ABI, Backend, BackendInfo, BackendTraffic, CLIENTS_KEPT, CONNECTIONS_KEPT, Counters, Due, Endpoint,
    FRAGMENTS_KEPT, Flow, Fragmented, Hop, InterfaceInfo, MAX_BACKENDS, MAX_PORTS, MAX_SERVICES, Meta,
    Origin, Port, Ports, Service, ServiceInfo, map, program,
};
use fastswitch_common::address::Address;
use fastswitch_common::connection::Connection;
use fastswitch_common::flow::{Direction, MAX_SOURCES, Source, Translation};
use fastswitch_common::local::{PEERS_KEPT, Peer};
use fastswitch_common::mark;
use fastswitch_common::parse::Segment;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::error::DataplaneError;
use super::tables::Tables;

/// Where pins are unless told otherwise.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/fastswitch";
const BPFFS: &str = "/sys/fs/bpf";
const VERSION_PREFIX: &str = "v";
/// Number of entries of a map that the configuration sizes.
const ANY: u32 = 0;
pub(super) const LINK_PREFIX: &str = "link-";
pub(super) const LOCAL_PREFIX: &str = "local-";

/// The directory of this version's pins.
pub(super) fn directory(pin_dir: &Path) -> PathBuf {
    pin_dir.join(format!("{VERSION_PREFIX}{ABI}"))
}

/// Mounts the BPF file system at its usual place if `pin_dir` is below it and nothing is mounted.
pub(super) fn mount_if_needed(pin_dir: &Path) -> Result<(), DataplaneError> {
    if is_bpffs(pin_dir)? {
        return Ok(());
    }
    let no_bpffs = |detail: String| DataplaneError::NoBpffs { path: pin_dir.to_owned(), detail };
    if !pin_dir.starts_with(BPFFS) {
        return Err(no_bpffs("and not below /sys/fs/bpf, where it could be mounted".to_owned()));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RELATIME;
    mount(Some("bpf"), BPFFS, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|error| no_bpffs(format!("mounting it failed: {error}")))
}

/// Whether the nearest existing ancestor of `path` is on a BPF file system.
fn is_bpffs(path: &Path) -> Result<bool, DataplaneError> {
    for ancestor in path.ancestors() {
        match statfs(ancestor) {
            Ok(stat) => return Ok(stat.filesystem_type() == BPF_FS_MAGIC),
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => {}
            Err(error) => return Err(DataplaneError::file("look at", ancestor, error.into())),
        }
    }
    Ok(false)
}

/// Makes the directory of this version's pins.
pub(super) fn prepare(pin_dir: &Path) -> Result<PathBuf, DataplaneError> {
    refuse_other_versions(pin_dir)?;
    let directory = directory(pin_dir);
    fs::create_dir_all(&directory).map_err(|error| DataplaneError::file("create", &directory, error))?;
    Ok(directory)
}

/// Opens this version's pins without changing anything, for the command line.
pub(super) fn existing(pin_dir: &Path) -> Result<PathBuf, DataplaneError> {
    refuse_other_versions(pin_dir)?;
    let directory = directory(pin_dir);
    match fs::metadata(directory.join(map::META)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DataplaneError::NotPinned { path: pin_dir.to_owned() });
        }
        Err(error) => return Err(DataplaneError::file("open", directory, error)),
    }
    check(&directory)?;
    Ok(directory)
}

/// Checks every pinned map's shape: aya takes a pinned map as it is.
pub(super) fn check(directory: &Path) -> Result<(), DataplaneError> {
    for (name, shape) in shapes() {
        let path = directory.join(name);
        if !path.exists() {
            continue;
        }
        let map = MapData::from_pin(&path).map_err(|error| open_failed(&path, &error))?;
        let info = map.info().map_err(|error| open_failed(&path, &error))?;
        let entries = if shape[2] == ANY { ANY } else { info.max_entries() };
        let found = [info.key_size(), info.value_size(), entries];
        if found != shape {
            return Err(DataplaneError::Shape { path, found: describe(found), needed: describe(shape) });
        }
    }
    if !directory.join(map::META).exists() {
        return Ok(());
    }
    let meta = Tables::open(directory)?.meta()?;
    let current = Meta::current(meta.daemon_pid, meta.version);
    // All zero: the daemon that made the map died before it wrote the first entry.
    if meta != current && meta.magic != 0 {
        let found = format!("magic {:#x}, ABI {}", meta.magic, meta.abi);
        return Err(DataplaneError::OtherVersion { path: directory.to_owned(), found });
    }
    Ok(())
}

/// Names of the interfaces that have a link pinned in `directory`.
pub(super) fn interfaces(directory: &Path) -> Result<Vec<String>, DataplaneError> {
    let name = |pin: PathBuf| Some(pin.file_name()?.to_str()?.strip_prefix(LINK_PREFIX)?.replace(':', "."));
    let mut names: Vec<String> = entries(directory)?.into_iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Whether it is a link to an interface.
pub(super) fn is_link(pin: &Path) -> bool {
    begins_with(pin, LINK_PREFIX)
}

/// Whether it is a link to a system call of local processes.
pub(super) fn is_local(pin: &Path) -> bool {
    begins_with(pin, LOCAL_PREFIX)
}

fn begins_with(pin: &Path, prefix: &str) -> bool {
    pin.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

/// The paths in a directory; none if it does not exist.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    let read = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| DataplaneError::file("list", directory, error))?,
    };
    read.map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| DataplaneError::file("list", directory, error))
}

/// The directories of all versions' pins.
pub(super) fn versions(pin_dir: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    let is_version = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_prefix(VERSION_PREFIX).is_some_and(|number| number.parse::<u32>().is_ok())
    };
    Ok(entries(pin_dir)?.into_iter().filter(is_version).collect())
}

/// Whose pins a version's directory holds.
pub(super) fn describe_version(version: &Path) -> String {
    let name = version.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("ABI {}", name.trim_start_matches(VERSION_PREFIX))
}

/// Refuses a pin directory that another version has used.
pub(super) fn refuse_other_versions(pin_dir: &Path) -> Result<(), DataplaneError> {
    let current = directory(pin_dir);
    match versions(pin_dir)?.into_iter().find(|version| *version != current) {
        None => Ok(()),
        Some(other) => {
            let found = describe_version(&other);
            Err(DataplaneError::OtherVersion { path: other, found })
        }
    }
}

/// Key size, value size and number of entries (or [`ANY`]) of each map that both sides share.
fn shapes() -> [(&'static str, [u32; 3]); map::ALL.len()] {
    const fn size<T>() -> u32 {
        size_of::<T>() as u32
    }
    let index = size::<u32>();
    let rows = MAX_SERVICES * MAX_BACKENDS;
    [
        (map::META, [index, size::<Meta>(), 1]),
        (map::PROGRAMS, [index, index, program::COUNT]),
        (map::SERVICES, [size::<Endpoint>(), size::<Service>(), 2 * MAX_SERVICES]),
        (map::ORIGINS, [size::<Endpoint>(), size::<Origin>(), rows]),
        (map::SWITCH, [index, size::<u64>(), MAX_SERVICES]),
        (map::BACKENDS, [index, size::<Backend>(), rows]),
        (map::PORTS, [index, size::<Port>(), MAX_PORTS]),
        (map::DIRECT, [size::<Flow>(), size::<u8>(), CLIENTS_KEPT]),
        (map::DIRECT_SEEN, [index, size::<u32>(), rows]),
        (map::HALF_OPEN, [size::<Flow>(), size::<Connection>(), CLIENTS_KEPT]),
        (map::CONNECTIONS, [size::<Flow>(), size::<Connection>(), CONNECTIONS_KEPT]),
        (map::MARKS, [index, size::<u64>(), mark::BUCKETS]),
        (map::FRAGMENTS, [size::<Fragmented>(), size::<Ports>(), FRAGMENTS_KEPT]),
        (map::CLIENTS, [size::<Address>(), size::<Hop>(), CLIENTS_KEPT]),
        (map::HANDED, [index, size::<Segment>(), 1]),
        (map::DUE, [index, size::<Due>(), 1]),
        (map::FLOWS, [size::<Direction>(), size::<Translation>(), ANY]),
        (map::ATTEMPTS, [size::<Direction>(), size::<Translation>(), ANY]),
        (map::SOURCES, [index, size::<Source>(), MAX_SOURCES]),
        (map::COUNTERS, [index, size::<Counters>(), MAX_SERVICES + 1]),
        (map::BACKEND_TRAFFIC, [index, size::<BackendTraffic>(), rows]),
        (map::SERVICE_INFO, [index, size::<ServiceInfo>(), MAX_SERVICES]),
        (map::BACKEND_INFO, [index, size::<BackendInfo>(), rows]),
        (map::INTERFACE_INFO, [index, size::<InterfaceInfo>(), MAX_PORTS]),
        (map::PEERS, [size::<Peer>(), size::<Endpoint>(), PEERS_KEPT]),
    ]
}

fn describe([key, value, entries]: [u32; 3]) -> String {
    format!("keys of {key} bytes, values of {value} bytes, {entries} entries")
}

fn open_failed(path: &Path, error: &aya::maps::MapError) -> DataplaneError {
    let detail = super::tables::chain(error);
    if detail.contains("Operation not permitted") || detail.contains("Permission denied") {
        return DataplaneError::Privilege { what: format!("open {}", path.display()) };
    }
    DataplaneError::File { what: "open", path: path.to_owned(), source: io::Error::other(detail) }
}
