//! Replies and pushes out of the bytes that arrive, in pieces of any size.
//!
//! The grammar is resp-rs's, which bounds depth, lines and what it allocates for a length that is
//! merely claimed.  Here is the buffering:
//!
//! 1. A frame that has arrived in one piece is read where it is; nothing else is kept.
//! 2. A long string is looked at again only when all of it is there, other frames with every piece.
//! 3. Of a string longer than the limit the first bytes are kept, and the rest is passed over as it
//!    arrives: it is a value that somebody else has put there, and the connection outlives it.
//! 4. Any other frame longer than the limit is an error as soon as that is known, and after an error
//!    the connection is of no more use.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use resp_rs::ParseError;
use resp_rs::resp3::{Frame, parse_frame};

/// How much is kept of a string that is too long.
const KEPT: usize = 64;
/// What no server sends: the longest string, by its `proto-max-bulk-len`.
const LONGEST: usize = 512 << 20;

/// Bytes that are no protocol, or too long.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// What the server sent is not RESP.
    Malformed(ParseError),
    /// A part of RESP 3 that no server sends.
    Streamed,
    /// A frame is longer than so many bytes.
    TooLong(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "the server does not speak RESP: {error}"),
            Self::Streamed => write!(f, "the server has sent a streamed type of RESP 3"),
            Self::TooLong(limit) => write!(f, "a reply is longer than {limit} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What has arrived of a frame that is not complete.
#[derive(Debug)]
pub struct Decoder {
    partial: BytesMut,
    /// The frame cannot be complete before so many bytes are there.
    wanted: usize,
    cut: Option<Cut>,
    limit: usize,
}

/// A string that is too long, while it arrives.
#[derive(Debug)]
struct Cut {
    kept: BytesMut,
    /// How many bytes are to come, the end of the line included.
    left: usize,
}

/// The frames of one piece of input.
#[derive(Debug)]
pub struct Frames {
    rest: Bytes,
    /// How long the frame at the front of the rest is, at the least.
    wanted: usize,
    cut: Option<Cut>,
    limit: usize,
}

impl Decoder {
    /// A decoder of frames of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { partial: BytesMut::new(), wanted: 0, cut: None, limit }
    }

    /// Takes the next bytes; the frames that they complete are to be read, and given back to [`keep`].
    ///
    /// [`keep`]: Self::keep
    pub fn take(&mut self, data: &[u8]) -> Frames {
        let rest = if self.partial.is_empty() {
            Bytes::copy_from_slice(data)
        } else {
            self.partial.extend_from_slice(data);
            let whole = self.partial.len() >= self.wanted;
            if whole { self.partial.split().freeze() } else { Bytes::new() }
        };
        Frames { rest, wanted: 0, cut: self.cut.take(), limit: self.limit }
    }

    /// Takes back what is not complete.
    pub fn keep(&mut self, frames: Frames) {
        self.cut = frames.cut;
        if frames.rest.is_empty() {
            return;
        }
        self.wanted = frames.wanted;
        self.partial = frames.rest.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        self.partial.reserve(self.wanted.saturating_sub(self.partial.len()));
    }
}

