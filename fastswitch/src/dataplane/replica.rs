//! The program loaded once more, to find out what it does with a packet that nobody sent.
//!
//! It shares with the one on the interfaces the pinned maps that the program only reads. Those that it writes are its own,
//! fresh, and filled with what the program remembers of the client in question: nothing is counted, learned or
//! forgotten where packets pass. Refuses to speak for a program that is not the same, instruction by instruction.

use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, MapData, ProgramArray};
use aya::programs::{ProgramInfo, TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya::{Ebpf, EbpfLoader};
use fastswitch_common::abi::{
    self, Backend, Endpoint, Flow, Hop, MAX_BACKENDS, NO_ROW, NO_SERVICE, Plain, Verdict, map, program,
};
use fastswitch_common::address::Address;
use fastswitch_common::connection::Connection;
use fastswitch_common::flow::{Direction, Source, Translation};
use fastswitch_common::reason::Reason;

use super::attach::{link_parts, load_failed, xdp};
use super::error::DataplaneError;
use super::object::{OBJECT, PROGRAM};
use super::pinned::PinnedService;
use super::tables::{Shared, Tables, chain, failed, remembered, typed};
use super::{links, pins, version};

/// What the program only reads, and is therefore shared. Any other map is the replica's own.
const READ: [&str; 6] = [map::SERVICES, map::ORIGINS, map::SWITCH, map::BACKENDS, map::PORTS, map::SOURCES];
/// What is as large as the machine has CPUs and of no use here. Where there is no row, nothing is counted.
const COUNTERS: [&str; 2] = [map::COUNTERS, map::BACKEND_TRAFFIC];
/// What remembers clients.
const REMEMBERED: [&str; 6] =
    [map::DIRECT, map::HALF_OPEN, map::CONNECTIONS, map::CLIENTS, map::FLOWS, map::ATTEMPTS];
/// Entries of such a table: there is one client.
const KEPT: u32 = 1024;
/// What a packet may grow by.
const ROOM: usize = 256;
/// The kernel's `BPF_PROG_TYPE_XDP`.
const XDP: u32 = 6;
/// Bytes of a program's name that the kernel keeps.
const NAME_KEPT: usize = 15;

/// The program once more.
pub struct Replica {
    ebpf: Ebpf,
    /// Empty once nobody has it.
    _parts: ProgramArray<MapData>,
    directory: PathBuf,
}

/// What the program did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The kernel's `enum xdp_action`.
    pub action: u32,
    /// Why; none if the program said nothing.
    pub reason: Option<Reason>,
    /// Whether it is a packet of this service.
    pub of_service: bool,
    /// Number, in the switch word, of the backend that it is for or from.
    pub backend: Option<u8>,
    /// Index of the interface that it leaves by.
    pub egress: Option<u32>,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

impl Replica {
    /// Loads the program next to the pinned maps.
    ///
    /// # Errors
    /// No privilege, nothing is pinned, or another build of the program is on an interface.
    pub fn load(pin_dir: &Path) -> Result<Self, DataplaneError> {
        let directory = pins::existing(pin_dir)?;
        // All that are shared are there: the loader would make and pin what is not.
        let tables = Tables::open(&directory)?;
        let mut loader = EbpfLoader::new();
        loader.override_global(aya_log::LEVEL, &0u8, true).override_global(abi::WATCHED, &1u8, true);
        for name in READ {
            loader.map_pin_path(name, directory.join(name));
        }
        for name in COUNTERS {
            loader.map_max_entries(name, 1);
        }
        for name in REMEMBERED {
            loader.map_max_entries(name, KEPT);
        }
        let mut ebpf = loader.load(OBJECT).map_err(|error| load_failed(&error))?;
        for name in program::NAMES.into_iter().chain([PROGRAM]) {
            xdp(&mut ebpf, name)?.load().map_err(|error| load_failed(&error))?;
        }
        let parts = link_parts(&mut ebpf)?;
        let mut replica = Self { ebpf, _parts: parts, directory };
        replica.check_same(&tables)?;
        Ok(replica)
    }

    /// Compares with what is loaded: by tag, a sum over the instructions.
    fn check_same(&mut self, tables: &Tables) -> Result<(), DataplaneError> {
        let mut own = Vec::new();
        for name in program::NAMES.into_iter().chain([PROGRAM]) {
            let info = xdp(&mut self.ebpf, name)?.info().map_err(|error| load_failed(&error))?;
            own.push((kept(name), info.tag()));
        }
        let loaded: Vec<ProgramInfo> = loaded_programs().filter_map(Result::ok).collect();
        let same =
            |info: &ProgramInfo| own.iter().any(|(name, tag)| info.name() == *name && info.tag() == *tag);
        let other = |interface: String| -> Result<DataplaneError, DataplaneError> {
            let loaded = version::describe(tables.meta()?.version);
            Ok(DataplaneError::OtherProgram { interface, loaded, own: version::describe(version::OWN) })
        };
        for name in pins::interfaces(&self.directory)? {
            let Some((_, id)) = links::existing(&links::path(&self.directory, &name))? else { continue };
            if !loaded.iter().any(|info| info.id() == id && same(info)) {
                return Err(other(name)?);
            }
        }
        // The parts that it jumps to are those XDP programs that count where it counts; what serves local processes does too.
        let pinned = typed_id(&self.directory, map::COUNTERS)?;
        let counts_there = |info: &&ProgramInfo| {
            info.program_type() as u32 == XDP
                && info.map_ids().ok().flatten().is_some_and(|ids| ids.contains(&pinned))
        };
        match loaded.iter().filter(counts_there).find(|info| !same(info)) {
            Some(_) => Err(other("the interfaces".to_owned())?),
            None => Ok(()),
        }
    }

    /// Takes over what the program remembers of `client` and the service's backends.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn remember(&mut self, service: &PinnedService, client: Endpoint) -> Result<(), DataplaneError> {
        let vip = service.info.endpoint;
        for name in [map::HALF_OPEN, map::CONNECTIONS] {
            self.take_over::<Flow, Connection>(name, Flow { client, server: vip })?;
        }
        self.take_over::<Address, Hop>(map::CLIENTS, client.address)?;
        for backend in &service.backends {
            self.take_over::<Flow, u8>(map::DIRECT, Flow { client, server: backend.backend.endpoint })?;
        }
        self.remember_flow(Direction { source: client, destination: vip })?;
        for backend in &service.backends {
            self.remember_port(&backend.backend, client)?;
        }
        let seen: Array<MapData, u32> = Array::try_from(typed(&self.directory, map::DIRECT_SEEN)?)
            .map_err(failed(map::DIRECT_SEEN, "open"))?;
        let mut own = self.own(map::DIRECT_SEEN)?;
        for row in (0..MAX_BACKENDS as u8).map(|backend| abi::row(service.slot(), backend)) {
            let value = seen.get(&row, 0).map_err(failed(map::DIRECT_SEEN, "read"))?;
            own.set(row, value, 0).map_err(failed(map::DIRECT_SEEN, "write"))?;
        }
        Ok(())
    }

    /// Both directions of a flow of mode `full_nat`, wherever it is kept.
    fn remember_flow(&mut self, direction: Direction) -> Result<(), DataplaneError> {
        for name in [map::FLOWS, map::ATTEMPTS] {
            if let Some(entry) = remembered::<Direction, Translation>(&self.directory, name, direction)? {
                self.take_over::<Direction, Translation>(name, direction)?;
                self.take_over::<Direction, Translation>(name, entry.renamed.back())?;
            }
        }
        Ok(())
    }

    /// Whoever has the port that a new flow of `client` would get first, so that it is no freer here than it is.
    fn remember_port(&mut self, backend: &Backend, client: Endpoint) -> Result<(), DataplaneError> {
        let sources: Array<MapData, Shared<Source>> =
            Array::try_from(typed(&self.directory, map::SOURCES)?).map_err(failed(map::SOURCES, "open"))?;
        let range = backend.sources;
        for row in range.first()..range.first() + range.count() {
            let Shared(source) = sources.get(&row, 0).map_err(failed(map::SOURCES, "read"))?;
            let port = source.port_like(u16::from_be_bytes(client.port()));
            let destination = Endpoint::new(source.address, port, client.protocol());
            self.remember_flow(Direction { source: backend.endpoint, destination })?;
        }
        Ok(())
    }

    fn take_over<K: Plain, V: Plain>(&mut self, name: &'static str, key: K) -> Result<(), DataplaneError> {
        let Some(value) = remembered::<K, V>(&self.directory, name, key)? else { return Ok(()) };
        let own = self.ebpf.map_mut(name).ok_or_else(|| missing(name))?;
        let mut own: HashMap<_, Shared<K>, Shared<V>> = own.try_into().map_err(failed(name, "open"))?;
        own.insert(Shared(key), Shared(value), 0).map_err(failed(name, "write"))
    }

    fn own<V: aya::Pod>(&mut self, name: &'static str) -> Result<Array<&mut MapData, V>, DataplaneError> {
        self.ebpf.map_mut(name).ok_or_else(|| missing(name))?.try_into().map_err(failed(name, "open"))
    }

    /// What the program does with `frame`, which came by the interface of this index, as far as `service` is concerned.
    ///
    /// # Errors
    /// The interface is gone, or the kernel cannot do this.
    pub fn run(
        &mut self,
        service: &PinnedService,
        ingress: u32,
        frame: &[u8],
    ) -> Result<Outcome, DataplaneError> {
        const UNSAID: u32 = u32::MAX;
        let unsaid = Verdict { slot: NO_SERVICE, row: NO_ROW, reason: UNSAID, egress: 0 };
        self.own(map::VERDICT)?.set(0, Shared(unsaid), 0).map_err(failed(map::VERDICT, "write"))?;

        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, u32::try_from(frame.len()).unwrap_or(u32::MAX), 0, ingress, 0, 0];
        let context = context.map(u32::to_ne_bytes).concat();
        let mut out = vec![0; frame.len() + ROOM];
        let program: &mut Xdp = xdp(&mut self.ebpf, PROGRAM)?;
        let ran = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ..TestRunOptions::default()
            })
            .map_err(|error| DataplaneError::Run { detail: chain(&error) })?;
        out.truncate(ran.data_size_out as usize);

        let Shared(verdict): Shared<Verdict> =
            self.own(map::VERDICT)?.get(&0, 0).map_err(failed(map::VERDICT, "read"))?;
        let first = abi::row(service.slot(), 0);
        let backend = verdict.row.checked_sub(first).filter(|backend| *backend < MAX_BACKENDS);
        Ok(Outcome {
            action: ran.return_value,
            reason: Reason::ALL.iter().copied().find(|reason| *reason as u32 == verdict.reason),
            of_service: verdict.slot == service.slot(),
            backend: backend.and_then(|backend| u8::try_from(backend).ok()),
            egress: Some(verdict.egress).filter(|egress| *egress != 0),
            frame: out,
        })
    }
}

/// As much of a program's name as the kernel keeps.
fn kept(name: &'static str) -> &'static [u8] {
    let name = name.as_bytes();
    name.get(..NAME_KEPT).unwrap_or(name)
}

fn typed_id(directory: &Path, name: &'static str) -> Result<u32, DataplaneError> {
    let map = super::tables::pinned(directory, name)?;
    Ok(map.info().map_err(failed(name, "open"))?.id())
}

fn missing(name: &str) -> DataplaneError {
    DataplaneError::Load { detail: format!("the object has no map `{name}`") }
}
