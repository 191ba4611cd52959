//! The services in mode `full_nat`, and the addresses that their backends are spoken to from.

use std::net::IpAddr;

use aya::maps::HashMap;
use fastswitch_common::{
    abi::{Backend, Endpoint, NO_ROW, NO_SERVICE, map, mode, on_outage, protocol, row},
    flow::{Direction, Source, SourceRange, Translation},
    word::NextHopWord,
};

use super::{
    Address, Gateway, NEAR_BACKEND_MAC, OWN_ADDRESS, OWN_ADDRESS6, PRIMARY, PRIMARY_MAC, PRIMARY6, STANDBY,
    Shape, VIP, VIP6, endpoint, v4,
};

/// Slot of a TCP service in mode `full_nat`: by next hop with another port, by FIB with the same.
pub const FULL: u32 = 11;
pub const FULL_VIP: Address = (VIP, 7000);
pub const FULL_PRIMARY: Address = (PRIMARY, 7070);
pub const FULL_STANDBY: Address = (STANDBY, 7000);
/// Slot of a UDP service in mode `full_nat`, over IPv6.
pub const FULL6: u32 = 12;
pub const FULL6_VIP: Address = (VIP6, 7053);
pub const FULL6_PRIMARY: Address = (PRIMARY6, 7053);
/// Slot of a TCP service in mode `full_nat` whose backend is on the clients' arm; the gateway has four ports for it.
pub const TIGHT: u32 = 13;
pub const TIGHT_VIP: Address = (VIP, 7001);
pub const TIGHT_BACKEND: Address = (v4([10, 1, 0, 20]), 7001);
pub const TIGHT_PORTS: u16 = 4;

/// The port that the gateway uses for a client's port where all are free.
pub const fn source_port(client: u16) -> u16 {
    FIRST_PORT + (client - FIRST_PORT) % PORTS
}

/// Entries that the table of flows has.
pub const FLOW_ENTRIES: u32 = 32;

const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;
const TIGHT_FIRST_PORT: u16 = 60_000;

impl Gateway {
    pub(super) fn configure_full_nat(&mut self) {
        let own = |address: IpAddr, first_port, ports| Source {
            address: address.into(),
            first_port,
            ports,
            ifindex: 0,
        };
        let sources = [
            own(OWN_ADDRESS, FIRST_PORT, PORTS),
            own(OWN_ADDRESS6, FIRST_PORT, PORTS),
            own(v4([10, 1, 0, 1]), TIGHT_FIRST_PORT, TIGHT_PORTS),
        ];
        for (index, source) in sources.into_iter().enumerate() {
            self.array(map::SOURCES).set(index as u32, Shape(source), 0).expect("set");
        }
        let (primary, near) = (NextHopWord::new(PRIMARY_MAC, 0), NextHopWord::new(NEAR_BACKEND_MAC, 1));
        self.service(FULL_VIP, protocol::TCP, FULL, on_outage::REJECT, mode::FULL_NAT);
        self.service(FULL6_VIP, protocol::UDP, FULL6, on_outage::REJECT, mode::FULL_NAT);
        self.service(TIGHT_VIP, protocol::TCP, TIGHT, on_outage::REJECT, mode::FULL_NAT);
        self.full_nat_backend(FULL, 0, endpoint(FULL_PRIMARY, protocol::TCP), 0, primary);
        self.full_nat_backend(FULL, 1, endpoint(FULL_STANDBY, protocol::TCP), 0, NextHopWord::UNKNOWN);
        self.full_nat_backend(FULL6, 0, endpoint(FULL6_PRIMARY, protocol::UDP), 1, primary);
        self.full_nat_backend(TIGHT, 0, endpoint(TIGHT_BACKEND, protocol::TCP), 2, near);
    }

    /// Takes every flow out of the tables.
    pub fn forget_flows(&mut self) {
        for name in [map::FLOWS, map::ATTEMPTS] {
            let mut flows: HashMap<_, Shape<Direction>, Shape<Translation>> =
                self.ebpf.map_mut(name).expect(name).try_into().expect(name);
            let keys: Vec<_> = flows.keys().map(|key| key.expect("a key")).collect();
            for key in keys {
                flows.remove(&key).expect("remove");
            }
        }
    }

    fn full_nat_backend(&mut self, slot: u32, index: u8, at: Endpoint, source: u16, hop: NextHopWord) {
        let backend = Backend { endpoint: at, sources: SourceRange::new(source, 1), next_hop: hop.0 };
        self.array(map::BACKENDS).set(row(slot, index), Shape(backend), 0).expect("set");
        self.write_origin(at, NO_SERVICE, Endpoint::NONE, NO_ROW);
    }
}
