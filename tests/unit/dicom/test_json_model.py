"""The DICOM JSON model of any data set is the one that pydicom makes of it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from gateway.dicom.elements import EXPLICIT_LE, encode, item
from gateway.dicom.json_model import model_of
from gateway.errors import UnreadableObject

# Latin, Greek, Cyrillic, Han: what is in the repertoire of ISO_IR 192.
CHARACTERS = st.characters(categories=("L", "N"), include_characters=" -.'^", max_codepoint=0x9FFF)
TEXT = st.text(CHARACTERS, max_size=16).map(str.strip)
NAME = TEXT.filter(bool)
UID = st.from_regex(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,4}", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AE": st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True),
    "AS": st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True),
    "AT": st.integers(0, 0xFFFFFFFF),
    "CS": st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True),
    "DA": st.dates().map(lambda date: f"{date.year:04}{date.month:02}{date.day:02}"),
    "DS": st.integers(-(10**6), 10**6).map(lambda number: str(number / 8)[:16]),
    "FD": st.floats(allow_nan=False, allow_infinity=False),
    "FL": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "IS": st.integers(-(2**31), 2**31 - 1).map(str),
    "LO": TEXT,
    # pydicom can't write a name without an alphabetic group into JSON.
    "PN": st.lists(NAME, min_size=1, max_size=3).map("=".join),
    "SH": TEXT,
    "SL": st.integers(-(2**31), 2**31 - 1),
    "SS": st.integers(-(2**15), 2**15 - 1),
    "SV": st.integers(-(2**63), 2**63 - 1),
    "TM": st.from_regex(r"[01][0-9][0-5][0-9][0-5][0-9]", fullmatch=True),
    "UC": TEXT,
    "UI": UID,
    "UL": st.integers(0, 2**32 - 1),
    "US": st.integers(0, 2**16 - 1),
    "UV": st.integers(0, 2**64 - 1),
}
SINGLE = {
    "LT": TEXT,
    "ST": TEXT,
    "UT": TEXT,
    "UR": st.from_regex(r"https://[a-z]{1,10}\.example/[a-z]{0,10}", fullmatch=True),
    "OB": st.binary(max_size=16).map(lambda value: value + bytes(len(value) % 2)),
    "OW": st.binary(max_size=16).map(lambda value: value + bytes(len(value) % 2)),
    "UN": st.binary(max_size=16).map(lambda value: value + bytes(len(value) % 2)),
}


@st.composite
def elements(draw: st.DrawFn, group: int, depth: int) -> DataElement:
    """An element of a private block, where every VR is allowed."""
    tag = Tag(group, 0x1000 + draw(st.integers(0, 0xFF)))
    kinds = [*sorted(VALUES), *sorted(SINGLE), *(["SQ"] if depth else [])]
    vr = draw(st.sampled_from(kinds))
    if vr == "SQ":
        return DataElement(tag, vr, Sequence(draw(st.lists(data_sets(depth - 1), max_size=2))))
    if vr in SINGLE:
        return DataElement(tag, vr, draw(SINGLE[vr]))
    values = draw(st.lists(VALUES[vr], min_size=1, max_size=3))
    return DataElement(tag, vr, values if len(values) > 1 else values[0])


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    for element in draw(st.lists(elements(0x0099, depth), max_size=6)):
        data_set[element.tag] = element
    return data_set


def written(data_set: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data_set)
    return bytes(buffer.getvalue())


def pydicoms(data_set: Dataset) -> dict[str, Any]:
    """pydicom's model of the bytes, read again; a missing value is no Value."""
    again = read_dataset(io.BytesIO(written(data_set)), is_implicit_VR=False, is_little_endian=True)
    return dict(normal(again.to_json_dict()))


def normal(model: Any) -> Any:
    """pydicom writes empty values of binary elements and names in several ways."""
    if isinstance(model, dict):
        kept = {key: normal(value) for key, value in model.items()}
        if kept.get("InlineBinary") == "":
            del kept["InlineBinary"]
        if "vr" in kept and isinstance(kept.get("Value"), list):
            kept["Value"] = [
                None if value in ("", {}, {"Alphabetic": ""}) else value for value in kept["Value"]
            ]
            if not any(value is not None for value in kept["Value"]):
                del kept["Value"]
        return kept
    return [normal(each) for each in model] if isinstance(model, list) else model


@given(data_sets())
def test_the_model_is_the_one_that_pydicom_makes(data_set: Dataset) -> None:
    model = model_of(written(data_set))
    assert model == pydicoms(data_set)
    assert json.loads(json.dumps(model, allow_nan=False)) == model


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return encode(tag, vr, value, EXPLICIT_LE)


@pytest.mark.parametrize(
    ("charset", "raw", "groups"),
    [
        ("ISO_IR 100", "Äneas^Jörg".encode("latin-1"), {"Alphabetic": "Äneas^Jörg"}),
        ("ISO_IR 144", "Жданов".encode("iso8859-5"), {"Alphabetic": "Жданов"}),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
        ),
        (
            "GB18030",
            "Wang^XiaoDong=王^小东".encode("gb18030"),
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
        ),
    ],
)
def test_names_come_in_utf_8_out_of_any_character_set(
    charset: str, raw: bytes, groups: dict[str, str]
) -> None:
    body = element(0x00080005, b"CS", charset.encode()) + element(0x00100010, b"PN", raw)
    model = model_of(body)
    assert model["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert model["00100010"]["Value"] == [groups]


def test_missing_values_are_null_and_empty_elements_have_none() -> None:
    model = model_of(
        element(0x00080008, b"CS", b"ORIGINAL\\\\AXIAL")
        + element(0x00100010, b"PN", b"")
        + element(0x00280010, b"US", b"")
    )
    assert model["00080008"]["Value"] == ["ORIGINAL", None, "AXIAL"]
    assert model["00100010"] == {"vr": "PN"}
    assert model["00280010"] == {"vr": "US"}


def test_numbers_that_json_does_not_have_are_words() -> None:
    model = model_of(element(0x00991000, b"FD", b"\0\0\0\0\0\0\xf8\x7f" + b"\0\0\0\0\0\0\xf0\xff"))
    assert model["00991000"]["Value"] == ["NaN", "-Infinity"]
    assert model_of(element(0x00281050, b"DS", b"nonsense"))["00281050"]["Value"] == ["nonsense"]


def test_what_is_bulk_data_is_an_address() -> None:
    body = element(0x7FE00010, b"OW", bytes(10)) + element(0x7FE10010, b"OB", b"ab")
    model = model_of(
        body, bulk_data=lambda tag, _vr, start, stop: f"/bulk/{start}-{stop}" if tag == 0x7FE00010 else None
    )
    assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": "/bulk/12-22"}
    assert base64.b64decode(model["7FE10010"]["InlineBinary"]) == b"ab"


def test_hostile_nesting_is_unreadable_and_no_crash() -> None:
    body = element(0x00100010, b"PN", b"x")
    for _ in range(100):
        body = element(0x00081140, b"SQ", item(body, EXPLICIT_LE))
    with pytest.raises(UnreadableObject):
        model_of(body)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_model_or_are_unreadable(body: bytes) -> None:
    try:
        json.dumps(model_of(body), allow_nan=False)
    except UnreadableObject:
        return
