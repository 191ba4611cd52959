//! The kernel side as the daemon sees it: the XDP program and those for local processes, their pinned maps and links.
//!
//! It owns every write to a map and is the only place that knows aya. It refuses to decide anything: it stores
//! what it is told.

mod attach;
mod batch;
mod before;
mod connections;
mod detach;
mod error;
mod flows;
mod links;
mod local;
mod lock;
mod object;
mod packet_log;
mod pinned;
mod pins;
mod place;
mod plan;
mod replica;
mod tables;
mod unlink;
mod version;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use fastswitch_common::abi::{self, Backend, BackendInfo, BackendTraffic, Counters, Meta, Port, ServiceInfo};
use fastswitch_common::flow::{Source, SourceRange};
use fastswitch_common::word::{NextHopWord, SwitchWord};

use crate::machine::{BackendId, Cause, Position, ServiceId, spec};

pub use attach::Attached;
pub use before::Before;
pub use connections::{Connections, Counts};
pub use detach::{Detached, detach};
pub use error::DataplaneError;
use flows::FlowKeeper;
use lock::Lock;
pub use pinned::{Pinned, PinnedBackend, PinnedInterface, PinnedService};
pub use pins::DEFAULT_PIN_DIR;
pub use place::{Choice, Place, Refusal};
use plan::Plan;
pub use plan::{Adopted, text};
pub use replica::{Outcome, Replica};
use tables::Tables;

/// An interface to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Index.
    pub ifindex: u32,
    /// MTU, in bytes.
    pub mtu: u32,
    /// The XDP program on it now.
    pub program: Option<OnInterface>,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnInterface {
    /// The kernel's id of it.
    pub id: u32,
    /// Where it runs.
    pub place: Place,
}

impl Target {
    /// Whether a program runs there.
    fn is_in(&self, place: Place) -> bool {
        self.program.is_some_and(|program| program.place == place)
    }
}

/// The loaded program, its maps, and where each service and backend is in them.
pub struct Dataplane {
    directory: PathBuf,
    tables: Tables,
    program: attach::Program,
    plan: Plan,
    flows: FlowKeeper,
    /// By the last [`Dataplane::attach`].
    attached: Vec<Attached>,
    /// Names of the interfaces that had a link of ours before that.
    had_link: BTreeSet<String>,
    _lock: Lock,
}

