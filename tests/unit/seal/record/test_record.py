"""The record: packed small, unpacked exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_charset_files

from gateway.dicom.part10 import Part10, read
from gateway.errors import ConfigurationError
from gateway.seal.record.bits import BitReader, BitWriter
from gateway.seal.record.fields import (
    DEFAULT_FIELDS,
    comparable,
    field,
    text,
)
from gateway.seal.record.record import (
    CHARSETS,
    Record,
    RecordDamaged,
    pack,
    same_value,
    take,
    unpack,
)
from tests.support import objects

KEY = bytes(range(16))
EXTRAS = (
    "OtherPatientIDs",
    "InstanceNumber",
    "PatientWeight",
    "ReferencedFrameNumber",
    "PatientComments",
    "Rows",
)
UIDS = st.from_regex(rb"[0-9]+(\.[0-9]+){1,12}", fullmatch=True).filter(lambda uid: len(uid) <= 64)
DATES = st.dates().map(lambda day: f"{day:%Y%m%d}".encode()) | st.binary(max_size=10)
VALUES = st.binary(max_size=255) | st.text("0123456789^=ABC .-", max_size=255).map(str.encode)


def values_of(keyword: str) -> st.SearchStrategy[bytes]:
    special = {"UI": UIDS, "DA": DATES}.get(field(keyword).vr, st.nothing())
    return special | VALUES | st.sampled_from([b"M", b"F", b"O", b"CT", b"MR"])


def records() -> st.SearchStrategy[Record]:
    values = st.fixed_dictionaries({}, optional={name: values_of(name) for name in DEFAULT_FIELDS + EXTRAS})
    charsets = st.sampled_from(CHARSETS) | st.binary(max_size=80)
    return st.builds(
        lambda key, charset, values, cut, likeness: Record(
            key, charset, values, frozenset(cut) & values.keys(), likeness
        ),
        st.binary(min_size=16, max_size=16),
        charsets,
        values,
        st.sets(st.sampled_from(DEFAULT_FIELDS + EXTRAS)),
        st.just(b"") | st.binary(min_size=8, max_size=8),
    )


@given(records())
def test_what_was_packed_is_unpacked(record: Record) -> None:
    assert unpack(pack(record)) == record


@given(records())
def test_packing_is_deterministic(record: Record) -> None:
    reordered = dict(reversed(record.values.items()))
    assert pack(record) == pack(replace(record, values=reordered))


@given(st.binary(max_size=120))
def test_other_bytes_are_a_record_or_an_error_of_its_own(data: bytes) -> None:
    try:
        unpack(data)
    except RecordDamaged:
        return


@given(records())
def test_a_record_followed_by_bytes_is_refused(record: Record) -> None:
    with pytest.raises(RecordDamaged):
        unpack(pack(record) + b"\1")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0)), max_size=40))
def test_bits_come_back_in_order(numbers: list[tuple[int, int]]) -> None:
    written = [(width, value & ((1 << width) - 1)) for width, value in numbers]
    out = BitWriter()
    for width, value in written:
        out.put(value, width)
    bits = BitReader(out.to_bytes())
    assert [(width, bits.get(width)) for width, _ in written] == written
    assert bits.at_end()


def test_a_number_too_large_for_its_bits_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        BitWriter().put(8, 3)


def test_a_usual_record_stays_below_110_bytes() -> None:
    values = {
        "PatientID": b"HOSP-00482913",
        "PatientName": b"Vandenbroucke^Marie-Claire^^Dr",
        "PatientBirthDate": b"19540612",
        "PatientSex": b"F",
        "AccessionNumber": b"2025031400123",
        "StudyInstanceUID": b"1.3.12.2.1107.5.2.43.66063.30000020031807123412300000012",
        "SOPInstanceUID": b"1.3.12.2.1107.5.2.43.66063.2020031808153264971200345",
        "IssuerOfPatientID": b"HOSP",
        "StudyDate": b"20250314",
        "Modality": b"MR",
    }
    assert len(pack(Record(KEY, b"ISO_IR 100", values))) <= 110


def header(**elements: Any) -> Part10:
    return read(objects.report(**elements))


def test_empty_and_absent_values_are_left_out() -> None:
    record = take(header(AccessionNumber=""), DEFAULT_FIELDS, KEY)
    assert "AccessionNumber" not in record.values
    assert "PatientID" in record.values


def test_a_long_value_is_shortened_and_says_so() -> None:
    record = take(header(PatientComments="x" * 300), (*DEFAULT_FIELDS, "PatientComments"), KEY)
    again = unpack(pack(record))
    assert again.shortened == {"PatientComments"}
    assert len(again.values["PatientComments"]) == 255


def test_a_shortened_value_agrees_with_its_beginning_only() -> None:
    long, other = "y" * 300, "y" * 100 + "z" * 200
    record = take(header(PatientComments=long), ("PatientComments",), KEY)
    identity_field = field("PatientComments")
    assert same_value(record, identity_field, header(PatientComments=long))
    assert not same_value(record, identity_field, header(PatientComments=other))


@pytest.mark.parametrize("keyword", ["NoSuchElement", "PixelData", "ReferencedStudySequence"])
def test_what_cannot_be_a_field_is_a_configuration_error(keyword: str) -> None:
    with pytest.raises(ConfigurationError):
        field(keyword)


def test_numbers_are_recorded_in_little_endian_and_shown_as_numbers() -> None:
    record = unpack(pack(take(read(objects.ct(rows=64, columns=64)), ("Rows",), KEY)))
    assert record.values["Rows"] == b"\x40\0"
    assert record.texts() == {"Rows": "64"}


@pytest.mark.parametrize("path", get_charset_files("*.dcm"), ids=lambda path: str(path).rsplit("/", 1)[-1])
def test_names_in_every_character_set_come_back_byte_for_byte(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123  # pydicom gives str
        object_ = read(file.read())
    record = take(object_, DEFAULT_FIELDS, KEY)
    again = unpack(pack(record))
    assert again == record
    raw = (object_.value(0x00100010) or b"").rstrip(b" \0")
    assert again.values.get("PatientName", b"") == raw
    identity_field = field("PatientName")
    assert same_value(again, identity_field, object_)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东="),
        ("ISO_IR 100", "Äneas^Rüdiger"),
    ],
)
def test_the_text_of_a_record_is_what_the_header_showed(charset: str, name: str) -> None:
    record = unpack(pack(take(header(SpecificCharacterSet=charset, PatientName=name), ("PatientName",), KEY)))
    assert record.texts()["PatientName"].rstrip("=") == name.rstrip("=")


def test_the_same_name_in_another_character_set_is_the_same_name() -> None:
    record = take(
        header(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Élise"), ("PatientName",), KEY
    )
    identity_field = field("PatientName")
    unicode = header(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Élise^^^")
    assert same_value(record, identity_field, unicode)


@given(st.binary(max_size=80), st.binary(max_size=60), st.sampled_from(DEFAULT_FIELDS))
def test_any_bytes_can_be_shown_compared_and_hashed(value: bytes, charset: bytes, keyword: str) -> None:
    identity_field = field(keyword)
    shown = text(value, identity_field, charset)
    assert comparable(shown, identity_field).encode() is not None
