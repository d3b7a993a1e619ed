"""Files as bytes: they are walked without decoding, and an edit changes no other element."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.file_meta import unwrap, wrap
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import DEFLATED_LE
from gateway.errors import UnreadableObject
from tests.support import objects
from tests.support.data import SHIPPED, collection, shipped

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
COMMENT = 0x00204000
SAMPLES = [shipped(name) for name in SHIPPED] + collection("modalities/*/*.dcm")[::9]


def in_syntax(syntax: str) -> bytes:
    return transcode(objects.ct(rows=32, columns=48), syntax)


def deflated() -> bytes:
    explicit = in_syntax(ExplicitVRLittleEndian)
    file = read(explicit)
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    prefix = file.with_body(file.body, DEFLATED_LE, EXPLICIT_LE).prefix
    return prefix + engine.compress(file.body[:]) + engine.flush()


# Real files hold values that are longer than their VR allows, and pydicom says so.
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_walk_finds_the_elements_that_pydicom_finds(path: Path) -> None:
    file = read(path.read_bytes())
    expected = [int(element.tag) for element in pydicom.dcmread(path, force=True)]
    # pydicom takes a second group 0002, which is inside the data set, for file meta information.
    assert sorted(tag for tag in file.index if tag >> 16 != 2) == sorted(expected)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_no_edits_change_no_byte(path: Path) -> None:
    data = path.read_bytes()
    file = read(data)
    if file.transfer_syntax != DEFLATED_LE:
        assert file.edited({}) == data


def test_group_0002_inside_the_data_set_is_not_taken_for_file_meta_information() -> None:
    body = encode(0x00020010, b"UI", b"1.2.840.10008.1.2.4.81", EXPLICIT_LE)
    body += encode(0x00080018, b"UI", b"1.2.3", EXPLICIT_LE)
    meta = wrap(sop_class="1.2", sop_instance="1.2.3", syntax=ExplicitVRLittleEndian)
    file = read(meta + body)
    assert (file.transfer_syntax, file.body) == (ExplicitVRLittleEndian, body)
    assert unwrap(meta + body).offset == len(meta)


@pytest.mark.parametrize("syntax", NATIVE)
def test_an_inserted_element_is_read_and_its_removal_leaves_no_trace(syntax: str) -> None:
    data = in_syntax(syntax)
    file = read(data)
    more = file.edited({COMMENT: encode(COMMENT, b"LT", b"odd", file.encoding)})
    assert pydicom.dcmread(io.BytesIO(more)).ImageComments == "odd"
    assert read(more).edited({COMMENT: None}) == data


def test_a_deflated_data_set_is_edited_inside() -> None:
    file = read(deflated())
    more = read(file.edited({COMMENT: encode(COMMENT, b"LT", b"inside", EXPLICIT_LE)}))
    assert more.transfer_syntax == DEFLATED_LE
    assert more.value(COMMENT) == b"inside"
    assert read(more.edited({COMMENT: None})).body == file.body


def test_a_retired_group_length_follows_its_group() -> None:
    file = read(in_syntax(ExplicitVRLittleEndian))
    length = 0x00200000
    old = read(file.edited({length: encode(length, b"UL", b"\0\0\0\0", EXPLICIT_LE)}))
    new = read(old.edited({COMMENT: encode(COMMENT, b"LT", b"four", EXPLICIT_LE)}))
    group = sum(e.end - e.start for e in new.elements if e.group == 0x0020 and e.tag != length)
    assert new.value(length) == group.to_bytes(4, "little")


def test_a_new_instance_uid_reaches_the_file_meta_information() -> None:
    edited = read(in_syntax(ExplicitVRLittleEndian)).edited({}, sop_instance_uid="2.25.99")
    assert pydicom.dcmread(io.BytesIO(edited)).file_meta.MediaStorageSOPInstanceUID == "2.25.99"


def test_a_file_without_preamble_and_meta_information_is_read() -> None:
    file = read(in_syntax(ExplicitVRLittleEndian))
    assert [e.tag for e in read(file.body).elements] == [e.tag for e in file.elements]


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 400, b"<!DOCTYPE html>" * 40, b"\x89PNG\r\n\x1a\n" + bytes(200), b"\0" * 128 + b"DICM"],
    ids=["empty", "zeros", "html", "png", "only-magic"],
)
def test_what_is_not_dicom_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableObject):
        read(data)


@pytest.mark.parametrize("syntax", NATIVE)
def test_every_truncation_is_unreadable_or_a_shorter_object(syntax: str) -> None:
    data = in_syntax(syntax)
    for length in range(0, len(data) - 1, 53):
        try:
            assert len(read(data[:length]).elements) < len(read(data).elements)
        except UnreadableObject:
            continue


def test_endless_nesting_ends_in_an_error_of_ours() -> None:
    opening = bytes.fromhex("0800401153510000ffffffff" + "feff00e0ffffffff")
    with pytest.raises(UnreadableObject, match="deeply"):
        read(b"\0" * 128 + b"DICM" + opening * 50_000)


@settings(max_examples=150, deadline=None)
@given(st.integers(132, 1500), st.integers(0, 255))
def test_any_changed_header_byte_is_read_or_refused(at: int, byte: int) -> None:
    data = bytearray(in_syntax(ExplicitVRLittleEndian))
    data[at] = byte
    try:
        read(bytes(data))
    except UnreadableObject:
        return