impl Dataplane {
    /// Takes the pins under `pin_dir` over, or makes them, and loads the program. What packets meet does not
    /// change until [`Dataplane::commit`] and [`Dataplane::attach`]. `packet_log` asks for messages of the program
    /// itself, down to that level; they are logged on the current tokio runtime.
    ///
    /// # Errors
    /// No privilege, no bpffs, another daemon on the same pins, pins of another version, no room for the services.
    pub fn open(
        pin_dir: &Path,
        spec: &spec::Spec,
        packet_log: Option<tracing::Level>,
    ) -> Result<Self, DataplaneError> {
        pins::mount_if_needed(pin_dir)?;
        let directory = pins::prepare(pin_dir)?;
        let lock = Lock::take(&directory)?;
        pins::check(&directory)?;
        let program = attach::Program::load(&directory, flows::sizes(&directory, spec)?, packet_log)?;
        let mut tables = Tables::open(&directory)?;
        tables.write_meta(Meta::current(std::process::id(), version::OWN))?;
        let plan = Plan::new(&tables, spec)?;
        let flows = FlowKeeper::start(&directory)?;
        Ok(Self {
            directory,
            tables,
            program,
            plan,
            flows,
            attached: Vec::new(),
            had_link: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// What an earlier daemon, or the command line, left behind, by service.
    #[must_use]
    pub fn adopted(&self) -> &[Option<Adopted>] {
        &self.plan.adopted
    }

    /// VIPs, and addresses of the pool, that an earlier daemon had put on an interface, each with the interface's index at that time.
    #[must_use]
    pub fn assigned_vips(&self) -> &BTreeMap<IpAddr, u32> {
        &self.plan.assigned_vips
    }

    /// Writes the rows that switch words will name. Needs no word to change before it.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn prepare(&mut self, spec: &spec::Spec) -> Result<(), DataplaneError> {
        let new = self.plan.prepare(&mut self.tables, spec)?;
        if !new.is_empty() {
            self.connections()?.forget(&new)?;
        }
        Ok(())
    }

    /// Makes VIPs and backends known to the program. The words must name backends of this configuration by now.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn commit(&mut self, spec: &spec::Spec) -> Result<(), DataplaneError> {
        self.plan.commit(&mut self.tables, spec)
    }

    /// Forgets VIPs and backends that the configuration no longer has, and takes the program off interfaces that are not
    /// among `targets`. A VIP's note goes with it, so the VIP must be off its interface by now.
    ///
    /// # Errors
    /// The system's, naming the map or the pin.
    pub fn settle(&mut self, spec: &spec::Spec, targets: &[Target]) -> Result<(), DataplaneError> {
        self.plan.clear_obsolete(&mut self.tables, spec)?;
        links::withdraw(&self.directory, targets)
    }

    /// What is there before the first change, for [`Dataplane::give_back`].
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn before(&self) -> Result<Before, DataplaneError> {
        Before::read(&self.tables, &self.plan, &self.directory)
    }

    /// Leaves everything as it was before a start that failed; not after [`Dataplane::settle`].
    ///
    /// # Errors
    /// The system's, naming the map or the pin.
    pub fn give_back(&mut self, before: &Before) -> Result<(), DataplaneError> {
        let moved = self.program.move_back(&self.directory, &self.attached);
        before.restore(&mut self.tables, &self.directory, &self.had_link).and(moved)
    }

    /// Puts the program on the interfaces, where `wanted` says, atomically replacing an older one of ours that is there.
    /// One that is in the other mode has to be taken off first.
    ///
    /// # Errors
    /// The interface's driver refuses, or a foreign program is there.
    pub fn attach(
        &mut self,
        targets: &[Target],
        wanted: spec::XdpMode,
    ) -> Result<&[Attached], DataplaneError> {
        let ours = targets.iter().filter(|target| target.program.is_some());
        self.had_link = ours.map(|target| target.name.clone()).collect();
        let known = self.tables.interfaces()?.into_iter().map(|(ifindex, info)| (ifindex, Choice::of(info)));
        self.attached = self.program.attach(&self.directory, targets, wanted, &known.collect())?;
        self.tables.keep_interfaces(|ifindex| targets.iter().any(|target| target.ifindex == ifindex))?;
        for attached in &self.attached {
            self.tables.write_interface(attached.ifindex, attached.choice.info())?;
        }
        Ok(&self.attached)
    }

    /// Where the program runs on the interface of this index, and why; none if it was not put there.
    #[must_use]
    pub fn choice(&self, ifindex: u32) -> Option<Choice> {
        self.attached.iter().find(|attached| attached.ifindex == ifindex).map(|attached| attached.choice)
    }

    /// Lets processes of this machine, in this network namespace, use the VIPs, or no more. Atomically replaces the programs of
    /// an earlier daemon, which stay if this fails.
    ///
    /// # Errors
    /// There are no control groups of version 2, or the system refuses.
    pub fn serve_local_clients(&mut self, wanted: bool) -> Result<(), DataplaneError> {
        if wanted { local::attach(&self.directory) } else { local::withdraw(&self.directory) }
    }

    /// Stores a service's switch word: one store on a mapped page.
    pub fn store(&self, service: ServiceId, position: Position) {
        let place = &self.plan.places[service.0];
        let row = |id: BackendId| place.rows[id.0];
        let (active, draining) = (position.active.map(row), position.draining.map(row));
        let word = SwitchWord::new(active, draining, position.outage, position.epoch);
        self.tables.switch.store(place.slot, word.0);
    }

    /// Stores where a backend's packets go next.
    pub fn store_next_hop(&self, service: ServiceId, backend: BackendId, next_hop: NextHopWord) {
        let place = &self.plan.places[service.0];
        self.tables.next_hops.store(abi::row(place.slot, place.rows[backend.0]), next_hop.0);
    }

    /// Flows of a backend in mode full_nat, as of a moment ago.
    #[must_use]
    pub fn flows(&self, service: ServiceId, backend: BackendId) -> u32 {
        let place = &self.plan.places[service.0];
        self.flows.count(place.slot, place.rows[backend.0])
    }

    /// The table of addresses that backends are spoken to from.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn sources(&self) -> Result<Vec<Source>, DataplaneError> {
        self.tables.sources()
    }

