//! How the command line and the daemon talk: one JSON line each way over a Unix socket.
//!
//! It owns the wire types and the transport. It refuses to know the machine, the maps or what a request does.

mod client;
mod server;
pub mod wire;

pub use client::{ClientError, ask};
pub use server::{Asked, ServerError, SocketFile, serve};

/// Where the socket is unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/fastswitch/control.sock";

/// Longest request line, in bytes: requests hold a few names.
const REQUEST_LIMIT: u64 = 64 * 1024;
