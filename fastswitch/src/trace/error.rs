//! Why a trace says nothing.

use std::io;
use std::net::IpAddr;

use crate::dataplane::DataplaneError;
use crate::net::NetError;

/// Why a trace says nothing.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The maps or the program.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// No runtime.
    #[error("cannot ask the kernel about its network: {0}")]
    System(#[from] io::Error),
    /// The pinned maps do not have the service that the daemon has.
    #[error(
        "the pinned maps do not have this service: --socket and --pin-dir are of two different daemons, or it was just removed"
    )]
    Gone,
    /// No such packet can be.
    #[error("{client} cannot be a client of {service}, whose VIP is {vip}: name one of the same family")]
    Family {
        /// The client.
        client: IpAddr,
        /// The service.
        service: String,
        /// Its VIP.
        vip: IpAddr,
    },
    /// A client that no packet can be of.
    #[error("{0} cannot be a client: name the address of one machine")]
    NoClient(IpAddr),
    /// The program sees no packets of the gateway's own.
    #[error(
        "{0} is the gateway's own address: its packets come by no interface, and so the XDP program never sees them; name a client on another machine"
    )]
    Own(IpAddr),
    /// The interface does not exist.
    #[error("there is no interface `{name}`; fastswitch is on {on}")]
    NoInterface {
        /// The name given.
        name: String,
        /// Where the program is.
        on: String,
    },
    /// The program is not where the packet arrives.
    #[error(
        "packets of {client} arrive on {interface}{}, which fastswitch is not on (it is on {on}): the kernel gets them; add it to gateway.interfaces and restart the daemon, or name another interface with --from", if *.guessed { " (so says the kernel's route to it)" } else { "" }
    )]
    NotOn {
        /// The client.
        client: IpAddr,
        /// The interface.
        interface: String,
        /// Whether nobody has named it.
        guessed: bool,
        /// Where the program is.
        on: String,
    },
    /// The program is on no interface.
    #[error("fastswitch is on no interface at the moment: start the daemon")]
    Nowhere,
}

impl TraceError {
    /// Whether the command was wrong, rather than the world.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Family { .. } | Self::NoClient(_) | Self::NoInterface { .. })
    }
}
