"""Files that readers could read in different ways are objected to, and ordinary ones are not."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from gateway.dicom import one_reading, text_reading
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.seal.header import dictionary
from tests.campaigns.differential.grammar import PIXEL_DATA, Draft, Node, draft_of, emit
from tests.support import objects

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
CODE = [Node(0x00080100, b"SH", b"111"), Node(0x00080104, b"LO", b"A meaning ")]
SEQUENCE = 0x00082218
MULLER = "Müller".encode()


def draft(*nodes: Node, syntax: str = ExplicitVRLittleEndian, source: bytes | None = None) -> Draft:
    made = draft_of(source or objects.ct(rows=16, columns=16))
    made.syntax = str(syntax) if source is None else made.syntax
    made.put(*nodes)
    return made


def objection(made: Draft) -> str:
    return one_reading.objection(read(made.to_bytes()), dictionary.vrs())


@pytest.mark.parametrize("syntax", NATIVE)
def test_ordinary_files_are_read_in_one_way(syntax: str) -> None:
    sequence = Node(SEQUENCE, b"SQ", [CODE, CODE], undefined=True, items_undefined=True)
    assert objection(draft(sequence, Node(0x00101030, b"DS", b" 71.5 "), syntax=syntax)) == ""


def meta(declared: bytes) -> Draft:
    made = draft()
    made.declared = declared
    return made


def deflated(behind: bytes) -> Draft:
    made = draft(syntax=DeflatedExplicitVRLittleEndian)
    made.deflated_tail = behind
    return made


def trailing(node: Node) -> Draft:
    made = draft()
    made.nodes.append(node)
    return made


def pixels(as_vr: bytes | None = None, syntax: str = ExplicitVRLittleEndian) -> Draft:
    made = draft(syntax=syntax)
    node = made.find(PIXEL_DATA)
    assert node is not None
    node.as_vr = as_vr
    return made


def shared(first: int, second: int) -> Draft:
    """Pixels whose numbers contradict each other: High Bit and Samples per Pixel."""
    return draft(
        Node(0x00280102, b"US", struct.pack("<H", first)), Node(0x00280002, b"US", struct.pack("<H", second))
    )


AMBIGUOUS: list[tuple[str, Callable[[], Draft]]] = [
    ("the transfer syntax is no UID", lambda: meta(b" " + ExplicitVRLittleEndian.encode())),
    (
        "the transfer syntax is no UID",
        lambda: meta(f"{ExplicitVRLittleEndian}\\{ExplicitVRBigEndian}".encode()),
    ),
    ("something stands behind the deflated data set", lambda: deflated(b"\0\0\1\0")),
    ("something stands behind the deflated data set", lambda: deflated(zlib.compress(b"x"))),
    ("(FFFE,E00D) has no place in a data set", lambda: trailing(Node(0xFFFEE00D, b"OB", b""))),
    ("(FFFE,E0DD) has no place in a data set", lambda: trailing(Node(0xFFFEE0DD, b"OB", b""))),
    ("(00FF,4AA5) is not what some readers take it for", lambda: draft(Node(0x00FF4AA5, b"LO", b"x "))),
    (
        "(0010,0010) has an undefined length",
        lambda: draft(Node(0x00100010, b"PN", [CODE], undefined=True), syntax=ImplicitVRLittleEndian),
    ),
    (
        "(0010,0020) has an undefined length",
        lambda: draft(Node(0x00100020, b"LO", [CODE], undefined=True, as_vr=b"UN", inner=(False, True))),
    ),
    (
        "(6000,0011) has an undefined length",
        lambda: draft(Node(0x60000011, b"US", [CODE], undefined=True), syntax=ImplicitVRLittleEndian),
    ),
    (
        "(0009,0010) has an odd length",
        lambda: draft(Node(0x00090010, b"LO", b"", inside=b"thirteen byte"), syntax=ImplicitVRLittleEndian),
    ),
    ("(0018,6020) ends within a number", lambda: draft(Node(0x00186020, b"SL", b"\1\0\0\0\0\0"))),
    (
        "(0020,000E) holds a value that its VR does not allow",
        lambda: draft(Node(0x0020000E, b"UI", b"1.2\r.3")),
    ),
    (
        "(0020,0013) holds a value that its VR does not allow",
        lambda: draft(Node(0x00200013, b"IS", b"50E-1 ")),
    ),
    (
        "(0028,1050) holds a value that its VR does not allow",
        lambda: draft(Node(0x00281050, b"DS", b"40\t ")),
    ),
    ("(7FE0,0010) is pixel data of another VR than OB or OW", lambda: pixels(b"OL")),
    ("the pixel data has no one byte order", lambda: pixels(b"OB", ExplicitVRBigEndian)),
    ("(0028,0101) is not one number", lambda: draft(Node(0x00280101, b"US", b"\x0c\0\0\0"))),
    (
        "(0028,0008) is no number of the VR that readers look for",
        lambda: draft(Node(0x00280008, b"DS", b"1 ")),
    ),
    (
        "(0010,0020) is no number of the VR that readers look for",
        lambda: draft(Node(0x00100020, b"IS", b"12")),
    ),
    ("(0028,0103) is neither 0 nor 1", lambda: draft(Node(0x00280103, b"US", b"\3\0"))),
    ("the high bit is not the highest that is stored", lambda: shared(3, 1)),
    (
        "the samples per pixel are not those of the photometric interpretation",
        lambda: draft(Node(0x00280004, b"CS", b"YBR_FULL")),
    ),
]


@pytest.mark.parametrize(("why", "build"), AMBIGUOUS)
def test_what_readers_read_in_different_ways_is_objected_to(why: str, build: Callable[[], Draft]) -> None:
    assert objection(build()) == why


def test_checksum_and_length_behind_a_deflated_data_set_are_no_second_reading() -> None:
    made = draft(syntax=DeflatedExplicitVRLittleEndian)
    body = emit(made.nodes, True, True)
    made.deflated_tail = struct.pack("<II", zlib.crc32(body), len(body))
    assert objection(made) == ""
    # Orthanc 1.10.1 writes zeros up to the length of the inflated data set.
    made.deflated_tail = bytes(300)
    assert objection(made) == ""
    made.deflated_tail = struct.pack("<II", zlib.crc32(body), len(body) + 1)
    assert objection(made) == "something stands behind the deflated data set"


def test_a_value_that_one_reader_takes_for_two_elements_is_objected_to() -> None:
    """GDCM 3.2.6 reads 10 of 13 bytes, and from there on another patient."""
    hidden = b" " * 4349 + emit([Node(0x00100010, b"PN", b"OTHER^PATIENT ")], False, True)
    hidden += struct.pack("<HHI", 0x0010, 0x4000, 0x1200 - len(hidden) - 8)
    made = draft(
        Node(0x00090010, b"LO", b"", inside=b"ACME 1.0  \x09\0\1"),
        Node(0x00090011, b"LO", hidden.ljust(0x1200)),
        syntax=ImplicitVRLittleEndian,
    )
    assert objection(made) == "(0009,0010) has an odd length"


@pytest.mark.parametrize("fragments", [(b"",), (b"\x08\0\0\0", b"1234")], ids=["none", "table"])
def test_fragments_that_nobody_can_share_out_are_objected_to(fragments: tuple[bytes, ...]) -> None:
    made = draft(source=transcode(objects.ct(rows=16, columns=16), RLELossless))
    made.put(Node(PIXEL_DATA, b"OB", fragments))
    assert objection(made)


@pytest.mark.parametrize(
    ("shorter", "padding", "good"), [(0, b"1", True), (1, b"\0", True), (1, b"1", False)]
)
def test_a_frame_is_one_byte_shorter_only_than_its_padded_fragment(
    shorter: int, padding: bytes, good: bool
) -> None:
    made = draft(source=transcode(objects.ct(rows=16, columns=16), RLELossless))
    made.put(
        Node(PIXEL_DATA, b"OB", (b"", b"123" + padding)),
        Node(0x7FE00001, b"OV", bytes(8)),
        Node(0x7FE00002, b"OV", struct.pack("<Q", 4 - shorter)),
    )
    assert (objection(made) == "") is good


@pytest.mark.parametrize(
    ("charset", "raw", "good"),
    [
        (b"", b"M\xfcller", True),
        (b"ISO_IR 192", MULLER, True),
        (b"ISO_IR 192 ", MULLER, True),
        (b" ISO_IR 192", MULLER, False),
        (b"iso_ir 192", MULLER, False),
        (b"ISO_IR 192\\ISO 2022 IR 87", MULLER, False),
        (b"ISO IR 100", b"M\xfcller", False),
        (b"nonsense", b"Muller", True),
        (b"ISO_IR 203", b"M\xfcller", True),
        (b"ISO_IR 203", b"Nu\xbel", False),
        (b"ISO_IR 100", b"Mu\x1b(Bller", False),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", True),
        (b"ISO_IR 6\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", True),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xfb\xf3", True),
        (b"\\ISO 2022 IR 159", b"\x1b$)C\xfb\xf3", False),
        (b"ISO_IR 13", b"\xd4\xcf\xc0", True),
        (b"ISO_IR 13", b"\x81\x5c", False),
    ],
)
def test_text_beyond_ascii_needs_a_character_set_that_all_know(
    charset: bytes, raw: bytes, good: bool
) -> None:
    assert (text_reading.objection(raw, charset, charset) == "") is good


def test_text_that_only_the_character_set_of_its_item_makes_readable_is_objected_to() -> None:
    item = [Node(0x00080005, b"CS", b"ISO_IR 101"), Node(0x00080104, b"LO", b"\xef\xbb")]
    found = objection(draft(Node(0x00080005, b"CS", b"ISO_IR 144"), Node(SEQUENCE, b"SQ", [item])))
    assert found == "(0008,0104) is text in a character set that only its item has"
    item[1].value = b"ASCII "
    assert objection(draft(Node(0x00080005, b"CS", b"ISO_IR 144"), Node(SEQUENCE, b"SQ", [item]))) == ""


@pytest.mark.parametrize(
    "value", [b"1" * 4_000_000 + b"x ", b" " * 4_000_000 + b"x ", b"1\\" * 200_000 + b"x "]
)
def test_long_numbers_of_strangers_are_looked_at_once_from_front_to_end(value: bytes) -> None:
    made = draft(Node(0x00281050, b"DS", value), syntax=ImplicitVRLittleEndian)
    assert objection(made) == "(0028,1050) holds a value that its VR does not allow"
