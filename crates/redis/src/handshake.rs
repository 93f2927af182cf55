//! The handshake: from a new socket to a connection that can be used, and what the server can do.
//!
//! 1. `HELLO 3` with the credentials; a server that does not know it is spoken to in RESP 2.
//! 2. The database, tracking of what is read (`CLIENT TRACKING ON NOLOOP`), and a PING, which a
//!    server that is loading its data refuses.
//! 3. Where tracking is refused, the channel that changes are published on, if the protocol has
//!    pushes; otherwise changes are not heard of.

use std::fmt;

use resp_rs::resp3::Frame;

use crate::command;

/// What the connection is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who connects; `default` where only a password is given.
    pub username: Option<Vec<u8>>,
    /// The user's password.
    pub password: Option<Vec<u8>>,
    /// The number of the database.
    pub database: u32,
    /// What the server calls the connection in `CLIENT LIST`.
    pub name: Vec<u8>,
    /// Where changes are published.
    pub channel: Vec<u8>,
    /// Whether to ask for tracking at all.
    pub tracking: bool,
}

/// What the server can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// It speaks RESP 3.
    pub pushes: bool,
    /// It tells of changes to what this connection has read.
    pub tracking: bool,
    /// It tells of changes that are published.
    pub subscribed: bool,
}

impl Server {
    /// Whether changes are heard of at all.
    pub fn tells(self) -> bool {
        self.tracking || self.subscribed
    }
}

/// Why the connection cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server's answer is that it will not serve this: wrong credentials, no such database.
    Denied(String),
    /// The server cannot serve yet.
    Busy(String),
    /// An answer that makes no sense.
    Confused,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Busy(text) => f.write_str(text),
            Self::Confused => f.write_str("the server has answered the handshake with something else"),
        }
    }
}

/// What a reply is the answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    Select,
    Tracking,
    Subscribe,
    Ping,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Replies are missing.
    Waiting,
    /// The connection can be used.
    Done(Server),
}

/// One handshake.
#[derive(Debug)]
pub struct Handshake {
    options: Options,
    /// What has been asked, the next to be answered last.
    asked: Vec<Step>,
    server: Server,
}

impl Handshake {
    /// Begins a handshake: what is written to `out` is to be sent.
    pub fn begin(options: Options, out: &mut Vec<u8>) -> Self {
        let mut parts: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = &options.password {
            parts.extend([b"AUTH", options.username.as_deref().unwrap_or(b"default"), password]);
        }
        if !options.name.is_empty() {
            parts.extend([b"SETNAME", options.name.as_slice()]);
        }
        command::write(out, &parts);
        Self { options, asked: vec![Step::Hello], server: Server::default() }
    }

    /// Takes a push: only the confirmation of a subscription says anything here.
    pub fn push(&mut self, items: &[Frame]) {
        if matches!(items.first(), Some(Frame::BulkString(Some(kind))) if &kind[..] == b"subscribe") {
            self.server.subscribed = true;
            self.asked.retain(|&step| step != Step::Subscribe);
        }
    }

    /// Takes a reply; what is written to `out` is to be sent.
    ///
    /// # Errors
    /// When the connection cannot be used.
    pub fn reply(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        let step = self.asked.pop().ok_or(Refusal::Confused)?;
        let error = error_of(frame);
        match (step, error) {
            (Step::Hello, Some(text)) if is_unknown(&text) => self.ask_old(out),
            (Step::Hello, None) => {
                self.server.pushes = matches!(frame, Frame::Map(_));
                self.ask(out);
            }
            (Step::Tracking, None) => self.server.tracking = true,
            (Step::Tracking, Some(_)) if !self.options.channel.is_empty() => {
                command::write(out, &[b"SUBSCRIBE", &self.options.channel]);
                command::write(out, &[b"PING"]);
                self.asked.splice(0..0, [Step::Ping, Step::Subscribe]);
            }
            (Step::Tracking | Step::Subscribe, _) | (_, None) => {}
            (_, Some(text)) if is_busy(&text) => return Err(Refusal::Busy(text)),
            (_, Some(text)) => return Err(Refusal::Denied(text)),
        }
        Ok(if self.asked.is_empty() { Progress::Done(self.server) } else { Progress::Waiting })
    }

    fn ask_old(&mut self, out: &mut Vec<u8>) {
        if let Some(password) = &self.options.password {
            match &self.options.username {
                Some(username) => command::write(out, &[b"AUTH", username, password]),
                None => command::write(out, &[b"AUTH", password]),
            }
            self.asked.push(Step::Auth);
        }
        self.ask(out);
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        if self.options.database != 0 {
            command::begin(out, 2);
            command::part(out, b"SELECT");
            command::number(out, i64::from(self.options.database));
            self.asked.insert(0, Step::Select);
        }
        if self.server.pushes && self.options.tracking {
            command::write(out, &[b"CLIENT", b"TRACKING", b"ON", b"NOLOOP"]);
            self.asked.insert(0, Step::Tracking);
        }
        command::write(out, &[b"PING"]);
        self.asked.insert(0, Step::Ping);
    }
}

/// Whether an error says that the server is there and cannot serve for now.
pub fn is_busy(text: &str) -> bool {
    let code = text.split(' ').next().unwrap_or_default();
    matches!(code, "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN")
}

fn is_unknown(text: &str) -> bool {
    text.starts_with("NOPROTO") || text.to_ascii_lowercase().starts_with("err unknown command")
}

/// The text of an error.
pub fn error_of(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Error(text) | Frame::BlobError(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}
