//! A gateway to throw packets at: the compiled program in a network namespace of its own, with two arms, a few
//! services, and routes that end in every way the kernel knows. Packets go in by `BPF_PROG_TEST_RUN`.

use std::{
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, ProgramArray},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use fastswitch_common::{
    abi::{
        Backend, BackendTraffic, Counters, Endpoint, MAX_BACKENDS, NO_ROW, NO_SERVICE, Origin, Plain, Port,
        Service, Traffic, map, mode, on_outage, program, protocol, row,
    },
    flow::SourceRange,
    reason::Reason,
    word::{NextHopWord, SwitchWord},
};

use super::frame::{Address, Frame, v4, v6};

mod full_nat;

pub use full_nat::{
    FLOW_ENTRIES, FULL, FULL_PRIMARY, FULL_STANDBY, FULL_VIP, FULL6, FULL6_PRIMARY, FULL6_VIP, TIGHT,
    TIGHT_BACKEND, TIGHT_PORTS, TIGHT_VIP, source_port,
};

/// MAC addresses: the gateway's two arms, then stations on them.
pub const CLIENTS_ARM: [u8; 6] = [2, 0, 0, 0, 0xa, 1];
pub const BACKENDS_ARM: [u8; 6] = [2, 0, 0, 0, 0xb, 1];
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0xa, 0x10];
pub const NEAR_BACKEND_MAC: [u8; 6] = [2, 0, 0, 0, 0xa, 0x20];
pub const PRIMARY_MAC: [u8; 6] = [2, 0, 0, 0, 0xb, 0x10];
pub const STANDBY_MAC: [u8; 6] = [2, 0, 0, 0, 0xb, 0x11];
/// What the kernel's neighbour table says of the primary; the daemon's next hop says [`PRIMARY_MAC`].
pub const PRIMARY_MAC_IN_FIB: [u8; 6] = [2, 0, 0, 0, 0xb, 0x99];

pub const CLIENT: IpAddr = v4([10, 1, 0, 10]);
/// On the clients' arm, without an entry in the neighbour table.
pub const UNRESOLVED_CLIENT: IpAddr = v4([10, 1, 0, 77]);
pub const VIP: IpAddr = v4([10, 1, 0, 100]);
pub const SILENT_VIP: IpAddr = v4([10, 1, 0, 101]);
pub const OWN_ADDRESS: IpAddr = v4([10, 2, 0, 1]);
pub const PRIMARY: IpAddr = v4([10, 2, 0, 10]);
pub const STANDBY: IpAddr = v4([10, 2, 0, 11]);

pub const CLIENT6: IpAddr = v6(1, 0x10);
/// As [`UNRESOLVED_CLIENT`].
pub const UNRESOLVED_CLIENT6: IpAddr = v6(1, 0x77);
pub const VIP6: IpAddr = v6(1, 0x100);
pub const OWN_ADDRESS6: IpAddr = v6(2, 1);
pub const PRIMARY6: IpAddr = v6(2, 0x10);
pub const STANDBY6: IpAddr = v6(2, 0x11);

/// Slot of a TCP service with two backends: by next hop with another port, by FIB with the same.
pub const WEB: u32 = 0;
pub const WEB_VIP: Address = (VIP, 80);
pub const WEB_PRIMARY: Address = (PRIMARY, 8080);
pub const WEB_STANDBY: Address = (STANDBY, 80);
/// Slot of a UDP service.
pub const NAMES: u32 = 1;
pub const NAMES_VIP: Address = (VIP, 53);
pub const NAMES_PRIMARY: Address = (PRIMARY, 5353);
/// Slot of a TCP service that drops in an outage.
pub const SILENT: u32 = 2;
pub const SILENT_SERVICE_VIP: Address = (SILENT_VIP, 80);
/// Slot of a TCP service whose backend is on the clients' arm.
pub const NEAR: u32 = 3;
pub const NEAR_VIP: Address = (VIP, 8000);
pub const NEAR_BACKEND: Address = (v4([10, 1, 0, 20]), 8000);
/// Slot of a TCP service whose backends, by index, are [`DEAD_ENDS`].
pub const LOST: u32 = 4;
pub const LOST_VIP: Address = (VIP, 9000);
pub const LOST_PORT: u16 = 9000;
/// Slot of a UDP service that drops in an outage.
pub const SILENT_NAMES: u32 = 5;
pub const SILENT_NAMES_VIP: Address = (SILENT_VIP, 53);

