//! Turns a next hop into a next-hop word: gives each way out a row in the port table.

use fastswitch_common::abi::{MAX_PORTS, Port};
use fastswitch_common::word::NextHopWord;

use crate::dataplane::{Dataplane, DataplaneError};

/// The port table as it is in the map. A row keeps its interface and MAC address for ever, since an older next-hop word
/// may still name it; its MTU may change.
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

    /// Gives each of `wanted` a row, as long as there are any.
    pub(super) fn update(
        &mut self,
        dataplane: &mut Dataplane,
        wanted: &[Port],
    ) -> Result<(), DataplaneError> {
        for (row, port) in self.changes(wanted) {
            dataplane.write_port(row as u16, port)?;
            if row < self.rows.len() {
                self.rows[row] = port;
            } else {
                self.rows.push(port);
            }
        }
        Ok(())
    }

    /// The word for a neighbour behind a port. Where the port has no row, no word: the kernel's FIB serves.
    pub(super) fn word(&self, port: &Port, neighbour: [u8; 6]) -> NextHopWord {
        let row = self.rows.iter().position(|row| row == port);
        row.map_or(NextHopWord::UNKNOWN, |row| NextHopWord::new(neighbour, row as u16))
    }

    /// Rows to write so that each of `wanted` has one: of the same way out with an MTU that nobody wants any more, else
    /// new ones, while there are any.
    fn changes(&self, wanted: &[Port]) -> Vec<(usize, Port)> {
        let mut rows = self.rows.clone();
        let mut changes = Vec::new();
        for port in wanted {
            if rows.contains(port) {
                continue;
            }
            let outdated =
                |row: &Port| (row.ifindex, row.mac) == (port.ifindex, port.mac) && !wanted.contains(row);
            let row = rows.iter().position(outdated).unwrap_or(rows.len());
            if row < rows.len() {
                rows[row] = *port;
            } else if row < MAX_PORTS as usize {
                rows.push(*port);
            } else {
                continue;
            }
            changes.push((row, *port));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ifindex: u32, mtu: u16) -> Port {
        Port { ifindex, mac: [2, 0, 0, 0, 0, ifindex as u8], mtu }
    }

    #[test]
    fn another_mtu_takes_the_row_of_the_one_before() {
        let ports = Ports { rows: vec![port(2, 1500), port(3, 1500)] };
        assert_eq!(ports.changes(&[port(3, 9000), port(2, 1500)]), [(1, port(3, 9000))]);
        assert_eq!(ports.changes(&[port(3, 1500), port(2, 1500), port(3, 1500)]), []);
    }

    #[test]
    fn ways_of_several_mtus_out_of_one_interface_have_a_row_each() {
        let ports = Ports { rows: vec![port(2, 1500), port(2, 1400)] };
        assert_eq!(ports.changes(&[port(2, 1400), port(2, 1300)]), [(0, port(2, 1300))]);
        assert_eq!(ports.changes(&[port(2, 1300), port(2, 1400), port(2, 1500)]), [(2, port(2, 1300))]);
    }

    #[test]
    fn another_interface_or_address_never_takes_a_row() {
        let moved = Port { mac: [2, 0, 0, 0, 9, 9], ..port(2, 1500) };
        let ports = Ports { rows: vec![port(2, 1500)] };
        assert_eq!(ports.changes(&[moved, port(3, 1500)]), [(1, moved), (2, port(3, 1500))]);
    }

    #[test]
    fn a_full_table_gives_no_word() {
        let ports = Ports { rows: (1..=MAX_PORTS).map(|ifindex| port(ifindex, 1500)).collect() };
        assert_eq!(ports.changes(&[port(100, 1500), port(5, 1400)]), [(4, port(5, 1400))]);
        assert_eq!(ports.word(&port(100, 1500), [2; 6]), NextHopWord::UNKNOWN);
        assert_eq!(ports.word(&port(5, 1500), [2; 6]), NextHopWord::new([2; 6], 4));
    }
}
