//! Makes a veth end take what XDP sends to it at once: gives it an XDP program of its own that passes everything.
//!
//! `gro on` alone serves for packets redirected to the end. Those sent back by `XDP_TX` would wait there for other
//! traffic to wake it, as the kernel only wakes an end that has a program (veth_xdp_flush).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::netns::Namespace;
use super::trace::BPFFS;
use crate::shell;

/// `r0 = XDP_PASS; exit`, as instructions of eBPF (RFC 9669, section 3).
const PASS: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
const LICENCE: &std::ffi::CStr = c"Dual MIT/GPL";

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is left out as zero.
#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instructions: u32,
    code: u64,
    licence: u64,
}

/// The beginning of `union bpf_attr` for `BPF_OBJ_PIN`.
#[repr(C)]
struct ObjectPin {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Puts the program on `interface`. It is pinned in `directory`, below /sys/fs/bpf, while `ip` fetches it.
pub(super) fn accept_xdp(namespace: &Namespace, interface: &str, directory: &Path) -> anyhow::Result<()> {
    mount_bpffs()?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let pin = directory.join("receiver");
    let program = load().context("cannot load an XDP program; is this root, on a kernel with BPF?")?;
    pin_at(&program, &pin).with_context(|| format!("cannot pin a program at {}", pin.display()))?;
    // Not `ip -n`, which hides bpffs.
    let mut attach = namespace.command("ip")?;
    let attached = shell::run(attach.args(["link", "set", "dev", interface, "xdp", "pinned"]).arg(&pin));
    std::fs::remove_file(&pin).with_context(|| format!("cannot remove {}", pin.display()))?;
    std::fs::remove_dir(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    attached.map(drop)
}

fn mount_bpffs() -> anyhow::Result<()> {
    let mounted = statfs(BPFFS).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC);
    if mounted {
        return Ok(());
    }
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .with_context(|| format!("cannot mount a BPF file system at {BPFFS}"))
}

fn load() -> io::Result<OwnedFd> {
    let load = ProgramLoad {
        program_type: BPF_PROG_TYPE_XDP,
        instructions: PASS.len() as u32,
        code: PASS.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
    };
    // SAFETY: the structure is as long as said and points to instructions and a licence that outlive the call.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of_val(&load)) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

fn pin_at(program: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let pin = ObjectPin { path: path.as_ptr() as u64, descriptor: program.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the structure is as long as said and points to a path that outlives the call.
    match unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_PIN, &raw const pin, size_of_val(&pin)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
