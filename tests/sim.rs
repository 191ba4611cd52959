//! The state machine by itself, under a clock of the tests' own: rules as tables, then whatever chance brings.
//!
//! Every input of every test goes through [`watch::Watched`], which holds the machine against the rules that must
//! always hold.
#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "sim/chance.rs"]
mod chance;
#[path = "sim/cold.rs"]
mod cold;
#[path = "sim/drain.rs"]
mod drain;
#[path = "sim/failback.rs"]
mod failback;
#[path = "sim/fates.rs"]
mod fates;
#[path = "sim/freeze.rs"]
mod freeze;
#[path = "sim/incidents.rs"]
mod incidents;
#[path = "sim/invariants.rs"]
mod invariants;
#[path = "sim/memory.rs"]
mod memory;
#[path = "sim/model.rs"]
mod model;
#[path = "sim/operator.rs"]
mod operator;
#[path = "sim/restart.rs"]
mod restart;
#[path = "sim/schedules.rs"]
mod schedules;
#[path = "sim/services.rs"]
mod services;
#[path = "sim/switching.rs"]
mod switching;
#[path = "sim/table.rs"]
mod table;
#[path = "sim/views.rs"]
mod views;
#[path = "sim/watch.rs"]
mod watch;
#[path = "sim/words.rs"]
mod words;
#[path = "sim/world.rs"]
mod world;
