//! The table of connections of a [`Gateway`], as the kernel has it.

use fastswitch_common::abi::{Flow, map};
use fastswitch_common::connection::Connection;

use super::gateway::Gateway;

/// The established connections: each flow with the row of its backend.
pub fn established(gateway: &Gateway) -> Vec<(Flow, u32)> {
    let entries: Vec<(Flow, Connection)> = gateway.hash(map::CONNECTIONS);
    entries.into_iter().map(|(flow, connection)| (flow, connection.row)).collect()
}