/// Slot of a TCP service over IPv6 with two backends: by next hop with another port, by FIB with the same.
pub const WEB6: u32 = 6;
pub const WEB6_VIP: Address = (VIP6, 80);
pub const WEB6_PRIMARY: Address = (PRIMARY6, 8080);
pub const WEB6_STANDBY: Address = (STANDBY6, 80);
/// Slot of a UDP service over IPv6.
pub const NAMES6: u32 = 7;
pub const NAMES6_VIP: Address = (VIP6, 53);
pub const NAMES6_PRIMARY: Address = (PRIMARY6, 5353);
/// Slot of a TCP service in mode `dsr`, its backends by next hop and by FIB.
pub const SHARED: u32 = 8;
pub const SHARED_VIP: Address = (VIP, 8443);
/// Slot of a UDP service over IPv6 in mode `dsr`.
pub const SHARED6: u32 = 9;
pub const SHARED6_VIP: Address = (VIP6, 443);
/// Slot of a TCP service over IPv6 whose backends, by index, are [`DEAD_ENDS6`].
pub const LOST6: u32 = 10;
pub const LOST6_VIP: Address = (VIP6, 9000);

/// Addresses that the FIB has no ordinary way to, and what it says.
pub const DEAD_ENDS: [(IpAddr, Reason); 8] = [
    (v4([10, 9, 1, 5]), Reason::FibBlackhole),
    (v4([10, 9, 2, 5]), Reason::FibUnreachable),
    (v4([10, 9, 3, 5]), Reason::FibProhibited),
    (v4([10, 9, 4, 5]), Reason::TooBig),
    (v4([10, 9, 5, 5]), Reason::FibUnsupported),
    (v4([10, 2, 0, 66]), Reason::FibNoNeighbour),
    (v4([10, 99, 0, 5]), Reason::FibNotForwarded),
    (OWN_ADDRESS, Reason::FibNotForwarded),
];
/// The same of IPv6.
pub const DEAD_ENDS6: [(IpAddr, Reason); 6] = [
    (v6(0x91, 5), Reason::FibBlackhole),
    (v6(0x92, 5), Reason::FibUnreachable),
    (v6(0x93, 5), Reason::FibProhibited),
    (v6(0x94, 5), Reason::TooBig),
    (v6(2, 0x66), Reason::FibNoNeighbour),
    (OWN_ADDRESS6, Reason::FibNotForwarded),
];
/// Largest IPv4 packet on the way to the `TooBig` dead end.
pub const SMALL_MTU: usize = 600;
/// The same of IPv6.
pub const SMALL_MTU6: usize = 1300;
/// Largest IP packet on either arm.
pub const LINK_MTU: usize = 1500;

const SLOTS: [u32; 15] = [
    WEB,
    NAMES,
    SILENT,
    NEAR,
    LOST,
    SILENT_NAMES,
    WEB6,
    NAMES6,
    SHARED,
    SHARED6,
    LOST6,
    FULL,
    FULL6,
    TIGHT,
    NO_SERVICE,
];

