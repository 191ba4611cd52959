//! Where an XDP program runs on an interface, and why our own runs where it does.

use std::fmt;
use std::io;

use aya::programs::ProgramError;
use aya::programs::xdp::{XdpError, XdpMode};
use fastswitch_common::abi::{InterfaceInfo, place};
use nix::errno::Errno;

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the driver.
    Native,
    /// Behind the driver, on a socket buffer.
    Generic,
    /// In the network card.
    Offloaded,
}

/// Where our program runs on an interface, and why there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// In the driver.
    Native,
    /// Behind it, as configured.
    Generic,
    /// Behind it, since the driver refuses native mode.
    Refused(Refusal),
    /// Behind it, since that is where it runs on another interface: a driver sends nothing to one that has no native mode.
    Company,
}

/// The driver of an interface does not take the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the system's error.
    errno: i32,
    /// The interface's MTU at that time, in bytes.
    mtu: u32,
}

impl Place {
    /// The word in `status` and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }

    /// The word of `ip link set`, as in `xdp off`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "xdp",
            Self::Generic => "xdpgeneric",
            Self::Offloaded => "xdpoffload",
        }
    }

    pub(super) const fn mode(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
            Self::Offloaded => XdpMode::Hardware,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Choice {
    /// Where the program runs.
    #[must_use]
    pub const fn place(self) -> Place {
        match self {
            Self::Native => Place::Native,
            Self::Generic | Self::Refused(_) | Self::Company => Place::Generic,
        }
    }

    /// Why the program runs in generic mode on `interface` although nobody asked for that, and what to do.
    #[must_use]
    pub fn warning(self, interface: &str) -> Option<String> {
        match self {
            Self::Native | Self::Generic => None,
            Self::Refused(refusal) => Some(format!(
                "{interface} is in generic mode, which is slower: native mode is refused ({refusal}). {}; native mode is \
                 tried again after `fastswitch detach`, or with gateway.xdp_mode = \"native\"",
                refusal.advice(interface)
            )),
            Self::Company => Some(format!(
                "{interface} is in generic mode, which is slower, since another interface is: in native mode it could \
                 send nothing there"
            )),
        }
    }

    pub(super) const fn info(self) -> InterfaceInfo {
        let (place, errno, mtu) = match self {
            Self::Native => (place::NATIVE, 0, 0),
            Self::Generic => (place::GENERIC, 0, 0),
            Self::Refused(Refusal { errno, mtu }) => (place::REFUSED, errno.unsigned_abs(), mtu),
            Self::Company => (place::COMPANY, 0, 0),
        };
        InterfaceInfo { place, errno, mtu }
    }

    pub(super) fn of(info: InterfaceInfo) -> Self {
        match info.place {
            place::GENERIC => Self::Generic,
            place::REFUSED => {
                Self::Refused(Refusal { errno: i32::try_from(info.errno).unwrap_or(0), mtu: info.mtu })
            }
            place::COMPANY => Self::Company,
            _ => Self::Native,
        }
    }
}

impl Refusal {
    /// What is in `error`, unless that is no matter of native mode: generic mode would be refused as well.
    pub(super) fn of(error: &ProgramError, mtu: u32) -> Option<Self> {
        let errno = errno(error)?;
        let other = [Errno::EPERM, Errno::EACCES, Errno::EBUSY, Errno::EEXIST, Errno::ENODEV];
        (!other.contains(&Errno::from_raw(errno))).then_some(Self { errno, mtu })
    }

    /// What to do on `interface`.
    pub(super) fn advice(self, interface: &str) -> String {
        let mtu = self.mtu;
        match Errno::from_raw(self.errno) {
            Errno::EOPNOTSUPP => format!(
                "The driver has no native XDP, or LRO or hardware GRO is on: try `ethtool -K {interface} lro off \
                 rx-gro-hw off`"
            ),
            // Those drivers that say EINVAL do so for this reason mostly.
            Errno::ERANGE | Errno::EINVAL if mtu > 1500 => format!(
                "The MTU of {mtu} bytes is too large for native XDP with this driver: try `ip link set {interface} mtu \
                 1500`, or an MTU that its documentation allows"
            ),
            Errno::ERANGE => format!(
                "The MTU at the other end of the wire of {interface} (its own is {mtu} bytes) is too large for native XDP \
                 with this driver: try `ip link set OTHER-END mtu {mtu}` there"
            ),
            _ => format!("`ethtool -i {interface}` names the driver; see its documentation on XDP"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.errno).fmt(f)
    }
}

/// The number of the system's error.
pub(super) fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_kept_whole() {
        let refused = Choice::Refused(Refusal { errno: Errno::EOPNOTSUPP as i32, mtu: 1500 });
        for choice in [Choice::Native, Choice::Generic, refused, Choice::Company] {
            assert_eq!(Choice::of(choice.info()), choice);
        }
    }

    #[test]
    fn a_warning_names_the_reason_and_the_command() {
        let warning = |errno, mtu| {
            Choice::Refused(Refusal { errno: errno as i32, mtu }).warning("eth0").unwrap_or_default()
        };
        let says = |text: String, parts: &[&str]| {
            for part in parts {
                assert!(text.contains(part), "{part:?} is missing in {text:?}");
            }
        };
        says(warning(Errno::EOPNOTSUPP, 1500), &["not supported", "ethtool -K eth0 lro off"]);
        says(warning(Errno::ERANGE, 9000), &["out of range", "MTU of 9000", "ip link set eth0 mtu 1500"]);
        says(warning(Errno::EINVAL, 9000), &["MTU of 9000", "ip link set eth0 mtu 1500"]);
        says(warning(Errno::ERANGE, 1500), &["other end", "1500"]);
        says(warning(Errno::EINVAL, 1500), &["Invalid argument", "ethtool -i eth0", "fastswitch detach"]);
        assert_eq!((Choice::Native.warning("eth0"), Choice::Generic.warning("eth0")), (None, None));
    }
}
