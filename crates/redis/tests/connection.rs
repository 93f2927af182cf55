//! A connection, from the handshake to its end.

use aiocachetools_redis::Frame;
use aiocachetools_redis::connection::{Broken, Connection, Event};
use aiocachetools_redis::decode::DecodeError;
use aiocachetools_redis::handshake::{Options, Refusal, Server};
use aiocachetools_redis::watch::{Limits, Verdict};
use bytes::Bytes;

const LIMITS: Limits = Limits { deadline: 0.25, grace: 1.0, heartbeat: 2.0 };
const UP: Server = Server { pushes: true, tracking: true, subscribed: false };

fn connect(options: Options) -> Connection<u32> {
    let mut connection = Connection::new(options, LIMITS, 1 << 16);
    assert!(connection.write(0.0).starts_with(b"*2\r\n$5\r\nHELLO\r\n"));
    connection
}

/// A connection whose handshake is done.
fn up() -> Connection<u32> {
    let mut connection = connect(Options { tracking: true, ..Options::default() });
    assert_eq!(events(&mut connection, b"%0\r\n", 0.0), []);
    connection.write(0.0);
    assert_eq!(events(&mut connection, b"+OK\r\n+PONG\r\n", 0.0), [Event::Ready(UP)]);
    connection
}

fn events(connection: &mut Connection<u32>, data: &[u8], now: f64) -> Vec<Event<u32>> {
    connection.receive(data, now);
    std::iter::from_fn(|| connection.next(now)).collect()
}

fn ask(connection: &mut Connection<u32>, asker: u32, commands: usize) {
    connection.out().extend(b"*1\r\n$4\r\nPING\r\n".repeat(commands));
    connection.ask(asker, commands);
}

#[test]
fn answers_come_in_the_order_of_requests_and_pushes_between_them() {
    let mut connection = up();
    ask(&mut connection, 1, 1);
    ask(&mut connection, 2, 2);
    assert_eq!(connection.write(1.0), b"*1\r\n$4\r\nPING\r\n".repeat(3));
    assert_eq!(connection.waiting(), 2);
    let found = events(&mut connection, b":1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n:2\r\n", 1.0);
    assert_eq!(
        found,
        [Event::Answer(1, vec![Frame::Integer(1)]), Event::Changed(Some(vec![Bytes::from_static(b"k")]))]
    );
    let last = Event::Answer(2, vec![Frame::Integer(2), Frame::Integer(3)]);
    assert_eq!(
        events(&mut connection, b":3\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n", 1.0),
        [last, Event::Changed(None)]
    );
    assert_eq!(connection.waiting(), 0);
}

#[test]
fn a_request_that_cannot_be_written_is_failed_as_well() {
    let mut connection = up();
    ask(&mut connection, 1, 1);
    assert_eq!(connection.look(1.0), (Verdict::Wait(0.25), vec![]));
    assert_eq!(connection.look(1.125), (Verdict::Wait(0.125), vec![]));
    assert_eq!(connection.look(1.25), (Verdict::Open(1.0), vec![1]));
    assert_eq!(connection.write(1.5), b"*1\r\n$4\r\nPING\r\n");
    ask(&mut connection, 2, 1);
    connection.write(1.5);
    let answers = events(&mut connection, b":1\r\n:2\r\n", 1.5);
    assert_eq!(answers, [Event::Answer(2, vec![Frame::Integer(2)])]);
}

#[test]
fn a_request_that_is_late_is_failed_and_its_answer_passed_over() {
    let mut connection = up();
    ask(&mut connection, 1, 1);
    // Its time runs from when it was written.
    assert_eq!(connection.look(1.0), (Verdict::Wait(0.25), vec![]));
    connection.write(1.5);
    assert_eq!(connection.look(1.625), (Verdict::Wait(0.125), vec![]));
    assert_eq!(connection.look(1.75), (Verdict::Open(1.0), vec![1]));
    assert!(!connection.is_open());
    assert_eq!(events(&mut connection, b":1\r\n", 2.0), []);
    assert!(connection.is_open());
    ask(&mut connection, 2, 1);
    connection.write(2.0);
    assert_eq!(events(&mut connection, b":2\r\n", 2.0), [Event::Answer(2, vec![Frame::Integer(2)])]);
}

#[test]
fn a_silent_server_is_asked_and_given_up() {
    let mut connection = up();
    assert_eq!(connection.look(1.0), (Verdict::Wait(1.0), vec![]));
    assert_eq!(connection.look(2.0), (Verdict::Ping(0.25), vec![]));
    assert_eq!(connection.write(2.0), b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(events(&mut connection, b"+PONG\r\n", 2.1), []);
    assert_eq!(connection.look(4.1), (Verdict::Ping(0.25), vec![]));
    connection.write(4.1);
    assert_eq!(connection.look(4.35), (Verdict::Open(1.0), vec![]));
    assert_eq!(connection.look(5.35), (Verdict::GiveUp, vec![]));
}

#[test]
fn an_answer_that_nobody_has_asked_for_is_the_end() {
    let mut connection = up();
    assert_eq!(events(&mut connection, b":1\r\n:2\r\n", 1.0), [Event::Broken(Broken::Unasked)]);
    assert_eq!(events(&mut connection, b":1\r\n", 1.0), []);
    let mut connection = up();
    ask(&mut connection, 1, 1);
    // Nor is one to what has not been sent.
    assert_eq!(events(&mut connection, b":1\r\n", 1.0), [Event::Broken(Broken::Unasked)]);
    assert_eq!(connection.fail(), [1]);
    assert_eq!(connection.fail(), []);
}

#[test]
fn what_is_no_protocol_is_the_end() {
    let mut connection = up();
    let found = events(&mut connection, b"HTTP/1.1 400\r\n", 1.0);
    assert!(matches!(found[..], [Event::Broken(Broken::Malformed(DecodeError::Malformed(_)))]));
    assert!(!connection.is_open());
}

#[test]
fn a_server_that_refuses() {
    let mut connection = connect(Options::default());
    let refused = Broken::Refused(Refusal::Denied("WRONGPASS no".into()));
    assert_eq!(events(&mut connection, b"-WRONGPASS no\r\n", 0.0), [Event::Broken(refused)]);
}

#[test]
fn a_server_that_does_not_track_tells_what_is_published() {
    let options = Options { tracking: true, channel: b"c".to_vec(), ..Options::default() };
    let mut connection = connect(options);
    events(&mut connection, b"%0\r\n", 0.0);
    assert_eq!(events(&mut connection, b"-ERR no tracking\r\n+PONG\r\n", 0.0), []);
    let subscribed = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+PONG\r\n";
    let server = Server { pushes: true, tracking: false, subscribed: true };
    assert_eq!(events(&mut connection, subscribed, 0.0), [Event::Ready(server)]);
    let message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\ntext\r\n";
    assert_eq!(events(&mut connection, message, 0.0), [Event::Published(Bytes::from_static(b"text"))]);
}
