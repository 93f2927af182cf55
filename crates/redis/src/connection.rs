//! One connection, from the handshake to its end.
//!
//! 1. Requests are answered in the order in which they were made; pushes come between the answers,
//!    in the order in which the server sent them.
//! 2. What is asked in one go is written in one go: [`Connection::write`] gives all that has
//!    gathered, and a request's time runs from there; that of one which cannot be written from when
//!    that was seen.
//! 3. A request whose time is over is failed, and its answer, should it come, is passed over.
//! 4. After [`Event::Broken`] the connection is of no more use; [`Connection::fail`] gives back all
//!    who wait.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use resp_rs::resp3::Frame;

use crate::command;
use crate::decode::{DecodeError, Decoder, Frames};
use crate::handshake::{Handshake, Options, Progress, Refusal, Server};
use crate::watch::{Limits, Verdict, Watch};

/// What has happened.
#[derive(Debug, PartialEq)]
pub enum Event<T> {
    /// The connection can be used.
    Ready(Server),
    /// A request is answered: one frame for each of its commands.
    Answer(T, Vec<Frame>),
    /// Keys have changed; `None` for all of them.
    Changed(Option<Vec<Bytes>>),
    /// Something was published on the channel.
    Published(Bytes),
    /// The connection is of no more use.
    Broken(Broken),
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq)]
pub enum Broken {
    /// The server does not want to serve.
    Refused(Refusal),
    /// What it sends is no protocol, or too long.
    Malformed(DecodeError),
    /// It has answered what was not asked.
    Unasked,
}

/// Who waits for the answer to a request.
#[derive(Debug)]
enum Owner<T> {
    /// Somebody.
    Asker(T),
    /// The watch.
    Heartbeat,
    /// Nobody any more.
    Gone,
}

#[derive(Debug)]
struct Request<T> {
    owner: Owner<T>,
    commands: usize,
    answers: Vec<Frame>,
    written: bool,
    /// Since when it has waited.
    since: Option<f64>,
}

#[derive(Debug)]
enum State {
    Greeting(Handshake),
    Up(Watch),
    Broken,
}

/// A connection whose requests are known by a `T`.
#[derive(Debug)]
pub struct Connection<T> {
    state: State,
    decoder: Decoder,
    arrived: Option<Frames>,
    requests: VecDeque<Request<T>>,
    /// How many requests at the back have not been written.
    unwritten: usize,
    out: Vec<u8>,
    limits: Limits,
}

impl<T> Connection<T> {
    /// A connection over a new socket; what [`write`](Self::write) gives is the beginning of the handshake.
    ///
    /// `longest` is how many bytes of a reply are kept.
    pub fn new(options: Options, limits: Limits, longest: usize) -> Self {
        let mut out = Vec::new();
        let handshake = Handshake::begin(options, &mut out);
        Self {
            state: State::Greeting(handshake),
            decoder: Decoder::new(longest),
            arrived: None,
            requests: VecDeque::new(),
            unwritten: 0,
            out,
            limits,
        }
    }

    /// Whether requests can be made.
    pub fn is_open(&self) -> bool {
        matches!(&self.state, State::Up(watch) if !watch.is_open())
    }

    /// How many requests have not been answered.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// How many of them have not been written.
    pub fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Where the next commands are to be written, before they are [`asked`](Self::ask).
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// So many commands that were written to [`out`](Self::out) are a request.
    pub fn ask(&mut self, asker: T, commands: usize) {
        self.push(Owner::Asker(asker), commands);
    }

    fn push(&mut self, owner: Owner<T>, commands: usize) {
        self.unwritten += 1;
        self.requests.push_back(Request {
            owner,
            commands,
            answers: Vec::with_capacity(commands),
            written: false,
            since: None,
        });
    }

    /// What is to be sent now.
    pub fn write(&mut self, now: f64) -> Vec<u8> {
        for request in self.requests.iter_mut().rev().take(mem::take(&mut self.unwritten)) {
            (request.written, request.since) = (true, Some(now));
        }
        mem::take(&mut self.out)
    }

    /// Takes what has arrived; [`next`](Self::next) tells what it means.
    pub fn receive(&mut self, data: &[u8], now: f64) {
        match &mut self.state {
            State::Up(watch) => watch.hear(now),
            State::Greeting(_) => {}
            State::Broken => return,
        }
        self.arrived = Some(self.decoder.take(data));
    }

