//! The programs for local processes, which hang on the root of the control groups by pinned links. They are loaded and
//! attached apart from the XDP program, which does not need them.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr};
use aya::{Ebpf, EbpfLoader};
use fastswitch_common::abi::map;
use fastswitch_common::local::HOOKS;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::DataplaneError;
use super::links;
use super::object::LOCAL_OBJECT;
use super::pins::{LOCAL_PREFIX, entries, is_local};
use super::tables::chain;

/// What the kernel has mounted, as this process sees it.
const MOUNTS: &str = "/proc/self/mounts";
/// A link that is to take another's place has this after [`LOCAL_PREFIX`] until it does.
const NEXT: &str = "next-";

/// Whether a program may say by which error a system call fails: in these programs since Linux 6.1 (commit
/// bed89185af0d). Without it the error is EPERM.
const SAYS_WHY: [u8; 2] = [1, 0];

/// Attaches the programs for the calling thread's network namespace. Those of an earlier daemon stay until the new ones
/// are there, and stay if these fail.
pub(super) fn attach(directory: &Path) -> Result<(), DataplaneError> {
    let root = File::open(cgroup_root()?).map_err(|error| failed("open the root cgroup", &error))?;
    let mut ebpf = load(directory, netns_cookie()?)?;
    // What an earlier daemon had no time for.
    remove(entries(directory)?.into_iter().filter(|pin| is_next(pin)))?;
    let attached = HOOKS.iter().try_for_each(|hook| attach_one(directory, &mut ebpf, &root, hook));
    if attached.is_err() {
        remove(HOOKS.iter().map(|hook| next(directory, hook)).filter(|pin| pin.exists()))?;
        return attached;
    }
    for hook in HOOKS {
        let pin = directory.join(format!("{LOCAL_PREFIX}{hook}"));
        // With its pin an earlier link goes.
        fs::rename(next(directory, hook), &pin)
            .map_err(|error| DataplaneError::file("replace", &pin, error))?;
    }
    Ok(())
}

/// Takes the programs off.
pub(super) fn withdraw(directory: &Path) -> Result<(), DataplaneError> {
    remove(entries(directory)?.into_iter().filter(|pin| is_local(pin)))
}

fn remove(pins: impl IntoIterator<Item = PathBuf>) -> Result<(), DataplaneError> {
    pins.into_iter().try_for_each(|pin| links::remove(&pin))
}

fn next(directory: &Path, hook: &str) -> PathBuf {
    directory.join(format!("{LOCAL_PREFIX}{NEXT}{hook}"))
}

fn is_next(pin: &Path) -> bool {
    let name = pin.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_prefix(LOCAL_PREFIX).is_some_and(|name| name.starts_with(NEXT))
}

/// Loads all of the programs, as the kernel can have them.
fn load(directory: &Path, netns: u64) -> Result<Ebpf, DataplaneError> {
    let [with, without] = SAYS_WHY;
    load_as(directory, netns, with).or_else(|_| load_as(directory, netns, without))
}

fn load_as(directory: &Path, netns: u64, says_why: u8) -> Result<Ebpf, DataplaneError> {
    let mut loader = EbpfLoader::new();
    loader.override_global("NETNS", &netns, true).override_global("SAYS_WHY", &says_why, true);
    for name in map::ALL {
        loader.map_pin_path(name, directory.join(name));
    }
    let mut ebpf = loader.load(LOCAL_OBJECT).map_err(|error| failed("load", &error))?;
    for hook in HOOKS {
        program(&mut ebpf, hook)?.load().map_err(|error| failed("load", &error))?;
    }
    Ok(ebpf)
}

fn attach_one(directory: &Path, ebpf: &mut Ebpf, root: &File, hook: &str) -> Result<(), DataplaneError> {
    let program = program(ebpf, hook)?;
    // A link is always one of several; no flag says so, and none may.
    let id = program.attach(root, CgroupAttachMode::Single).map_err(|error| failed("attach", &error))?;
    let link = program.take_link(id).map_err(|error| failed("attach", &error))?;
    let link = FdLink::try_from(link).map_err(|error| failed("attach", &error))?;
    link.pin(next(directory, hook)).map(drop).map_err(|error| failed("pin", &error))
}

fn program<'a>(ebpf: &'a mut Ebpf, hook: &str) -> Result<&'a mut CgroupSockAddr, DataplaneError> {
    let program = ebpf.program_mut(hook).ok_or_else(|| DataplaneError::Local {
        what: "load",
        detail: format!("the object has no program `{hook}`"),
    })?;
    program.try_into().map_err(|error| failed("load", &error))
}

/// Where the root of the control groups is, of version 2: where it is the only one, or beside those of version 1.
fn cgroup_root() -> Result<PathBuf, DataplaneError> {
    let mounts = fs::read_to_string(MOUNTS).map_err(|error| DataplaneError::file("read", MOUNTS, error))?;
    mount_of("cgroup2", &mounts).ok_or(DataplaneError::NoCgroups)
}

/// Where a file system of this type is mounted, if it is. The kernel writes a space as `\040`; who mounts it there has to
/// do without.
fn mount_of(kind: &str, mounts: &str) -> Option<PathBuf> {
    let mut fields = mounts.lines().map(|line| line.split(' '));
    fields.find_map(|mut fields| {
        let (place, of) = (fields.nth(1)?, fields.next()?);
        (of == kind).then(|| PathBuf::from(place))
    })
}

/// Cookie of the calling thread's network namespace; sockets tell it since Linux 5.14 (commit e8b9eab99232).
fn netns_cookie() -> Result<u64, DataplaneError> {
    let failed = |error: Errno| failed("find the network namespace of", &error);
    let socket =
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the cookie, and the length back; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| cookie).map_err(failed)
}

fn failed(what: &'static str, error: &dyn std::error::Error) -> DataplaneError {
    DataplaneError::Local { what, detail: chain(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_beside_others() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(mount_of("cgroup2", hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("cgroup2", "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\nodd\n"), None);
    }

    #[test]
    fn a_link_in_waiting_is_told_from_one_in_its_place() {
        let (directory, hook) = (Path::new("/pins"), "fastswitch_connect4");
        assert!(is_next(&next(directory, hook)) && is_local(&next(directory, hook)));
        assert!(!is_next(&directory.join(format!("{LOCAL_PREFIX}{hook}"))));
        assert!(!is_local(&directory.join("link-eth0")) && !is_local(&directory.join("SERVICES")));
    }
}