const LINKS: &str = "
link set lo up
link add clients address 02:00:00:00:0a:01 type veth peer name clients_end
link add backends address 02:00:00:00:0b:01 type veth peer name backends_end
link set clients up
link set clients_end up
link set backends up
link set backends_end up
address add 10.1.0.1/24 dev clients
address add 10.2.0.1/24 dev backends
neighbour add 10.1.0.10 lladdr 02:00:00:00:0a:10 nud permanent dev clients
neighbour add 10.1.0.20 lladdr 02:00:00:00:0a:20 nud permanent dev clients
neighbour add 10.2.0.10 lladdr 02:00:00:00:0b:99 nud permanent dev backends
neighbour add 10.2.0.11 lladdr 02:00:00:00:0b:11 nud permanent dev backends
address add fd00:1::1/64 dev clients nodad
address add fd00:2::1/64 dev backends nodad
neighbour add fd00:1::10 lladdr 02:00:00:00:0a:10 nud permanent dev clients
neighbour add fd00:2::10 lladdr 02:00:00:00:0b:99 nud permanent dev backends
neighbour add fd00:2::11 lladdr 02:00:00:00:0b:11 nud permanent dev backends
route add blackhole fd00:91::/64
route add unreachable fd00:92::/64
route add prohibit fd00:93::/64
route add fd00:94::/64 via fd00:2::11 mtu lock 1300
route add blackhole 10.9.1.0/24
route add unreachable 10.9.2.0/24
route add prohibit 10.9.3.0/24
route add 10.9.4.0/24 via 10.2.0.11 mtu lock 600
route add 10.9.5.0/24 encap ip id 7 dst 10.2.0.11 via 10.2.0.11 dev backends
";

/// An interface of the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    Clients,
    Backends,
}

/// What the program did with a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// XDP action.
    pub action: u32,
    /// The frame afterwards.
    pub bytes: Vec<u8>,
}

/// All counters of the services here and of packets without one, and the sum of those of a service's backends, by slot.
#[derive(Clone, PartialEq, Eq)]
pub struct Counted(Vec<(u32, Counters, BackendTraffic)>);

/// Lets an ABI shape be a map's key or value.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Shape<T>(T);
// SAFETY: `Plain` promises initialised bytes and any bit pattern; `Copy + 'static` comes with it.
unsafe impl<T: Plain> aya::Pod for Shape<T> {}

/// The program, its maps and its namespace.
pub struct Gateway {
    ebpf: Ebpf,
    /// Empty once nobody has it open.
    _parts: ProgramArray<MapData>,
    clients: u32,
    backends: u32,
}

impl Gateway {
    /// Runs `test` with a gateway, in a thread and a network namespace that end with it.
    pub fn run<T: Send>(test: impl FnOnce(&mut Self) -> T + Send) -> T {
        let body = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("unshare the network namespace");
            test(&mut Self::new())
        };
        let result = std::thread::scope(|scope| scope.spawn(body).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn new() -> Self {
        ip(LINKS);
        forwarding("ipv4", "all", true);
        forwarding("ipv6", "all", true);
        let object = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fastswitch"));
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &0u8, true)
            .map_max_entries(map::FLOWS, FLOW_ENTRIES)
            .load(object)
            .expect("parse the object");
        for name in program::NAMES.into_iter().chain(["fastswitch"]) {
            let program: &mut Xdp = ebpf.program_mut(name).expect(name).try_into().expect("XDP");
            program.load().expect("the verifier accepts the program");
        }
        let mut parts: ProgramArray<_> =
            ebpf.take_map(map::PROGRAMS).expect("map").try_into().expect("shape");
        for (index, name) in (0..).zip(program::NAMES) {
            let part: &Xdp = ebpf.program(name).expect(name).try_into().expect("XDP");
            parts.set(index, part.fd().expect("loaded"), 0).expect("set");
        }

        let index = |name: &str| nix::net::if_::if_nametoindex(name).expect("index of a link just made");
        let mut gateway =
            Self { clients: index("clients"), backends: index("backends"), ebpf, _parts: parts };
        gateway.configure();
        gateway
    }

