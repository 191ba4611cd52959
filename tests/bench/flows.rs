//! Flows of mode `full_nat`, put into the table of the daemon's program as if clients had opened them.

use std::net::{Ipv4Addr, SocketAddrV4};

use aya::Pod;
use aya::maps::{HashMap, Map, MapData};
use fastswitch_common::abi::{ABI, Endpoint, map, protocol};
use fastswitch_common::address::Address;
use fastswitch_common::flow::{Direction, Translation, state, toward};
use nix::time::{ClockId, clock_gettime};
use xtask::lab::{Backend, GATEWAY_BACKENDS, Lab, VIP};

use crate::bed::FIRST_PORT;

/// Lets a shape be a map's key or value.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Shape<T>(T);
// SAFETY: transparent over shapes made of integers only, for which every bit pattern is valid.
unsafe impl Pod for Shape<Direction> {}
// SAFETY: as above.
unsafe impl Pod for Shape<Translation> {}

/// Puts the flow of each of `clients` to the first service's primary into the table. The gateway's end has the client's
/// port, at an address that differs by client.
pub(crate) fn open(lab: &Lab, clients: impl IntoIterator<Item = SocketAddrV4>) -> anyhow::Result<()> {
    let pin = lab.pin_dir().join(format!("v{ABI}")).join(map::FLOWS);
    let map = Map::from_map_data(MapData::from_pin(pin)?)?;
    let mut flows: HashMap<_, Shape<Direction>, Shape<Translation>> = HashMap::try_from(map)?;
    let seen = u32::try_from(clock_gettime(ClockId::CLOCK_MONOTONIC)?.tv_sec())?;
    for client in clients {
        let there = Direction { source: end(client), destination: end(vip()) };
        let here = Direction { source: end(gateway_end(client)), destination: end(backend()) };
        for (key, renamed, toward) in
            [(there, here, toward::BACKEND), (here.back(), there.back(), toward::CLIENT)]
        {
            let entry =
                Translation { renamed, slot: 0, seen, toward, backend: 0, state: state::ANSWERED, _pad: 0 };
            flows.insert(Shape(key), Shape(entry), 0)?;
        }
    }
    Ok(())
}

/// The gateway's end of a client's flow.
pub(crate) fn gateway_end(client: SocketAddrV4) -> SocketAddrV4 {
    let [.., network, host] = client.ip().octets();
    let [a, b, ..] = GATEWAY_BACKENDS.octets();
    SocketAddrV4::new(Ipv4Addr::new(a, b, network, host), client.port())
}

fn vip() -> SocketAddrV4 {
    SocketAddrV4::new(VIP, FIRST_PORT)
}

fn backend() -> SocketAddrV4 {
    SocketAddrV4::new(Backend::Primary.ip(), FIRST_PORT)
}

fn end(at: SocketAddrV4) -> Endpoint {
    Endpoint::new(Address::v4(at.ip().octets()), at.port(), protocol::TCP)
}