impl Frames {
    /// The next frame; `None` when the rest is not complete.
    ///
    /// # Errors
    /// When the bytes are no frame, or one that is too long.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        loop {
            if let Some(long) = self.pass_over() {
                return Ok(long);
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            match parse_frame(self.rest.clone()) {
                Ok((Frame::Attribute(_), rest)) => self.rest = rest,
                Ok((frame, rest)) => {
                    if self.rest.len() - rest.len() > self.limit {
                        return Err(DecodeError::TooLong(self.limit));
                    }
                    self.rest = rest;
                    return if is_streamed(&frame) { Err(DecodeError::Streamed) } else { Ok(Some(frame)) };
                }
                Err(ParseError::Incomplete) => {
                    self.wanted = least_length(&self.rest);
                    let long = self.wanted.max(self.rest.len()) > self.limit;
                    return if long { Err(DecodeError::TooLong(self.limit)) } else { Ok(None) };
                }
                Err(error) => return Err(DecodeError::Malformed(error)),
            }
        }
    }

    /// What is kept of a string that is too long, once it is over; no option at all where there is none.
    fn pass_over(&mut self) -> Option<Option<Frame>> {
        if self.cut.is_none() {
            let (head, length) = head_of_string(&self.rest)?;
            if !(self.limit + 1..=LONGEST).contains(&length) {
                return None;
            }
            self.rest.advance(head);
            self.cut = Some(Cut { kept: BytesMut::with_capacity(KEPT), left: length + 2 });
        }
        let cut = self.cut.as_mut()?;
        let passed = self.rest.split_to(cut.left.min(self.rest.len()));
        cut.left -= passed.len();
        cut.kept.extend_from_slice(&passed[..passed.len().min(KEPT - cut.kept.len())]);
        if cut.left > 0 {
            return Some(None);
        }
        self.cut.take().map(|cut| Some(Frame::BulkString(Some(cut.kept.freeze()))))
    }
}

/// How long the head of a string is, and the string itself.
fn head_of_string(rest: &[u8]) -> Option<(usize, usize)> {
    let line = rest.strip_prefix(b"$")?;
    let end = line.windows(2).take(LONGEST.ilog10() as usize + 2).position(|two| two == b"\r\n")?;
    let length = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    Some((end + 3, length))
}

/// What the head of a string says of its length, with the head; 0 for other frames.
fn least_length(partial: &[u8]) -> usize {
    let Some((b'$' | b'=' | b'!', line)) = partial.split_first() else { return 0 };
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else { return 0 };
    let length = std::str::from_utf8(&line[..end]).ok().and_then(|digits| digits.parse::<usize>().ok());
    length.map_or(0, |length| length.saturating_add(end + 5))
}

