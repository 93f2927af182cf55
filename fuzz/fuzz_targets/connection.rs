//! A server that may send anything, in pieces of any size, at any time.
//!
//! 1. However the bytes are cut, the same happens.
//! 2. Each request is answered or failed exactly once, or waits.
//! 3. Nothing panics, and what is allocated does not follow what a length merely claims: the limits
//!    that `make fuzz` sets on a single allocation and on all of them would be passed.

#![no_main]

use std::collections::BTreeSet;

use aiocachetools_redis::connection::{Connection, Event};
use aiocachetools_redis::handshake::Options;
use aiocachetools_redis::watch::Limits;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 1 << 10;
const LIMITS: Limits = Limits { deadline: 0.25, grace: 1.0, heartbeat: 1.0 };

#[derive(Arbitrary, Debug)]
struct Input {
    password: bool,
    database: bool,
    /// Whether the server greets as it should, so that what follows gets further.
    greeted: bool,
    /// How many commands each request has.
    requests: Vec<u8>,
    /// Lengths of the pieces.
    cuts: Vec<u8>,
    /// How much time passes before each of them.
    pauses: Vec<u8>,
    data: Vec<u8>,
}

/// A connection, and what has become of its requests.
struct Run<'a> {
    connection: Connection<usize>,
    input: &'a Input,
    waiting: BTreeSet<usize>,
    happened: Vec<Event<usize>>,
}

impl<'a> Run<'a> {
    fn new(input: &'a Input) -> Self {
        let options = Options {
            password: input.password.then(|| b"secret".to_vec()),
            database: u32::from(input.database),
            channel: b"channel".to_vec(),
            tracking: true,
            ..Options::default()
        };
        let mut connection = Connection::new(options, LIMITS, LONGEST);
        assert!(connection.write(0.0).starts_with(b"*"));
        Self { connection, input, waiting: BTreeSet::new(), happened: Vec::new() }
    }

    fn receive(&mut self, piece: &[u8], now: f64) {
        self.connection.receive(piece, now);
        while let Some(event) = self.connection.next(now) {
            match &event {
                Event::Ready(_) => self.ask(now),
                Event::Answer(number, frames) => {
                    assert!(self.waiting.remove(number), "answered twice, or not asked");
                    assert_eq!(frames.len(), usize::from(self.input.requests[*number].max(1)));
                }
                _ => {}
            }
            self.happened.push(event);
        }
        self.connection.write(now);
    }

    fn ask(&mut self, now: f64) {
        for (number, &commands) in self.input.requests.iter().enumerate() {
            self.connection.ask(number, usize::from(commands.max(1)));
            assert!(self.waiting.insert(number), "ready twice");
        }
        self.connection.write(now);
    }

    fn look(&mut self, now: f64) {
        for number in self.connection.look(now).1 {
            assert!(self.waiting.remove(&number), "failed twice, or answered");
        }
        self.connection.write(now);
    }

    fn check(&self) {
        assert_eq!(self.connection.askers().copied().collect::<BTreeSet<_>>(), self.waiting);
    }
}

fuzz_target!(|input: Input| {
    let mut data = if input.greeted { b"%0\r\n+OK\r\n+OK\r\n+PONG\r\n".to_vec() } else { Vec::new() };
    data.extend_from_slice(&input.data);

    let mut whole = Run::new(&input);
    whole.receive(&data, 0.0);
    whole.check();

    let mut cut = Run::new(&input);
    let mut late = Run::new(&input);
    let (mut rest, mut now) = (&data[..], 0.0);
    let pauses = input.pauses.iter().chain(std::iter::repeat(&0));
    for (&size, &pause) in input.cuts.iter().chain(std::iter::repeat(&255)).zip(pauses) {
        let (piece, after) = rest.split_at(usize::from(size).min(rest.len()));
        cut.receive(piece, 0.0);
        now += f64::from(pause) / 100.0;
        late.look(now);
        late.receive(piece, now);
        late.check();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    cut.check();
    assert_eq!(cut.happened, whole.happened);
});
