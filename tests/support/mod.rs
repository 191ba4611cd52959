//! What the end-to-end tests share.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod capture;
pub(crate) mod held;
pub(crate) mod journal;
pub(crate) mod pcap;
pub(crate) mod privileged;
pub(crate) mod said;
pub(crate) mod scene;
pub(crate) mod stream;
pub(crate) mod terminal;
