//! Ends a pinned link at once. Without its last pin the kernel ends it too, but some milliseconds later, in which the
//! interface can take no other.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;

const BPF_OBJ_GET: libc::c_long = 7;
/// Since Linux 5.9.
const BPF_LINK_DETACH: libc::c_long = 34;

/// The beginning of `union bpf_attr` for `BPF_OBJ_GET`; the kernel takes what is left out as zero.
#[repr(C)]
struct ObjectGet {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Takes the program of the link pinned at `pin` off its interface. The pin stays.
///
/// # Errors
/// The system's.
pub(super) fn detach(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = ObjectGet { path: path.as_ptr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the structure is as long as said and points to a path that outlives the call.
    let link = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw const get, size_of_val(&get)) };
    let link = i32::try_from(check(link)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let attributes = link.as_raw_fd();
    // SAFETY: the attributes of this command are the descriptor alone, as long as said.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const attributes, size_of_val(&attributes))
    })?;
    Ok(())
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
