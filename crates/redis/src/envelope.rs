//! The one kind of stored string that is read without being taken apart: a result that is neither
//! compressed nor tagged.
//!
//! docs/redis-format.md has every byte; whatever is not recognised here is not for this module to judge.

/// Bytes of the header.
const HEADER: usize = 30;
/// Where the two last fields of the header begin.
const STALE_MS: usize = 22;
const SIZE: usize = 26;

/// A result as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plain<'a> {
    /// It should be loaded anew when its key has no more milliseconds to live than this.
    pub stale_ms: u32,
    /// The result, encoded.
    pub payload: &'a [u8],
}

/// The result in a stored string that begins with `beginning` and is of at most `max_bytes`.
///
/// `beginning` is what all such results of one function begin with: magic, version, kind, codec, no
/// compression, no tags, schema.
pub fn plain<'a>(data: &'a [u8], beginning: &[u8], max_bytes: usize) -> Option<Plain<'a>> {
    let (header, payload) = data.split_at_checked(HEADER)?;
    let number = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let suits = header.starts_with(beginning) && number(SIZE)? as usize == payload.len();
    (suits && payload.len() <= max_bytes).then_some(Plain { stale_ms: number(STALE_MS)?, payload })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGINNING: &[u8] = b"\xac\x01\0\x01\0\0schema12";

    fn stored(stale_ms: u32, size: u32, payload: &[u8]) -> Vec<u8> {
        let numbers = [stale_ms.to_be_bytes(), size.to_be_bytes()].concat();
        [BEGINNING, b"nonce123", &numbers, payload].concat()
    }

    #[test]
    fn a_result_is_read_where_it_is() {
        let data = stored(7, 3, b"abc");
        assert_eq!(plain(&data, BEGINNING, 3), Some(Plain { stale_ms: 7, payload: b"abc" }));
        assert_eq!(plain(&data, BEGINNING, 2), None);
        assert_eq!(plain(&data, b"\xac\x01\0\x02", 3), None);
    }

    proptest! {
        #[test]
        fn only_what_is_as_long_as_it_claims_is_a_result(size in 0..9_u32, payload: Vec<u8>) {
            let data = stored(0, size, &payload);
            let honest = size as usize == payload.len();
            prop_assert_eq!(plain(&data, BEGINNING, usize::MAX).is_some(), honest);
        }

        #[test]
        fn anything_else_is_none(data: Vec<u8>) {
            prop_assert_eq!(plain(&data, BEGINNING, usize::MAX), None);
        }
    }
}