    fn configure(&mut self) {
        let ports = [(self.backends, BACKENDS_ARM), (self.clients, CLIENTS_ARM)];
        for (index, (ifindex, mac)) in ports.into_iter().enumerate() {
            self.array(map::PORTS)
                .set(index as u32, Shape(Port { ifindex, mac, mtu: LINK_MTU as u16 }), 0)
                .expect("set");
        }
        for vip in [VIP, SILENT_VIP, VIP6] {
            self.service((vip, 0), protocol::ICMP, NO_SERVICE, on_outage::REJECT, mode::NAT);
        }
        let (nat, dsr) = (mode::NAT, mode::DSR);
        self.service(WEB_VIP, protocol::TCP, WEB, on_outage::REJECT, nat);
        self.service(NAMES_VIP, protocol::UDP, NAMES, on_outage::REJECT, nat);
        self.service(SILENT_SERVICE_VIP, protocol::TCP, SILENT, on_outage::DROP, nat);
        self.service(NEAR_VIP, protocol::TCP, NEAR, on_outage::REJECT, nat);
        self.service(LOST_VIP, protocol::TCP, LOST, on_outage::REJECT, nat);
        self.service(SILENT_NAMES_VIP, protocol::UDP, SILENT_NAMES, on_outage::DROP, nat);
        self.service(WEB6_VIP, protocol::TCP, WEB6, on_outage::REJECT, nat);
        self.service(NAMES6_VIP, protocol::UDP, NAMES6, on_outage::REJECT, nat);
        self.service(SHARED_VIP, protocol::TCP, SHARED, on_outage::REJECT, dsr);
        self.service(SHARED6_VIP, protocol::UDP, SHARED6, on_outage::REJECT, dsr);
        self.service(LOST6_VIP, protocol::TCP, LOST6, on_outage::REJECT, nat);

        let (primary, near) = (NextHopWord::new(PRIMARY_MAC, 0), NextHopWord::new(NEAR_BACKEND_MAC, 1));
        let unknown = NextHopWord::UNKNOWN;
        self.backend(WEB, 0, WEB_VIP, WEB_PRIMARY, protocol::TCP, primary);
        self.backend(WEB, 1, WEB_VIP, WEB_STANDBY, protocol::TCP, unknown);
        self.backend(NAMES, 0, NAMES_VIP, NAMES_PRIMARY, protocol::UDP, primary);
        self.backend(SILENT, 0, SILENT_SERVICE_VIP, (PRIMARY, 8081), protocol::TCP, primary);
        self.backend(NEAR, 0, NEAR_VIP, NEAR_BACKEND, protocol::TCP, near);
        self.backend(WEB6, 0, WEB6_VIP, WEB6_PRIMARY, protocol::TCP, primary);
        self.backend(WEB6, 1, WEB6_VIP, WEB6_STANDBY, protocol::TCP, unknown);
        self.backend(NAMES6, 0, NAMES6_VIP, NAMES6_PRIMARY, protocol::UDP, primary);
        self.shared_backend(SHARED, 0, (PRIMARY, 8443), protocol::TCP, primary);
        self.shared_backend(SHARED, 1, (STANDBY, 8443), protocol::TCP, unknown);
        self.shared_backend(SHARED6, 0, (PRIMARY6, 443), protocol::UDP, primary);
        self.shared_backend(SHARED6, 1, (STANDBY6, 443), protocol::UDP, unknown);
        self.origin(SHARED_VIP, protocol::TCP, SHARED, SHARED_VIP, NO_ROW);
        self.origin(SHARED6_VIP, protocol::UDP, SHARED6, SHARED6_VIP, NO_ROW);
        for (slot, vip, ends) in [(LOST, LOST_VIP, &DEAD_ENDS[..]), (LOST6, LOST6_VIP, &DEAD_ENDS6[..])] {
            for (index, (address, _)) in ends.iter().enumerate() {
                self.backend(slot, index as u8, vip, (*address, LOST_PORT), protocol::TCP, unknown);
            }
        }
        self.backend(SILENT_NAMES, 0, SILENT_NAMES_VIP, (PRIMARY, 5354), protocol::UDP, primary);
        self.configure_full_nat();
        for slot in SLOTS.into_iter().filter(|slot| *slot != NO_SERVICE) {
            self.switch(slot, Some(0), false);
        }
    }

    fn array<T: Plain>(&mut self, name: &str) -> Array<&mut MapData, Shape<T>> {
        self.ebpf.map_mut(name).expect(name).try_into().expect(name)
    }

