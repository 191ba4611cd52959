//! What the kernel or a network card does to packets of an interface before an XDP program sees them.

use std::io;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd as _;

use super::interface::is_name;

/// Something that is done to packets on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Packets of a connection are joined into larger ones (GRO).
    Joining,
}

/// `struct ethtool_value` of the kernel.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

impl Offload {
    /// The command of `ethtool`, as in linux/ethtool.h, that asks about it, and the bits of the answer that mean yes.
    const fn question(self) -> (u32, u32) {
        match self {
            // ETHTOOL_GGRO
            Self::Joining => (0x2b, !0),
        }
    }

    /// Its name in `ethtool -K`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joining => "gro",
        }
    }
}

/// Whether it is done on the interface.
///
/// # Errors
/// When there is no such interface.
pub fn is_on(interface_name: &str, offload: Offload) -> io::Result<bool> {
    if !is_name(interface_name) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (command, bits) = offload.question();
    let mut value = Value { command, data: 0 };
    // SAFETY: made of integers and a pointer, all of which may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface_name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the request names an interface, zero-terminated, and points to a value that outlives the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value.data & bits != 0)
}
