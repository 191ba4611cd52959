//! Turns a next hop into a next-hop word: gives each interface that packets leave by a row in the port table.

use fastswitch_common::abi::{MAX_PORTS, Port};
use fastswitch_common::word::NextHopWord;

use crate::dataplane::{Dataplane, DataplaneError};

/// The port table as it is in the map. Rows are only ever added: an older next-hop word may still name any.
#[derive(Debug)]
pub(super) struct Ports {
    rows: Vec<Port>,
}

impl Ports {
    /// Takes over the rows that are there.
    pub(super) fn adopt(dataplane: &Dataplane) -> Result<Self, DataplaneError> {
        let mut rows = dataplane.ports()?;
        let used = rows.iter().rposition(|port| port.ifindex != 0).map_or(0, |last| last + 1);
        rows.truncate(used);
        Ok(Self { rows })
    }

    /// The word for a neighbour behind an interface. When the table is full, no word: the kernel's FIB serves.
    pub(super) fn word(
        &mut self,
        dataplane: &mut Dataplane,
        ifindex: u32,
        own_mac: [u8; 6],
        neighbour: [u8; 6],
    ) -> Result<NextHopWord, DataplaneError> {
        let port = Port { ifindex, mac: own_mac, _pad: [0; 2] };
        let row = match self.rows.iter().position(|row| *row == port) {
            Some(row) => row,
            None if self.rows.len() < MAX_PORTS as usize => {
                dataplane.write_port(self.rows.len() as u16, port)?;
                self.rows.push(port);
                self.rows.len() - 1
            }
            None => return Ok(NextHopWord::UNKNOWN),
        };
        Ok(NextHopWord::new(neighbour, row as u16))
    }
}