    fn service(&mut self, vip: Address, protocol: u8, slot: u32, on_outage: u8, mode: u8) {
        let mut services: HashMap<_, Shape<Endpoint>, Shape<Service>> =
            self.ebpf.map_mut(map::SERVICES).expect("map").try_into().expect("shape");
        let service = Service { slot, on_outage, mode, _pad: [0; 2] };
        services.insert(Shape(endpoint(vip, protocol)), Shape(service), 0).expect("insert");
    }

    fn backend(&mut self, slot: u32, index: u8, vip: Address, at: Address, protocol: u8, hop: NextHopWord) {
        self.origin(at, protocol, slot, vip, row(slot, index));
        self.shared_backend(slot, index, at, protocol, hop);
    }

    /// One that answers as the VIP.
    fn shared_backend(&mut self, slot: u32, index: u8, at: Address, protocol: u8, hop: NextHopWord) {
        let backend = Backend { endpoint: endpoint(at, protocol), sources: SourceRange(0), next_hop: hop.0 };
        self.array(map::BACKENDS).set(row(slot, index), Shape(backend), 0).expect("set");
    }

    fn origin(&mut self, at: Address, protocol: u8, slot: u32, vip: Address, row: u32) {
        self.write_origin(endpoint(at, protocol), slot, endpoint(vip, protocol), row);
    }

    fn write_origin(&mut self, at: Endpoint, slot: u32, vip: Endpoint, row: u32) {
        let origin = Origin { slot, vip, row };
        let mut origins: HashMap<_, Shape<Endpoint>, Shape<Origin>> =
            self.ebpf.map_mut(map::ORIGINS).expect("map").try_into().expect("shape");
        origins.insert(Shape(at), Shape(origin), 0).expect("insert");
    }

    /// Makes a backend of a service active, or none, with or without an outage.
    pub fn switch(&mut self, slot: u32, active: Option<u8>, outage: bool) {
        self.store(slot, SwitchWord::new(active, None, outage, 1));
    }

    /// Stores a switch word.
    pub fn store(&mut self, slot: u32, word: SwitchWord) {
        let mut words: Array<_, u64> =
            self.ebpf.map_mut(map::SWITCH).expect("map").try_into().expect("shape");
        words.set(slot, word.0, 0).expect("set");
    }

    /// The entries of a hash.
    pub fn hash<K: Plain, V: Plain>(&self, name: &str) -> Vec<(K, V)> {
        let entries: HashMap<_, Shape<K>, Shape<V>> =
            self.ebpf.map(name).expect(name).try_into().expect(name);
        let entries = entries.iter().map(|entry| entry.map(|(Shape(key), Shape(value))| (key, value)));
        entries.collect::<Result<_, _>>().expect(name)
    }

    /// Takes the gateway's ports out of the table, as if the daemon knew none.
    pub fn forget_ports(&mut self) {
        for index in 0..2 {
            self.array(map::PORTS)
                .set(index, Shape(Port { ifindex: 0, mac: [0; 6], mtu: 0 }), 0)
                .expect("set");
        }
    }

    /// Switches the kernel's forwarding on or off for packets of the clients' arm.
    pub fn forward_from_clients(&mut self, on: bool) {
        forwarding("ipv4", "clients", on);
    }

