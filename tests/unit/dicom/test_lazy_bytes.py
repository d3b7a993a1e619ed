"""An object that is not in memory is sealed, verified and restored to the same bytes as one that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dicom.image import HighBits, pixel_format
from gateway.dicom.lazy_bytes import (
    PIECE_BYTES,
    ByteRange,
    ByteSource,
    ByteSourceIO,
    Concatenation,
    pieces,
)
from gateway.dicom.part10 import (
    read,
)
from gateway.dicom.pixels import (
    decode,
    decode_in_pieces,
    in_common,
    transcode,
)
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, TABLE, Form
from gateway.errors import UnreadableObject, UnsupportedPixels
from gateway.seal.attesting import covered, covered_in_pieces
from gateway.seal.sealing import seal
from gateway.seal.verifying import Report, restore, verify
from tests.support import objects
from tests.support.desk import NOW, Desk

BUILDERS = [objects.ct, objects.mr, objects.signed_ct, objects.fundus, objects.multi_frame, objects.report]
SYNTAXES = sorted(
    row.uid for row in TABLE.values() if row.lossless and row.encoder and row.form is not Form.DEFLATED
)


class Away:
    """Bytes that look as if they were not in memory. It remembers the longest slice that was taken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.longest = 0

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, where: slice, /) -> bytes:
        content = self._data[where]
        self.longest = max(self.longest, len(content))
        return content


def whole(data: ByteSource) -> bytes:
    return b"".join(pieces(data))


def sealed_away(desk: Desk, data: ByteSource) -> tuple[ByteSource, str]:
    """The sealed object and its level, with the same salt each time."""
    sealed_data, result = seal(
        data, recipient=desk.recipient, signer=desk.signer, codec=desk.codec, now=NOW, entropy=bytes
    )
    return sealed_data, result.level


def sealed(desk: Desk, data: ByteSource) -> tuple[bytes, str]:
    sealed_data, level = sealed_away(desk, data)
    return whole(sealed_data), level


def without_envelope(data: bytes) -> bytes:
    """The sealed object without the envelope, whose key is drawn anew each time, and what depends on it."""
    return read(data).edited(dict.fromkeys((0x00711010, 0x00711011, 0x00711031)))


def check_same_report(desk: Desk, data: bytes) -> Report:
    """The report on an object, after it was compared with the one on the object that is not in memory."""
    away = verify(Away(data), trusted=desk.trusted, recipient_key=desk.recipient_key, codec=desk.codec)
    assert away == desk.verify(data)
    return away


def kept(build: Callable[..., bytes]) -> bytes:
    """An object whose pixels may not be changed."""
    return build() if build is objects.report else build(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(-3, 70), st.integers(-3, 70))
def test_slices_of_concatenations_and_ranges_are_those_of_bytes(
    parts: list[bytes], start: int, stop: int
) -> None:
    plain = b"".join(parts)
    joined = Concatenation([ByteRange(Away(b"<" + part + b">"), 1, 1 + len(part)) for part in parts])
    assert len(joined) == len(plain)
    assert joined[start:stop] == plain[start:stop]
    assert whole(joined) == plain
    reader = ByteSourceIO(joined)
    assert reader.read(3) + reader.read() == plain


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE])
@pytest.mark.parametrize("build", BUILDERS)
def test_an_object_that_is_away_is_sealed_verified_and_restored_as_one_in_memory(
    desk: Desk, build: Callable[..., bytes], syntax: str
) -> None:
    data = transcode(kept(build), syntax)
    from_memory, level = sealed(desk, data)
    assert level == "digest"
    from_away, level_away = sealed(desk, Away(data))
    assert (without_envelope(from_away), level_away) == (without_envelope(from_memory), level)
    key: dict[str, Any] = {"recipient_key": desk.recipient_key, "codec": desk.codec}
    report = verify(Away(from_memory), trusted=desk.trusted, **key)
    assert report == desk.verify(from_memory)
    assert report.verdict == "intact"
    original, _ = restore(Away(from_memory), **key)
    assert original is not None
    assert whole(original) == data


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_that_are_away_have_the_same_digests_in_every_syntax(syntax: str) -> None:
    data = transcode(objects.multi_frame(frames=5), syntax)
    file, away = read(data), read(Away(data))
    shape = pixel_format(file)
    in_pieces, at_once = covered_in_pieces(away, shape), covered(file, shape, decode(file, shape))
    assert in_pieces.shown is not None
    assert at_once.shown is not None
    assert np.array_equal(in_pieces.shown, at_once.shown)
    assert replace(in_pieces, shown=None) == replace(at_once, shown=None)
    assert covered_in_pieces(away, None) == covered(file, None, None)


def test_no_more_than_one_piece_of_a_long_object_is_taken_at_once(desk: Desk) -> None:
    away = Away(objects.multi_frame(frames=150, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"))
    assert len(away) > PIECE_BYTES
    sealed_away(desk, away)
    assert away.longest <= PIECE_BYTES


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0x0001, 0x0FFF, 0x0800, 0xF800, 0x1001]), min_size=3, max_size=3),
    st.sampled_from([(12, 0), (12, 1), (16, 1)]),
)
def test_bits_above_the_stored_ones_are_judged_over_all_frames_alike(
    words: list[int], layout: tuple[int, int]
) -> None:
    stored, signed = layout
    samples = np.zeros((3, 16, 16), "<u2")
    samples[:, 0, 0] = words
    data = objects.multi_frame(
        frames=3,
        rows=16,
        columns=16,
        BitsStored=stored,
        HighBit=stored - 1,
        PixelRepresentation=signed,
        PixelData=samples.tobytes(),
    )
    file = read(data)
    shape = pixel_format(file)
    pixels = decode(file, shape)
    away = read(Away(data))
    if pixels.high_bits is HighBits.OTHER:
        with pytest.raises(UnsupportedPixels):
            list(in_common(decode_in_pieces(away, shape), away))
    else:
        parts = [piece.samples for piece in in_common(decode_in_pieces(away, shape), away)]
        assert np.array_equal(np.concatenate(parts), pixels.samples)


def test_why_pixels_can_not_be_read_is_the_same_whether_away_or_in_memory(desk: Desk) -> None:
    """The flipped bit is in the transfer syntax, which then is none that is known."""
    whole_object = sealed(desk, kept(objects.multi_frame))[0]
    at = whole_object.index(EXPLICIT_VR_LE.encode())
    damaged = whole_object[:at] + b"9" + whole_object[at + 1 :]
    report = check_same_report(desk, damaged)
    digest = next(check for check in report.checks if check.name == "digest")
    assert digest.detail.endswith("the pixel data is not encapsulated as its transfer syntax demands")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_objects_give_the_same_report_whether_away_or_in_memory(
    desk: Desk, data: st.DataObject
) -> None:
    whole_object = bytearray(sealed(desk, kept(objects.multi_frame))[0])
    for _ in range(data.draw(st.integers(1, 3))):
        whole_object[data.draw(st.integers(132, len(whole_object) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = bytes(whole_object[: data.draw(st.integers(200, len(whole_object)))])
    check_same_report(desk, damaged)
    try:
        from_memory = sealed(desk, damaged)
    except UnreadableObject:
        with pytest.raises(UnreadableObject):
            sealed(desk, Away(damaged))
    else:
        from_away = sealed(desk, Away(damaged))
        assert from_away[1] == from_memory[1]
        if from_memory[1] != "pass":
            from_away, from_memory = (
                (without_envelope(data), level) for data, level in (from_away, from_memory)
            )
        assert from_away == from_memory