fn is_streamed(frame: &Frame) -> bool {
    match frame {
        Frame::Array(Some(items)) | Frame::Set(items) | Frame::Push(items) => items.iter().any(is_streamed),
        Frame::Map(pairs) => pairs.iter().any(|(key, value)| is_streamed(key) || is_streamed(value)),
        Frame::SimpleString(_)
        | Frame::Error(_)
        | Frame::Integer(_)
        | Frame::BulkString(_)
        | Frame::BlobError(_)
        | Frame::Array(None)
        | Frame::Null
        | Frame::Double(_)
        | Frame::SpecialFloat(_)
        | Frame::Boolean(_)
        | Frame::BigNumber(_)
        | Frame::VerbatimString { .. } => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    /// All frames of some pieces of input.
    fn decode(pieces: &[&[u8]]) -> Result<Vec<Frame>, DecodeError> {
        let mut decoder = Decoder::new(LIMIT);
        let mut found = Vec::new();
        for piece in pieces {
            let mut frames = decoder.take(piece);
            while let Some(frame) = frames.next()? {
                found.push(frame);
            }
            decoder.keep(frames);
        }
        Ok(found)
    }

    fn string(text: &'static [u8]) -> Frame {
        Frame::BulkString(Some(Bytes::from_static(text)))
    }

    #[test]
    fn replies_and_pushes_come_in_order() {
        let input: &[u8] =
            b"$1\r\na\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n*2\r\n:1\r\n_\r\n%1\r\n+k\r\n#t\r\n-ERR no\r\n";
        let frames = decode(&[input]).unwrap();
        assert_eq!(
            frames,
            [
                string(b"a"),
                Frame::Push(vec![string(b"invalidate"), Frame::Null]),
                Frame::Array(Some(vec![Frame::Integer(1), Frame::Null])),
                Frame::Map(vec![(Frame::SimpleString("k".into()), Frame::Boolean(true))]),
                Frame::Error("ERR no".into()),
            ]
        );
    }

    #[test]
    fn attributes_are_passed_over() {
        assert_eq!(decode(&[b"|1\r\n+ttl\r\n:5\r\n:7\r\n"]).unwrap(), [Frame::Integer(7)]);
    }

    #[test]
    fn an_old_null_is_null() {
        assert!(decode(&[b"$-1\r\n*-1\r\n"]).unwrap().iter().all(Frame::is_null));
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_an_error_at_once() {
        assert_eq!(decode(&[b"!1048577\r\n"]), Err(DecodeError::TooLong(LIMIT)));
        assert_eq!(decode(&[b"=1048577\r\n"]), Err(DecodeError::TooLong(LIMIT)));
        assert!(matches!(decode(&[b"$536870913\r\n"]), Err(DecodeError::Malformed(_))));
        assert!(matches!(decode(&[b"$99999999999999999999\r\n"]), Err(DecodeError::Malformed(_))));
        assert!(matches!(decode(&[b"*99999999999\r\n"]), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn of_a_string_that_is_too_long_the_beginning_is_kept() {
        let long = LIMIT + 1;
        let input =
            [format!("$2\r\nab\r\n${long}\r\n").into_bytes(), vec![b'x'; long], b"\r\n:7\r\n".to_vec()];
        let input = input.concat();
        let expected = Ok(vec![string(b"ab"), string(&[b'x'; KEPT]), Frame::Integer(7)]);
        assert_eq!(decode(&[&input]), expected);
        for size in [1, 7, 4096] {
            assert_eq!(decode(&input.chunks(size).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn a_string_that_is_passed_over_is_not_kept_in_memory() {
        let mut decoder = Decoder::new(LIMIT);
        for piece in
            std::iter::once(&b"$536870912\r\n"[..]).chain(std::iter::repeat_n(&[b'x'; 1 << 16][..], 64))
        {
            let mut frames = decoder.take(piece);
            assert_eq!(frames.next(), Ok(None));
            decoder.keep(frames);
            assert!(decoder.partial.capacity() <= 1 << 16);
        }
    }

    #[test]
    fn many_small_items_beyond_the_limit_are_an_error() {
        let mut input = b"*9999999\r\n".to_vec();
        input.extend(b":1\r\n".iter().cycle().take(2 * LIMIT));
        let pieces: Vec<_> = input.chunks(64 << 10).collect();
        assert_eq!(decode(&pieces), Err(DecodeError::TooLong(LIMIT)));
    }

    #[test]
    fn depth_is_bounded() {
        let input: Vec<u8> = b"*1\r\n".iter().copied().cycle().take(100_000).collect();
        assert!(matches!(decode(&[&input]), Err(DecodeError::Malformed(ParseError::DepthExceeded))));
    }

    #[test]
    fn a_line_without_an_end_is_an_error() {
        let input = [b'+'; 100_000];
        assert!(matches!(decode(&[&input]), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn streamed_types_are_errors_at_any_depth() {
        assert_eq!(decode(&[b"$?\r\n;1\r\na\r\n;0\r\n"]), Err(DecodeError::Streamed));
        assert_eq!(decode(&[b"*1\r\n~1\r\n*?\r\n"]), Err(DecodeError::Streamed));
    }

    #[test]
    fn a_long_string_is_looked_at_again_only_when_it_is_complete() {
        let mut decoder = Decoder::new(LIMIT);
        let mut frames = decoder.take(b"$100000\r\nabc");
        assert_eq!(frames.next(), Ok(None));
        decoder.keep(frames);
        assert_eq!(decoder.wanted, 100_000 + 11);
        assert!(decoder.partial.capacity() >= decoder.wanted);
        assert!(decoder.take(&[b'x'; 99_000]).rest.is_empty());
    }

    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<Vec<u8>>()
                .prop_map(|bytes| [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()),
            any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
            "[a-zA-Z ]{0,9}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
            Just(b"_\r\n".to_vec()),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            proptest::collection::vec(inner, 0..5)
                .prop_map(|items| [format!("*{}\r\n", items.len()).into_bytes(), items.concat()].concat())
        })
    }

    proptest! {
        #[test]
        fn how_the_input_is_cut_makes_no_difference(
            input in proptest::collection::vec(frame(), 1..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let input = input.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len())).chain([0, input.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[&input]));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(input: Vec<u8>, piece in 1_usize..9) {
            let _ = decode(&input.chunks(piece).collect::<Vec<_>>());
        }
    }
}
