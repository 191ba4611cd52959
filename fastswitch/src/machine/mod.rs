//! The pure core: what is wanted ([`spec`]) and, from inputs and the time, what to do.
//!
//! It owns every decision. It refuses to know clocks, files, sockets, maps, tasks and randomness: standard
//! library only, everything else comes in as a value.

pub mod spec;
