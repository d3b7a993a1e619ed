"""One reading: what readers could read in different ways is objected to, and what only looks strange is not."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_files

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Encoding, encode, item
from gateway.dicom.one_reading import objection
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import UnreadableObject
from gateway.seal.header import dictionary
from tests.support import objects
from tests.support.elements import SYNTAXES, Written, delimiter, raw, with_meta, written

CLASS = Written(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7")
NAME, STUDY_DATE, REFERENCED, PIXELS = 0x00100010, 0x00080020, 0x00081140, 0x7FE00010
JPEG, MPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102"
START = written([CLASS], EXPLICIT_LE)


def said(data: bytes) -> str:
    return objection(read(data), dictionary.vrs())


def of_body(body: bytes, syntax: str = EXPLICIT_VR_LE) -> str:
    return said(with_meta(body, syntax))


# ---- 1: the encoding


@pytest.mark.parametrize(
    ("encoding", "syntax"),
    [
        (IMPLICIT_LE, EXPLICIT_VR_LE),
        (EXPLICIT_LE, IMPLICIT_VR_LE),
        (EXPLICIT_BE, EXPLICIT_VR_LE),
        (EXPLICIT_LE, EXPLICIT_VR_BE),
        (IMPLICIT_LE, JPEG),
    ],
)
def test_elements_that_are_encoded_otherwise_than_declared(encoding: Encoding, syntax: str) -> None:
    assert "not encoded as the transfer syntax says" in of_body(written([CLASS], encoding), syntax)


@pytest.mark.parametrize("encoding", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
def test_without_a_declaration_the_elements_speak_for_themselves(encoding: Encoding) -> None:
    assert said(written([CLASS], encoding)) == ""


# ---- 2: the group length


@pytest.mark.parametrize("wrong", [0, 1, 1000])
def test_a_wrong_group_length_of_the_file_meta_information(wrong: int) -> None:
    assert "group length" in said(with_meta(START, group_length=wrong))


def test_no_group_length_is_none_that_is_wrong() -> None:
    group = encode(0x00020010, b"UI", EXPLICIT_VR_LE.encode(), EXPLICIT_LE)
    assert said(bytes(128) + b"DICM" + group + START) == ""


# ---- 3: places and order


@pytest.mark.parametrize("tag", [0x00010010, 0x00020010, 0x00060010, 0x00070010])
def test_groups_that_have_no_place_in_a_data_set(tag: int) -> None:
    body = raw(tag, "LO", b"1 ") if tag >> 16 != 2 else raw(0x00030010, "LO", b"1 ")
    assert "has no place in a data set" in of_body(body + START)


@pytest.mark.parametrize(("vr", "good"), [("LO", True), ("UN", True), ("UI", False), ("SH", False)])
def test_private_creators_are_long_strings(vr: str, good: bool) -> None:
    """DCMTK takes the blank out of a UI: another creator."""
    said_of_it = of_body(START + raw(0x00090010, vr, b"ACME 1.0"))
    assert (said_of_it == "") is good
    assert good or "(0009,0010) is a private creator" in said_of_it


def test_command_elements_have_no_place_in_items() -> None:
    content = item(raw(0x00001150, "UI", b"1.2\0"), EXPLICIT_LE)
    assert "(0000,1150) has no place" in of_body(START + raw(REFERENCED, "SQ", content))


def test_file_meta_information_in_the_data_set() -> None:
    group_two = raw(0x00020010, "UI", b"1.2.840.10008.1.2\0")
    assert "has no place in a data set" in of_body(START + group_two + raw(STUDY_DATE, "DA", b"20200101"))


def test_a_delimiter_outside_a_sequence() -> None:
    """pydicom ends there."""
    assert "has no place" in of_body(START + delimiter(0xFFFEE00D) + raw(0xFFFF0010, "LO", b"X "))


def test_directory_records_have_their_group() -> None:
    assert of_body(raw(0x00041130, "CS", b"DISC") + START) == ""


def test_elements_out_of_order_and_twice() -> None:
    date, name = raw(STUDY_DATE, "DA", b"20200101"), raw(NAME, "PN", b"A ")
    assert "out of order" in of_body(START + name + date)
    assert "more than once" in of_body(START + name + name)
    inner = item(name + date, EXPLICIT_LE)
    assert "out of order" in of_body(START + raw(REFERENCED, "SQ", inner))
    assert "more than once" in of_body(START + raw(REFERENCED, "SQ", item(name + name, EXPLICIT_LE)))


# ---- 4: VRs, lengths, items


@pytest.mark.parametrize("vr", ["XX", "ZZ", "OX"])
def test_a_vr_that_does_not_exist(vr: str) -> None:
    assert "VR that does not exist" in of_body(START + raw(NAME, vr, b"A "))


def test_a_standard_element_with_vr_un() -> None:
    assert "VR UN although" in of_body(START + raw(NAME, "UN", b"A "))
    # An overlay is one, too.
    assert "VR UN although" in of_body(START + raw(0x60020010, "UN", b"\1\0"))
    inner = item(raw(NAME, "UN", b"A "), EXPLICIT_LE)
    assert "VR UN although" in of_body(START + raw(REFERENCED, "SQ", inner))


def test_vr_un_where_it_may_be() -> None:
    private = raw(0x00090010, "LO", b"ACME") + raw(0x00091001, "UN", b"A ")
    unknown = raw(0x00189FFE, "UN", b"A ")
    inside = item(written([Written(NAME, "PN", b"A ")], IMPLICIT_LE), IMPLICIT_LE)
    sequence = raw(REFERENCED, "UN", inside + delimiter(0xFFFEE0DD), length=0xFFFFFFFF)
    assert of_body(START + private + unknown) == ""
    assert of_body(START + sequence + private) == ""


def test_an_undefined_length_that_is_none_of_a_sequence() -> None:
    nothing = delimiter(0xFFFEE0DD)
    assert "undefined length" in of_body(START + raw(0x00089999, "OB", nothing, length=0xFFFFFFFF))
    assert "undefined length" in of_body(START + raw(0x0040A160, "UT", nothing, length=0xFFFFFFFF))


def test_an_undefined_length_in_implicit_is_one_of_a_sequence_too() -> None:
    """Some readers go by their dictionary."""
    start, nothing = written([CLASS], IMPLICIT_LE), delimiter(0xFFFEE0DD)
    name = raw(NAME, "", nothing, IMPLICIT_LE, length=0xFFFFFFFF)
    unknown = raw(0x00091001, "", nothing, IMPLICIT_LE, length=0xFFFFFFFF)
    sequence = raw(REFERENCED, "", nothing, IMPLICIT_LE, length=0xFFFFFFFF)
    assert "undefined length" in of_body(start + name, IMPLICIT_VR_LE)
    assert of_body(start + sequence + unknown, IMPLICIT_VR_LE) == ""


ELEMENT = raw(NAME, "PN", b"A ")
UNDEFINED_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("content", "undefined"),
    [
        (b"", False),
        (item(b"", EXPLICIT_LE), False),
        (item(ELEMENT, EXPLICIT_LE) * 2, False),
        (UNDEFINED_ITEM + ELEMENT + delimiter(0xFFFEE00D), False),
        (UNDEFINED_ITEM + delimiter(0xFFFEE00D), True),
        (b"", True),
        (item(b"", EXPLICIT_LE), True),
        (item(ELEMENT, EXPLICIT_LE), True),
    ],
)
def test_sequences_as_the_standard_has_them(content: bytes, undefined: bool) -> None:
    end = delimiter(0xFFFEE0DD) if undefined else b""
    length = 0xFFFFFFFF if undefined else None
    assert of_body(START + raw(REFERENCED, "SQ", content + end, length=length) + ELEMENT) == ""


@pytest.mark.parametrize(
    "content",
    [
        item(ELEMENT, EXPLICIT_LE) + b"\0\0",
        item(ELEMENT, EXPLICIT_LE) + delimiter(0xFFFEE0DD),
        delimiter(0xFFFEE0DD) + item(ELEMENT, EXPLICIT_LE),
        ELEMENT,
        item(ELEMENT + b"\0\0\0\0", EXPLICIT_LE),
        item(ELEMENT + delimiter(0xFFFEE00D), EXPLICIT_LE),
        item(ELEMENT, EXPLICIT_LE)[:-1],
        UNDEFINED_ITEM + ELEMENT + delimiter(0xFFFEE00D, length=2),
        UNDEFINED_ITEM + ELEMENT,
    ],
    ids=["tail", "delimiter", "early", "no-item", "rest", "stray", "short", "long-delimiter", "open"],
)
def test_items_that_do_not_fill_their_sequence(content: bytes) -> None:
    said_of_it = of_body(START + raw(REFERENCED, "SQ", content))
    assert any(word in said_of_it for word in ("damaged", "ends before", "delimiter", "no place"))


def test_a_delimiter_of_a_sequence_with_a_length() -> None:
    end = delimiter(0xFFFEE0DD, length=4)
    body = START + raw(REFERENCED, "SQ", item(ELEMENT, EXPLICIT_LE) + end, length=0xFFFFFFFF)
    assert "damaged delimiter" in of_body(body)


# ---- 5: text


@pytest.mark.parametrize(
    ("vr", "value"),
    [("PN", b"A\0B "), ("LO", b"A\0B "), ("UI", b"1.2\x003 "), ("CS", b"\0A"), ("UT", b"A\0\\B")],
)
def test_a_zero_byte_within_a_text(vr: str, value: bytes) -> None:
    element = raw({"UT": 0x0040A160}.get(vr, NAME), vr, value)
    assert "zero byte" in of_body(START + element)
    assert "zero byte" in of_body(START + raw(REFERENCED, "SQ", item(element, EXPLICIT_LE)))


@pytest.mark.parametrize(
    ("vr", "value"), [("PN", b"A\0"), ("LO", b"A\0\0\0"), ("UI", b"1.2\0"), ("OB", b"A\0B\0")]
)
def test_a_zero_byte_that_may_be(vr: str, value: bytes) -> None:
    tag = 0x00420011 if vr == "OB" else NAME
    assert of_body(START + raw(tag, vr, value)) == ""


# ---- 6: pixel data


def image(pixels: bytes, *, frames: str = "", bits: int = 8, photometric: bytes = b"MONOCHROME2") -> bytes:
    """3 rows, 3 columns."""
    samples = 3 if photometric not in (b"MONOCHROME2", b"PALETTE COLOR") else 1
    numbers = {0x00280002: samples, 0x00280010: 3, 0x00280011: 3, 0x00280100: bits, 0x00280101: bits}
    numbers |= {0x00280102: bits - 1, 0x00280103: 0}
    elements = [Written(tag, "US", struct.pack("<H", number)) for tag, number in numbers.items()]
    elements += [CLASS, Written(0x00280004, "CS", photometric)]
    if frames:
        elements.append(Written(0x00280008, "IS", frames.encode("latin-1")))
    return written(elements, EXPLICIT_LE) + pixels


@pytest.mark.parametrize(
    ("size", "bits", "photometric", "good"),
    [
        (9, 8, b"MONOCHROME2", True),
        (10, 8, b"MONOCHROME2", True),
        (11, 8, b"MONOCHROME2", False),
        (8, 8, b"MONOCHROME2", False),
        (0, 8, b"MONOCHROME2", False),
        (18, 16, b"MONOCHROME2", True),
        (19, 16, b"MONOCHROME2", False),
        (20, 16, b"MONOCHROME2", False),
        (2, 1, b"MONOCHROME2", True),
        (3, 1, b"MONOCHROME2", False),
        (27, 8, b"RGB", True),
        (28, 8, b"RGB", True),
        (26, 8, b"RGB", False),
        (18, 8, b"YBR_FULL_422", True),
        (14, 8, b"YBR_PARTIAL_420", True),
    ],
)
def test_native_pixel_data_is_as_long_as_its_description_says(
    size: int, bits: int, photometric: bytes, good: bool
) -> None:
    said_of_it = of_body(image(raw(PIXELS, "OW", bytes(size)), bits=bits, photometric=photometric))
    assert said_of_it == ("" if good else "the pixel data has another length than its description says")


@pytest.mark.parametrize("tag", [0x00287FE0, 0x7FE00008, 0x7FE00009])
def test_two_sources_of_pixel_data(tag: int) -> None:
    other = raw(
        tag, {0x00287FE0: "UR", 0x7FE00008: "OF", 0x7FE00009: "OD"}[tag], bytes(8).replace(b"\0", b"1")
    )
    body = image(other + raw(PIXELS, "OB", bytes(9) + b"\0"))
    assert of_body(body) == "there is more than one source of pixel data"


def encapsulated(*fragments: bytes, table: bytes = b"", end: int = 0) -> bytes:
    content = item(table, EXPLICIT_LE) + b"".join(item(fragment, EXPLICIT_LE) for fragment in fragments)
    return raw(PIXELS, "OB", content + delimiter(0xFFFEE0DD, length=end), length=0xFFFFFFFF)


def test_pixel_data_has_the_form_of_its_transfer_syntax() -> None:
    assert "not in the form" in of_body(image(encapsulated(b"AB")))
    assert "not in the form" in of_body(image(raw(PIXELS, "OB", bytes(10))), JPEG)
    assert of_body(image(encapsulated(b"AB")), JPEG) == ""


# ---- 7: fragments


def numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def extended(offsets: tuple[int, ...], lengths: tuple[int, ...] | None) -> bytes:
    tables = raw(0x7FE00001, "OV", struct.pack(f"<{len(offsets)}Q", *offsets))
    if lengths is not None:
        tables += raw(0x7FE00002, "OV", struct.pack(f"<{len(lengths)}Q", *lengths))
    return tables


FOUR, SIX = b"AAAA", b"BBBBB\0"


@pytest.mark.parametrize(
    ("frames", "syntax", "pixels"),
    [
        ("", JPEG, encapsulated(FOUR)),
        ("1", JPEG, encapsulated(FOUR, SIX)),
        ("0", JPEG, encapsulated(FOUR, SIX)),
        ("1", JPEG, encapsulated(FOUR, SIX, table=numbers(0))),
        ("2", JPEG, encapsulated(FOUR, SIX)),
        ("2 ", JPEG, encapsulated(FOUR, SIX)),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(0, 12))),
        ("2", JPEG, encapsulated(FOUR, SIX, FOUR, table=numbers(0, 12))),
        ("2", JPEG, encapsulated(FOUR, SIX, FOUR, table=numbers(0, 26))),
        ("2", JPEG, extended((0, 12), (4, 6)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 12), (4, 5)) + encapsulated(FOUR, SIX)),
        ("1", JPEG, extended((0,), (4,)) + encapsulated(FOUR)),
        ("9", MPEG, encapsulated(FOUR, SIX)),
        ("9", MPEG, encapsulated(FOUR)),
    ],
)
def test_fragments_that_belong_to_frames_in_one_way(frames: str, syntax: str, pixels: bytes) -> None:
    assert of_body(image(pixels, frames=frames), syntax) == ""


@pytest.mark.parametrize(
    ("frames", "syntax", "pixels"),
    [
        ("1", JPEG, encapsulated(FOUR, SIX, table=numbers(12))),
        ("1", JPEG, encapsulated(FOUR, SIX, table=numbers(0, 12))),
        ("2", JPEG, encapsulated(FOUR)),
        ("2", JPEG, encapsulated(FOUR, SIX, FOUR)),
        ("3", JPEG, encapsulated(FOUR, SIX)),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(0))),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(12, 0))),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(0, 0))),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(0, 11))),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(4, 12))),
        ("2", JPEG, encapsulated(FOUR, SIX, FOUR, table=numbers(12, 26))),
        ("2", JPEG, encapsulated(FOUR, SIX, table=b"\0\0")),
        ("2", JPEG, encapsulated(FOUR, SIX, table=numbers(0, 12, 26))),
        ("2", JPEG, extended((0, 12), (4, 6)) + encapsulated(FOUR, SIX, table=numbers(0, 12))),
        ("2", JPEG, extended((0, 12), (4, 4)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 12), (4, 7)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 12), (4,)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 12), None) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 13), (4, 6)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0,), (4,)) + encapsulated(FOUR, SIX)),
        ("2", JPEG, extended((0, 12), (4, 6)) + encapsulated(FOUR, SIX, SIX)),
        ("1", JPEG, extended((12,), (6,)) + encapsulated(FOUR, SIX)),
        ("9", MPEG, encapsulated(FOUR, SIX, table=numbers(12))),
        ("x", JPEG, encapsulated(FOUR)),
        ("\xb2", JPEG, encapsulated(FOUR, SIX)),
        ("-1", JPEG, encapsulated(FOUR)),
        ("9" * 5000, JPEG, encapsulated(FOUR)),
        ("1\\2", JPEG, encapsulated(FOUR)),
        ("2.0", JPEG, encapsulated(FOUR, SIX)),
        ("1", JPEG, encapsulated(FOUR, end=4)),
    ],
)
def test_fragments_that_could_be_shared_out_otherwise(frames: str, syntax: str, pixels: bytes) -> None:
    assert of_body(image(pixels, frames=frames), syntax) != ""


def test_many_frames_are_judged_in_one_walk() -> None:
    """100 000 frames with an offset table: each is looked up, not searched for."""
    count = 100_000
    pixels = encapsulated(*[FOUR] * count, table=struct.pack(f"<{count}I", *range(0, 12 * count, 12)))
    assert of_body(image(pixels, frames=str(count)), JPEG) == ""


# ---- real files


OBJECTIONS = {
    "DICOMDIR-nooffset": "(0004,1220) is damaged",
    # 32 bits allocated in OW: readers swap two bytes, or four.
    "rtdose_expb.dcm": "the pixel data has no one byte order",
    "rtdose_expb_1frame.dcm": "the pixel data has no one byte order",
    # Number of Frames is "1A".
    "badVR.dcm": "(0028,0008) holds a value that its VR does not allow",
    "MR_small_padded.dcm": "the pixel data has another length than its description says",
    "SC_rgb_jpeg.dcm": "the elements are not encoded as the transfer syntax says",
    "meta_missing_tsyntax.dcm": "(0001,0001) has no place in a data set",
    "nested_priv_SQ.dcm": "(0001,0001) has no place in a data set",
    "rtdose_rle.dcm": "(0008,0012) has VR UN although it is a standard element",
    "rtdose_rle_1frame.dcm": "(0008,0012) has VR UN although it is a standard element",
}


def test_all_test_files_of_pydicom_have_one_reading_but_those_that_are_wrong() -> None:
    found, judged = {}, 0
    for name in sorted(get_testdata_files()):
        try:
            file = read(Path(name).read_bytes())
        except (UnreadableObject, IsADirectoryError):
            continue
        judged += 1
        said_of_it = objection(file, dictionary.vrs())
        if said_of_it:
            found[Path(name).name] = said_of_it
    assert judged > 100
    assert found == OBJECTIONS


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("build", [objects.ct, objects.fundus, objects.multi_frame])
def test_what_we_write_has_one_reading(build: object, syntax: str) -> None:
    assert said(transcode(build(rows=33, columns=33), syntax)) == ""  # type: ignore[operator]


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES[:3]))
def test_judging_anything_raises_only_what_is_promised(body: bytes, syntax: str) -> None:
    try:
        assert isinstance(of_body(body, syntax), str)
    except UnreadableObject:
        return


@given(st.data())
def test_judging_a_file_with_one_broken_byte_raises_only_what_is_promised(data: st.DataObject) -> None:
    good = with_meta(image(encapsulated(FOUR, SIX, table=numbers(0, 12)), frames="2"), JPEG)
    at = data.draw(st.integers(132, len(good) - 1))
    broken = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    try:
        assert isinstance(said(broken), str)
    except UnreadableObject:
        return
