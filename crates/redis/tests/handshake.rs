//! The handshake, against a server of a few lines.

use aiocachetools_redis::Frame;
use aiocachetools_redis::decode::Decoder;
use aiocachetools_redis::handshake::{Handshake, Options, Progress, Refusal, Server};

/// Runs a handshake; the server answers each command by a function of its first two words.
fn shake(options: Options, answer: impl Fn(&str) -> &'static str) -> Result<(Server, Vec<String>), Refusal> {
    let mut out = Vec::new();
    let mut handshake = Handshake::begin(options, &mut out);
    let (mut to_server, mut to_client) = (Decoder::new(1 << 16), Decoder::new(1 << 16));
    let mut seen = Vec::new();
    loop {
        assert!(!out.is_empty(), "nothing is under way: {seen:?}");
        let mut answers = String::new();
        let mut commands = to_server.take(&std::mem::take(&mut out));
        while let Some(command) = commands.next().unwrap() {
            let text = text_of(&command);
            answers += answer(&text);
            seen.push(text);
        }
        let mut frames = to_client.take(answers.as_bytes());
        while let Some(frame) = frames.next().unwrap() {
            if let Frame::Push(items) = &frame {
                handshake.push(items);
            } else if let Progress::Done(server) = handshake.reply(&frame, &mut out)? {
                return Ok((server, seen));
            }
        }
    }
}

fn text_of(command: &Frame) -> String {
    let Frame::Array(Some(parts)) = command else { panic!("{command:?} is no command") };
    let words = parts.iter().map(|part| match part {
        Frame::BulkString(Some(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?} is no part"),
    });
    words.collect::<Vec<_>>().join(" ")
}

const HELLO: &str = "%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n";

fn plain() -> Options {
    Options { channel: b"changes".to_vec(), tracking: true, ..Options::default() }
}

fn modern(command: &str) -> &'static str {
    if command.starts_with("HELLO") { HELLO } else { "+OK\r\n" }
}

#[test]
fn a_modern_server_tracks() {
    let (server, seen) = shake(plain(), modern).unwrap();
    assert_eq!(server, Server { pushes: true, tracking: true, subscribed: false });
    assert_eq!(seen, ["HELLO 3", "CLIENT TRACKING ON NOLOOP", "PING"]);
}

#[test]
fn credentials_name_and_database_are_sent() {
    let options = Options {
        username: Some(b"u".to_vec()),
        password: Some(b"p w".to_vec()),
        database: 7,
        name: b"me".to_vec(),
        ..plain()
    };
    let (_, seen) = shake(options, modern).unwrap();
    assert_eq!(seen[0], "HELLO 3 AUTH u p w SETNAME me");
    assert_eq!(seen[1], "SELECT 7");
}

#[test]
fn a_password_alone_is_the_default_users() {
    let (_, seen) = shake(Options { password: Some(b"p".to_vec()), ..plain() }, modern).unwrap();
    assert_eq!(seen[0], "HELLO 3 AUTH default p");
}

#[test]
fn without_tracking_the_channel_is_listened_to() {
    let (server, seen) = shake(plain(), |command| match command {
        "CLIENT TRACKING ON NOLOOP" => "-NOPERM no\r\n",
        "SUBSCRIBE changes" => ">3\r\n$9\r\nsubscribe\r\n$7\r\nchanges\r\n:1\r\n",
        other => modern(other),
    })
    .unwrap();
    assert_eq!(server, Server { pushes: true, tracking: false, subscribed: true });
    assert_eq!(seen[3..], ["SUBSCRIBE changes", "PING"]);
}

#[test]
fn without_either_changes_are_not_heard_of() {
    let (server, _) = shake(plain(), |command| match command.split(' ').next() {
        Some("CLIENT" | "SUBSCRIBE") => "-NOPERM no\r\n",
        _ => modern(command),
    })
    .unwrap();
    assert!(server.pushes && !server.tells());
}

#[test]
fn an_old_server_is_spoken_to_in_its_language() {
    let options =
        Options { username: Some(b"u".to_vec()), password: Some(b"p".to_vec()), database: 1, ..plain() };
    let (server, seen) = shake(options, |command| {
        if command.starts_with("HELLO") { "-ERR unknown command `HELLO`\r\n" } else { "+OK\r\n" }
    })
    .unwrap();
    assert_eq!(server, Server::default());
    assert_eq!(seen[1..], ["AUTH u p", "SELECT 1", "PING"]);
}

#[test]
fn wrong_credentials_are_denied() {
    let refusal = shake(plain(), |_| "-WRONGPASS no\r\n").unwrap_err();
    assert_eq!(refusal, Refusal::Denied("WRONGPASS no".into()));
}

#[test]
fn no_such_database_is_denied() {
    let options = Options { database: 99, ..plain() };
    let answer =
        |command: &str| if command.starts_with("SELECT") { "-ERR DB index\r\n" } else { modern(command) };
    assert_eq!(shake(options, answer).unwrap_err(), Refusal::Denied("ERR DB index".into()));
}

#[test]
fn a_server_that_loads_its_data_is_busy() {
    let refusal =
        shake(plain(), |command| if command == "PING" { "-LOADING wait\r\n" } else { modern(command) });
    assert_eq!(refusal.unwrap_err(), Refusal::Busy("LOADING wait".into()));
}