    /// What has happened next; `None` when nothing more has.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self, now: f64) -> Option<Event<T>> {
        loop {
            let frame = match self.arrived.as_mut()?.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    self.decoder.keep(self.arrived.take()?);
                    return None;
                }
                Err(error) => return Some(self.break_off(Broken::Malformed(error))),
            };
            let event = match frame {
                Frame::Push(items) => self.pushed(items),
                frame => self.answered(frame, now),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn break_off(&mut self, why: Broken) -> Event<T> {
        self.state = State::Broken;
        self.arrived = None;
        Event::Broken(why)
    }

    fn answered(&mut self, frame: Frame, now: f64) -> Option<Event<T>> {
        match &mut self.state {
            State::Broken => None,
            State::Greeting(handshake) => match handshake.reply(&frame, &mut self.out) {
                Ok(Progress::Waiting) => None,
                Ok(Progress::Done(server)) => {
                    self.state = State::Up(Watch::new(self.limits, now));
                    Some(Event::Ready(server))
                }
                Err(refusal) => Some(self.break_off(Broken::Refused(refusal))),
            },
            State::Up(_) => self.settle(frame),
        }
    }

    fn settle(&mut self, frame: Frame) -> Option<Event<T>> {
        // An answer to what has not been sent is none.
        let Some(request) = self.requests.front_mut().filter(|request| request.written) else {
            return Some(self.break_off(Broken::Unasked));
        };
        request.answers.push(frame);
        if request.answers.len() < request.commands {
            return None;
        }
        let request = self.requests.pop_front()?;
        match request.owner {
            Owner::Asker(asker) => Some(Event::Answer(asker, request.answers)),
            Owner::Heartbeat | Owner::Gone => None,
        }
    }

    fn pushed(&mut self, items: Vec<Frame>) -> Option<Event<T>> {
        if let State::Greeting(handshake) = &mut self.state {
            handshake.push(&items);
        }
        let mut items = items.into_iter();
        match (&text_of(items.next()?)?[..], items.next(), items.next()) {
            (b"invalidate", Some(Frame::Array(Some(keys))), _) => {
                Some(Event::Changed(Some(keys.into_iter().filter_map(text_of).collect())))
            }
            (b"invalidate", _, _) => Some(Event::Changed(None)),
            (b"message", _, Some(message)) => text_of(message).map(Event::Published),
            _ => None,
        }
    }

    /// Looks at the time: what is to be done, and by whom a request was made that is failed.
    ///
    /// While the handshake is under way there is nothing to look at: its end is its owner's to wait for.
    pub fn look(&mut self, now: f64) -> (Verdict, Vec<T>) {
        let oldest = self.requests.iter_mut().find(|request| !matches!(request.owner, Owner::Gone));
        let oldest = oldest.map(|request| *request.since.get_or_insert(now));
        let State::Up(watch) = &mut self.state else {
            return (Verdict::Wait(self.limits.deadline), Vec::new());
        };
        let verdict = watch.look(now, oldest);
        match verdict {
            Verdict::Ping(_) => {
                command::write(&mut self.out, &[b"PING"]);
                self.push(Owner::Heartbeat, 1);
                (verdict, Vec::new())
            }
            Verdict::Open(_) | Verdict::GiveUp => (verdict, self.fail()),
            Verdict::Wait(_) => (verdict, Vec::new()),
        }
    }

    /// All who wait for an answer.
    pub fn askers(&self) -> impl Iterator<Item = &T> {
        let owners = self.requests.iter().map(|request| &request.owner);
        owners.filter_map(|owner| if let Owner::Asker(asker) = owner { Some(asker) } else { None })
    }

    /// Takes away all who wait for an answer, which none of them will get.
    pub fn fail(&mut self) -> Vec<T> {
        let owners = self.requests.iter_mut().map(|request| mem::replace(&mut request.owner, Owner::Gone));
        owners.filter_map(|owner| if let Owner::Asker(asker) = owner { Some(asker) } else { None }).collect()
    }
}

fn text_of(frame: Frame) -> Option<Bytes> {
    match frame {
        Frame::BulkString(Some(text)) | Frame::SimpleString(text) => Some(text),
        _ => None,
    }
}
