"""Digests: the same for the same content however it is written, another for any other content."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3

from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode, transcode
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, IMPLICIT_VR_LE
from gateway.errors import UnreadableObject
from gateway.seal.block import digest
from tests.support import objects
from tests.support.data import SHIPPED, shipped

NO_TAGS: frozenset[int] = frozenset()


def test_the_pixel_digest_is_the_one_of_the_format_document() -> None:
    data = objects.ct(rows=8, columns=16)
    file = read(data)
    shape = pixel_format(file)
    head = b"sealgate pixels v1\0" + bytes.fromhex("010000000800000010000000010000000c00")
    assert (
        digest.of_pixels(decode(file, shape).samples, shape)
        == blake3(head + (file.value(0x7FE00010) or b"")).digest()
    )


def test_samples_of_8_bits_count_one_byte_however_they_are_allocated() -> None:
    narrow, wide = np.arange(16, dtype="u1"), np.arange(16, dtype="u2")
    assert digest.canonical(narrow, 8).tobytes() == digest.canonical(wide, 8).tobytes()


@pytest.mark.parametrize(
    ("frames", "rows", "columns", "edge"), [(1, 512, 512, 64), (1, 256, 256, 32), (1, 64, 64, 8)]
)
def test_small_images_have_small_tiles(frames: int, rows: int, columns: int, edge: int) -> None:
    assert digest.tile_edge(frames, rows, columns) == edge


def test_tiles_cover_every_pixel_once() -> None:
    covered = np.zeros((2, 70, 130), int)
    for frame, row, column, height, width in digest.tiles(2, 70, 130, 32):
        covered[frame, row : row + height, column : column + width] += 1
    assert (covered == 1).all()


def test_equal_tiles_at_different_places_have_different_digests() -> None:
    file = read(objects.ct(rows=64, columns=64))
    shape = pixel_format(file)
    digests = digest.of_tiles(np.zeros(shape.shape, "u2"), shape, 8)
    assert len({digests[at : at + 4] for at in range(0, len(digests), 4)}) == 64


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LE, EXPLICIT_VR_BE])
@pytest.mark.parametrize("name", [*SHIPPED, "report"])
def test_the_data_set_digest_does_not_depend_on_the_element_encoding(name: str, syntax: str) -> None:
    data = objects.report() if name == "report" else shipped(name).read_bytes()
    if "jp2k" in name or "RLE" in name:
        data = transcode(data, EXPLICIT_VR_BE)
    before = digest.of_dataset(read(data), NO_TAGS)
    assert digest.of_dataset(read(transcode(data, syntax)), NO_TAGS) == before


def test_any_changed_standard_element_changes_the_data_set_digest() -> None:
    before = digest.of_dataset(read(objects.report()), NO_TAGS)
    for changed in ({"StudyTime": "101501"}, {"EncapsulatedDocument": b"%PDF-1.4 other "}, {"StudyID": ""}):
        assert digest.of_dataset(read(objects.report(**changed)), NO_TAGS) != before


def test_identity_fields_are_left_out_of_the_data_set_digest() -> None:
    left_out = frozenset({0x00100020})
    other = digest.of_dataset(read(objects.report(PatientID="OTHER")), left_out)
    assert other == digest.of_dataset(read(objects.report()), left_out)


def test_header_digests_depend_on_the_salt_and_the_value_alone() -> None:
    file, same = read(objects.ct(rows=32, columns=32)), read(objects.report())
    salt, other = bytes(16), bytes(15) + b"\1"
    assert digest.of_header(file, ["PatientID"], salt) == digest.of_header(same, ["PatientID"], salt)
    assert digest.of_header(file, ["PatientID"], salt) != digest.of_header(file, ["PatientID"], other)


def test_hostile_nesting_is_unreadable() -> None:
    opening = bytes.fromhex("0800401153510000ffffffff" + "feff00e0ffffffff")
    closing = bytes.fromhex("feff0de000000000" + "feffdde000000000")
    data = b"\0" * 128 + b"DICM" + opening * 90 + closing * 90
    with pytest.raises(UnreadableObject):
        digest.of_dataset(read(data), NO_TAGS)
