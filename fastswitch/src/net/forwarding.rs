//! Whether the kernel forwards packets, and the setting that makes it.

use std::io;

use super::Family;
use super::interface::is_name;

/// Whether the kernel forwards packets of a family that arrive on the interface.
///
/// # Errors
/// When there is no such interface, or /proc/sys cannot be read.
pub fn forwarding(interface_name: &str, family: Family) -> io::Result<bool> {
    if !is_name(interface_name) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{interface_name:?} cannot be the name of an interface"),
        ));
    }
    let here = read(family, interface_name)?;
    Ok(match family {
        Family::V4 => here,
        // An interface's own setting is what the XDP program's lookup of a route asks, the one for all is what the
        // kernel asks for packets that the program leaves to it.
        Family::V6 => here && read(family, "all")?,
    })
}

/// The setting, as `sysctl -w` takes it, that makes the kernel forward packets of a family on all interfaces.
#[must_use]
pub fn forwarding_sysctl(family: Family) -> &'static str {
    match family {
        Family::V4 => "net.ipv4.ip_forward=1",
        Family::V6 => "net.ipv6.conf.all.forwarding=1",
    }
}

fn read(family: Family, of: &str) -> io::Result<bool> {
    let path = format!("/proc/sys/net/{}/conf/{of}/forwarding", family.sysctls());
    let text = std::fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {path}: {error}")))?;
    Ok(text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_their_directory() {
        for name in ["", "..", "../all", "a/b", "0123456789abcdef"] {
            for family in [Family::V4, Family::V6] {
                assert_eq!(
                    forwarding(name, family).unwrap_err().kind(),
                    io::ErrorKind::InvalidInput,
                    "{name:?}"
                );
            }
        }
    }
}
