//! fastswitch: sends packets for a virtual IP to whichever backend is active, and decides which one that is.
//!
//! `ARCHITECTURE.md` at the top of the repository has the bird's eye view and the rules between these modules.

pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod engine;
pub mod machine;
pub mod net;
pub mod offline;
pub mod probe;
pub mod runner;
pub mod telemetry;
pub mod trace;
