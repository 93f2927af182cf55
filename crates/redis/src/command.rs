//! Commands as they are sent: arrays of strings, the same in every version of the protocol.

/// Writes the head of a command of so many parts, each of which [`part`] or [`number`] writes.
pub fn begin(out: &mut Vec<u8>, parts: usize) {
    head(out, b'*', parts);
}

/// Writes a part.
pub fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes a part that is a number.
pub fn number(out: &mut Vec<u8>, number: i64) {
    part(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a whole command.
pub fn write(out: &mut Vec<u8>, parts: &[&[u8]]) {
    begin(out, parts.len());
    for bytes in parts {
        part(out, bytes);
    }
}

fn head(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use resp_rs::resp3::{Frame, parse_frame};

    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        begin(&mut out, 3);
        part(&mut out, b"SET");
        part(&mut out, b"");
        number(&mut out, -70);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n-70\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_the_same(parts: Vec<Vec<u8>>) {
            let mut out = Vec::new();
            write(&mut out, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (frame, rest) = parse_frame(Bytes::from(out)).unwrap();
            let strings = parts.into_iter().map(|part| Frame::BulkString(Some(part.into()))).collect();
            prop_assert_eq!(frame, Frame::Array(Some(strings)));
            prop_assert!(rest.is_empty());
        }
    }
}
