//! A connection to Redis or Valkey without the input and output.
//!
//! Whoever owns the socket and the clock passes in bytes and times, and does what comes back:
//!
//! - [`command`] writes commands,
//! - [`decode`] makes replies and pushes of the bytes that arrive,
//! - [`envelope`] recognises a stored result,
//! - [`handshake`] brings a new connection up, and finds out what the server can do,
//! - [`watch`] says when the server has been silent for too long,
//! - [`connection`] is all of these for one socket.

#![forbid(unsafe_code)]

pub mod command;
pub mod connection;
pub mod decode;
pub mod envelope;
pub mod handshake;
pub mod watch;

/// One reply or push, as the server sent it.
pub use resp_rs::resp3::Frame;