    /// Writes the table of addresses that backends are spoken to from. A row is complete before a range has it.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn write_source(&mut self, index: u16, source: Source) -> Result<(), DataplaneError> {
        self.tables.write_source(u32::from(index), source)
    }

    /// Says from which of the sources a backend is spoken to from now on.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn set_sources(
        &mut self,
        service: ServiceId,
        backend: BackendId,
        sources: SourceRange,
    ) -> Result<(), DataplaneError> {
        let place = &self.plan.places[service.0];
        let row = abi::row(place.slot, place.rows[backend.0]);
        let now = self.tables.backend(row)?;
        if now.sources == sources {
            Ok(())
        } else {
            self.tables.write_backend(row, Backend { sources, ..now })
        }
    }

    /// The table of interfaces that packets leave by.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn ports(&self) -> Result<Vec<Port>, DataplaneError> {
        (0..abi::MAX_PORTS).map(|index| self.tables.port(index)).collect()
    }

    /// Writes the table of interfaces that packets leave by. A row is complete before a next hop names it.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn write_port(&mut self, index: u16, port: Port) -> Result<(), DataplaneError> {
        self.tables.write_port(u32::from(index), port)
    }

    /// Changes what people and later daemons read about a service.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn update_service(
        &mut self,
        service: ServiceId,
        change: impl FnOnce(&mut ServiceInfo),
    ) -> Result<(), DataplaneError> {
        self.tables.update_service(self.plan.places[service.0].slot, change)
    }

    /// Changes what people and later daemons read about a backend.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn update_backend(
        &mut self,
        service: ServiceId,
        backend: BackendId,
        change: impl FnOnce(&mut BackendInfo),
    ) -> Result<(), DataplaneError> {
        let place = &self.plan.places[service.0];
        self.tables.update_backend(abi::row(place.slot, place.rows[backend.0]), change)
    }

    /// A service's counters, summed over the CPUs.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn counters(&self, service: ServiceId) -> Result<Counters, DataplaneError> {
        self.tables.counters(self.plan.places[service.0].slot)
    }

    /// What was sent on of a backend's packets, summed over the CPUs.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn backend_traffic(
        &self,
        service: ServiceId,
        backend: BackendId,
    ) -> Result<BackendTraffic, DataplaneError> {
        let place = &self.plan.places[service.0];
        self.tables.backend_traffic(abi::row(place.slot, place.rows[backend.0]))
    }

    /// Counters of packets that belong to no service.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn other_counters(&self) -> Result<Counters, DataplaneError> {
        self.tables.counters(abi::NO_SERVICE)
    }

    /// The table of TCP connections, for a thread of its own.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn connections(&self) -> Result<Connections, DataplaneError> {
        Connections::open(&self.directory)
    }

    /// The rows of a service's backends.
    #[must_use]
    pub fn rows(&self, service: ServiceId) -> Vec<u32> {
        let place = &self.plan.places[service.0];
        place.rows.iter().map(|&row| abi::row(place.slot, row)).collect()
    }

    /// What is kept about a service.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn service_info(&self, service: ServiceId) -> Result<ServiceInfo, DataplaneError> {
        self.tables.service(self.plan.places[service.0].slot)
    }
}

/// Checks that [`Dataplane::open`] would not meet pins of another version, nor [`Dataplane::attach`] somebody else's
/// program.
///
/// # Errors
/// The other version, or a foreign program on one of the interfaces, by name and id.
pub fn check(pin_dir: &Path, targets: &[Target]) -> Result<(), DataplaneError> {
    // Its program is foreign too, but has to go another way.
    pins::refuse_other_versions(pin_dir)?;
    links::check_foreign(&pins::directory(pin_dir), targets)
}

/// Whether pins of any version are in `pin_dir`; also if that cannot be seen.
#[must_use]
pub fn is_pinned(pin_dir: &Path) -> bool {
    pins::versions(pin_dir).map_or(true, |versions| !versions.is_empty())
}

/// The number by which a cause is kept.
#[must_use]
pub fn cause_code(cause: Cause) -> u8 {
    match cause {
        Cause::Initial => abi::cause::INITIAL,
        Cause::Failover => abi::cause::FAILOVER,
        Cause::Failback => abi::cause::FAILBACK,
        Cause::Operator => abi::cause::OPERATOR,
        Cause::Forced => abi::cause::FORCED,
        Cause::Maintenance => abi::cause::MAINTENANCE,
        Cause::Reconfigured => abi::cause::RECONFIGURED,
    }
}

/// The cause kept by a number; an unknown one is an operator's, whom automation does not overrule.
#[must_use]
pub fn cause_of(code: u8) -> Cause {
    match code {
        abi::cause::INITIAL => Cause::Initial,
        abi::cause::FAILOVER => Cause::Failover,
        abi::cause::FAILBACK => Cause::Failback,
        abi::cause::FORCED => Cause::Forced,
        abi::cause::MAINTENANCE => Cause::Maintenance,
        abi::cause::RECONFIGURED => Cause::Reconfigured,
        _ => Cause::Operator,
    }
}
