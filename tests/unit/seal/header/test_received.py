"""The header as received: it comes back byte for byte to who has the key, and to nobody else."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.elements import EXPLICIT_LE
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import transcode
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import SealBroken
from gateway.seal.header import received
from gateway.seal.header.received import PLAIN_MAX, LeftOut, ReceivedHeader
from tests.support import objects
from tests.support.data import shipped
from tests.support.elements import SYNTAXES, Written, file_of

KEY = bytes(range(16))
NAMES = ("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "rtplan.dcm", "test-SR.dcm")
DIGEST = bytes(32)
# As FORMAT.md has it.
RECEIVED_KEY = blake3(KEY, derive_key_context="sealgate received header key v2").digest()


def values_of(file: Part10) -> Any:
    return lambda tag: file.value(tag)


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_comes_back_byte_for_byte(name: str) -> None:
    file = read(shipped(name).read_bytes())
    opened = received.open_element(received.close(received.capture(file), KEY), KEY)
    assert opened == received.capture(file)
    whole = opened.assembled(values_of(file))
    assert whole == file.body
    assert opened.proves(file.body)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_long_values_and_pixels_are_left_out_in_every_encoding(syntax: str) -> None:
    file = read(transcode(objects.ct(rows=16, columns=16, TextValue="x" * 5000), syntax))
    opened = received.open_element(received.close(received.capture(file), KEY), KEY)
    assert opened.left_out == (0x0040A160, PIXEL_DATA)
    assert opened.encoding == file.encoding
    assert opened.assembled(values_of(file)) == file.body
    assert b"x" * 100 not in b"".join(part for part in opened.parts if isinstance(part, bytes))


def test_a_value_that_is_missing_or_has_another_length_does_not_come_back() -> None:
    file = read(objects.ct(rows=16, columns=16))
    opened = received.capture(file)
    assert opened.assembled(lambda _: None) is None
    assert opened.assembled(lambda _: bytes(3)) is None
    other = opened.assembled(lambda _: bytes(512))
    assert other is not None
    assert not opened.proves(other)


def test_many_values_are_kept_shorter_but_never_what_sealing_writes_anew() -> None:
    many = [Written(0x00189000 + 2 * n, "UT", b"y" * 2000) for n in range(200)]
    always = [
        Written(0x00080005, "CS", b"ISO_IR 192"),
        Written(0x00080018, "UI", b"1.2.3"),
        Written(0x00082111, "ST", b"z" * 1000),
        Written(0x0018A001, "SQ", [[Written(0x00080070, "LO", b"maker" * 10)]] * 100),
    ]
    opened = received.capture(file_of([*always, *many]))
    assert len(received.close(opened, KEY)) < 16 << 10
    assert {tag for tag in opened.left_out if tag < 0x00189000} == set()
    assert len(opened.left_out) == len(many)


def test_nobody_else_opens_it() -> None:
    element = received.close(received.capture(read(objects.ct(rows=16, columns=16))), KEY)
    for broken in (b"", element[:-1], element + b"\0", bytes([element[0] ^ 1]) + element[1:], element[:10]):
        with pytest.raises(SealBroken, match="does not open"):
            received.open_element(broken, KEY)
    with pytest.raises(SealBroken, match="does not open"):
        received.open_element(element, bytes(16))


def packed(content: object) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(cbor2.dumps(content)) + engine.flush()


GOOD: dict[Any, Any] = {1: "1.2", 2: 1, 3: [b"\x10\0\x10\0PN\x02\0A ", [PIXEL_DATA, b"head", 4]], 4: DIGEST}


@pytest.mark.parametrize(
    "content",
    [
        None,
        1,
        "text",
        [],
        [0, "1.2", 1, [], DIGEST],
        {},
        *({k: v for k, v in GOOD.items() if k != n} for n in (1, 2, 3, 4)),
        GOOD | {1: b"1.2"},
        GOOD | {1: None},
        GOOD | {1: "1" * 70_000},
        GOOD | {2: 3},
        GOOD | {2: -1},
        GOOD | {2: "1"},
        GOOD | {2: 1.0},
        GOOD | {2: None},
        GOOD | {2: True},
        GOOD | {2: 1 << 80},
        GOOD | {3: None},
        GOOD | {3: 5},
        GOOD | {3: "abc"},
        GOOD | {3: b"abc"},
        GOOD | {3: {1: 2}},
        GOOD | {3: [5]},
        GOOD | {3: [None]},
        GOOD | {3: ["abc"]},
        GOOD | {3: [[1, 2, 3]]},
        GOOD | {3: [[1, b""]]},
        GOOD | {3: [[1, b"", 0, 0]]},
        GOOD | {3: [["1", b"", 1]]},
        GOOD | {3: [[1, b"x" * 13, 1]]},
        GOOD | {3: [[1, b"", None]]},
        GOOD | {3: [{1: 2, 3: 4, 5: 6}]},
        GOOD | {3: [b"no element"]},
        GOOD | {3: [b"\x10\0\x10\0PN\xff\0A"]},
        GOOD | {4: "x" * 32},
        GOOD | {4: None},
    ],
)
def test_another_content_is_refused(content: object) -> None:
    assert isinstance(received.unpack(packed(GOOD)), ReceivedHeader)
    element = ChaCha20Poly1305(RECEIVED_KEY).encrypt(
        bytes(12), packed(content), b"sealgate received header v2"
    )
    with pytest.raises(SealBroken, match="malformed") as caught:
        received.open_element(element, KEY)
    assert caught.value.check == 11


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\xff" * 9, packed(GOOD)[:-1], packed(GOOD) + b"x", zlib.compress(cbor2.dumps(GOOD))],
)
def test_what_is_not_one_deflated_stream_is_refused(data: bytes) -> None:
    with pytest.raises(SealBroken):
        received.unpack(data)


@pytest.mark.parametrize("filling", [b"\0", b"\x80", b"\xa0"])
def test_a_bomb_takes_bounded_memory(filling: bytes) -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = engine.compress(b"\x9b" + (1 << 31).to_bytes(8, "big"))
    for _ in range(64):
        bomb += engine.compress(filling * (1 << 20))
    bomb += engine.flush()
    assert len(bomb) < 1 << 17
    tracemalloc.start()
    try:
        with pytest.raises(SealBroken):
            received.unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * PLAIN_MAX
    finally:
        tracemalloc.stop()


def test_a_header_that_no_reader_would_take_is_not_written() -> None:
    many = tuple(LeftOut(tag, bytes(12), 1) for tag in range(1 << 18))
    with pytest.raises(SealBroken, match="more elements"):
        received.close(ReceivedHeader("1.2", EXPLICIT_LE, many, DIGEST), KEY)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_never_an_error(data: bytes) -> None:
    with pytest.raises(SealBroken):
        received.unpack(data)
