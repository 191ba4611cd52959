//! What the XDP program and the daemon agree on: the shapes of the maps, the reasons counted, and the
//! packet code that both a kernel and a host test can run.
//!
//! Owns layout and arithmetic only. It refuses to know maps, system calls, clocks or any other crate of
//! fastswitch.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod address;
pub mod answer;
pub mod checksum;
pub mod connection;
pub mod flow;
pub mod local;
pub mod mark;
pub mod packet;
pub mod parse;
pub mod reason;
pub mod rewrite;
pub mod word;
