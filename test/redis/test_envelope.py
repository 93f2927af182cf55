"""The stored strings: documented bytes, and nothing else is taken for one."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocachetools._core import PlainFormat
from aiocachetools.redis._compression import compress, decompress, find_compressor
from aiocachetools.redis._envelope import (
    UNCACHEABLE,
    Entry,
    Marker,
    beginning_of,
    header_of,
    pack,
    pack_marker,
    pack_tags,
    unpack,
)

LIMIT = 1 << 20
ENTRY = Entry(1, b"schema!!", 1500, b"nonce!!!", pack_tags([b"1", b"9223372036854775807"]), b"payload")

entries = st.builds(
    Entry,
    st.integers(0, 255),
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=8, max_size=8),
    st.lists(st.integers(0, 2**63 - 1).map(lambda n: b"%d" % n), max_size=4).map(pack_tags),
    st.binary(max_size=3000) | st.binary(min_size=1, max_size=20).map(lambda data: data * 200),
)
compressors = st.sampled_from([None, "lz4", "zstd"]).map(find_compressor)


@given(entries, compressors)
def test_D5_an_envelope_is_read_as_it_was_written(entry, compressor):
    assert unpack(pack(entry, compressor), LIMIT) == entry


def plain(codec, schema, limit):
    return PlainFormat(beginning_of(codec, schema), bytes, limit, 1)


@given(entries, compressors, st.integers(0, 40), st.integers(0, 3000))
def test_D5_what_is_read_by_its_beginning_is_what_is_read_in_full(entry, compressor, cut, limit):
    data = pack(entry, compressor)
    data = data[: len(data) - cut]
    found = plain(entry.codec, entry.schema, limit).read(data)
    try:
        whole = unpack(data, limit)
    except ValueError:
        whole = None
    if found is not None:
        assert found == (entry.stale_ms, entry.payload) == (whole.stale_ms, whole.payload)
        assert not whole.tags
    elif compressor is None and not entry.tags:
        assert whole is None
    other = bytes([entry.schema[0] ^ 1]) + entry.schema[1:]
    assert plain(entry.codec, other, limit).read(data) is None


def test_D5_a_marker_is_no_entry_by_its_beginning():
    data = pack_marker(UNCACHEABLE, bytes(8))
    assert plain(0, bytes(8), LIMIT).read(data) is None


def test_D5_what_cannot_be_decoded_is_left_to_whoever_has_words_for_it():
    entry = ENTRY._replace(tags=b"")
    form = PlainFormat(beginning_of(entry.codec, entry.schema), int, LIMIT, 1)
    assert form.read(pack(entry)) is None
    assert form.read(pack(entry._replace(payload=b"7"))) == (entry.stale_ms, 7)


def test_D5_the_bytes_are_those_that_are_documented():
    assert pack(ENTRY) == (
        b"\xac\x01\x00\x01\x00\x02" + b"schema!!" + b"nonce!!!" + b"\x00\x00\x05\xdc" + b"\x00\x00\x00\x07"
        b"\x00\x00\x00\x00\x00\x00\x00\x01" + b"\x7f\xff\xff\xff\xff\xff\xff\xff" + b"payload"
    )


@given(st.binary(max_size=100))
def test_D5_foreign_bytes_are_told(data):
    for hostile in (data, b"\xac\x01" + data, b"\xac\x01\x00\x01" + data):
        try:
            found = unpack(hostile, LIMIT)
        except ValueError:
            continue
        assert isinstance(found, Entry | Marker)


@given(entries, compressors, st.data())
def test_D5_a_cut_or_changed_envelope_never_grows(entry, compressor, data):
    packed = bytearray(pack(entry, compressor))
    position = data.draw(st.integers(0, len(packed) - 1))
    packed[position] ^= data.draw(st.integers(1, 255))
    for hostile in (bytes(packed), bytes(packed[:position])):
        try:
            found = unpack(hostile, 4096)
        except ValueError:
            continue
        assert isinstance(found, Marker) or len(found.payload) <= 4096


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_D5_a_bomb_is_not_unpacked(method):
    compressor = find_compressor(method)
    packed = pack(ENTRY._replace(payload=bytes(LIMIT * 8)), compressor)
    assert len(packed) < LIMIT / 8
    with pytest.raises(ValueError, match="more than"):
        unpack(packed, LIMIT)
    size = len(pack(ENTRY._replace(payload=b""))) - 16 - 4
    lying = packed[:size] + (100).to_bytes(4, "big") + packed[size + 4 :]
    with pytest.raises(ValueError):
        unpack(lying, LIMIT)


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_D5_compression_only_where_it_saves(method):
    compressor = find_compressor(method)
    assert compress(b"a" * 1000, compressor) == (0, b"a" * 1000)
    noise = b"".join(zlib.crc32(b"%d" % i).to_bytes(4, "big") for i in range(1000))
    assert compress(noise, compressor) == (0, noise)
    number, small = compress(b"a" * 5000, compressor)
    assert number
    assert len(small) < 500
    assert decompress(number, small, 5000) == b"a" * 5000


def test_D5_unknown_compression_is_told():
    with pytest.raises(ValueError, match="unknown"):
        decompress(77, b"", 0)
    with pytest.raises(ValueError, match="lz4"):
        find_compressor("gzip")


def test_a_marker_is_read_as_one():
    assert unpack(pack_marker(UNCACHEABLE, bytes(8)), LIMIT) == Marker(UNCACHEABLE)


def test_a_header_tells_two_publications_apart():
    other = ENTRY._replace(nonce=b"another!")
    assert header_of(pack(ENTRY)) != header_of(pack(other))
    assert pack(ENTRY).startswith(header_of(pack(ENTRY)))
    assert header_of(b"short") == b"short"


def test_what_is_no_version_is_told():
    for version in (b"-1", b"x", b"18446744073709551616"):
        with pytest.raises(ValueError):
            pack_tags([version])