    /// Gives the program a frame that came by `arm`.
    pub fn receive(&mut self, arm: Arm, bytes: &[u8]) -> Outcome {
        let ingress = match arm {
            Arm::Clients => self.clients,
            Arm::Backends => self.backends,
        };
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, bytes.len() as u32, 0, ingress, 0, 0];
        let context: Vec<u8> = context.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        let mut out = vec![0; bytes.len() + 256];
        let program: &mut Xdp =
            self.ebpf.program_mut("fastswitch").expect("program").try_into().expect("XDP");
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(bytes),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            })
            .expect("run the program");
        out.truncate(result.data_size_out as usize);
        Outcome { action: result.return_value, bytes: out }
    }

    /// All counters, over all CPUs.
    pub fn counted(&self) -> Counted {
        let counters: PerCpuArray<_, Shape<Counters>> =
            self.ebpf.map(map::COUNTERS).expect("map").try_into().expect("shape");
        let total = |slot: u32| {
            let mut total = Counted::nothing();
            for Shape(cpu) in counters.get(&slot, 0).expect("counters").iter() {
                total.bytes_forwarded += cpu.bytes_forwarded;
                total.bytes_replied += cpu.bytes_replied;
                for (total, packets) in total.packets.iter_mut().zip(cpu.packets) {
                    *total += packets;
                }
            }
            (slot, total, self.traffic(slot, 0..MAX_BACKENDS as u8))
        };
        Counted(SLOTS.into_iter().map(total).collect())
    }

    /// What was sent on of the packets of some of a service's backends, over all CPUs.
    pub fn traffic(&self, slot: u32, backends: impl IntoIterator<Item = u8>) -> BackendTraffic {
        let rows: PerCpuArray<_, Shape<BackendTraffic>> =
            self.ebpf.map(map::BACKEND_TRAFFIC).expect("map").try_into().expect("shape");
        let mut total = BackendTraffic::default();
        for backend in backends.into_iter().filter(|_| slot != NO_SERVICE) {
            for Shape(cpu) in rows.get(&row(slot, backend), 0).expect("traffic").iter() {
                count(&mut total.forwarded, cpu.forwarded.packets, cpu.forwarded.bytes);
                count(&mut total.replied, cpu.replied.packets, cpu.replied.bytes);
            }
        }
        total
    }
}

impl Counted {
    const fn nothing() -> Counters {
        Counters { packets: [0; fastswitch_common::reason::REASONS], bytes_forwarded: 0, bytes_replied: 0 }
    }

    /// These, and one more packet.
    pub fn and(mut self, slot: u32, reason: Reason, forwarded: usize, replied: usize) -> Self {
        let (_, counters, backends) =
            self.0.iter_mut().find(|(at, ..)| *at == slot).expect("a slot of this gateway");
        counters.packets[reason as usize] += 1;
        counters.bytes_forwarded += forwarded as u64;
        counters.bytes_replied += replied as u64;
        if forwarded != 0 {
            count(&mut backends.forwarded, 1, forwarded as u64);
        }
        // Backends that answer as the VIP cannot be told apart.
        if replied != 0 && ![SHARED, SHARED6].contains(&slot) {
            count(&mut backends.replied, 1, replied as u64);
        }
        self
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for (slot, counters, backends) in &self.0 {
            for reason in Reason::ALL {
                let packets = counters.packets[*reason as usize];
                if packets != 0 {
                    map.entry(&format_args!("{slot}.{}", reason.name()), &packets);
                }
            }
            map.entry(&format_args!("{slot}.bytes"), &(counters.bytes_forwarded, counters.bytes_replied));
            map.entry(&format_args!("{slot}.backends"), backends);
        }
        map.finish()
    }
}

/// A frame on the clients' arm, to the gateway.
pub fn from_client(frame: Frame) -> Frame {
    frame.macs(CLIENT_MAC, CLIENTS_ARM)
}

/// A frame on the backends' arm, to the gateway.
pub fn from_backend(frame: Frame) -> Frame {
    frame.macs(PRIMARY_MAC, BACKENDS_ARM)
}

fn count(traffic: &mut Traffic, packets: u64, bytes: u64) {
    traffic.packets += packets;
    traffic.bytes += bytes;
}

fn endpoint((address, port): Address, protocol: u8) -> Endpoint {
    Endpoint::new(address.into(), port, protocol)
}

fn ip(batch: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("start `ip`");
    ip.stdin.take().expect("stdin").write_all(batch.as_bytes()).expect("write to `ip`");
    assert!(ip.wait().expect("wait for `ip`").success(), "ip -batch:{batch}");
}

fn forwarding(family: &str, link: &str, on: bool) {
    let path = format!("/proc/sys/net/{family}/conf/{link}/forwarding");
    std::fs::write(&path, if on { "1" } else { "0" }).expect(&path);
}
