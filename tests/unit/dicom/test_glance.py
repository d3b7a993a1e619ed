"""A few elements are found in the first bytes, in every encoding; what is hostile costs little memory and time."""

from __future__ import annotations

import gc
import struct
import tracemalloc
import weakref
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.file_meta import unwrap
from gateway.dicom.glance import INFLATED_BYTES_MAX, STEPS_MAX, check_readable, glance
from gateway.dicom.syntaxes import DEFLATED_LE
from gateway.dicom.tags import PIXEL_DATA, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.errors import HeaderTooLarge, UnreadableObject
from tests.support.objects import as_file, ct, uid


def body(file: bytes) -> bytes:
    return file[unwrap(file).offset :]


def study_of(data_set: bytes, syntax: str) -> str | None:
    """None when it was not found."""
    try:
        return glance(data_set, syntax, {STUDY_INSTANCE_UID}).text(STUDY_INSTANCE_UID) or None
    except (UnreadableObject, HeaderTooLarge):
        return None


def deflated(content: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(content) + engine.flush()


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_study_is_found_in_each_encoding_behind_sequences(syntax: str) -> None:
    dataset, inner = Dataset(), Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.StudyInstanceUID = uid("study", 4)
    inner.StudyInstanceUID = "1.2.3.4"
    dataset.ReferencedStudySequence = Sequence([inner])
    dataset["ReferencedStudySequence"].is_undefined_length = True
    assert study_of(body(as_file(dataset, syntax)), syntax) == uid("study", 4)


def test_the_study_is_found_in_a_deflated_data_set() -> None:
    assert study_of(deflated(body(ct(rows=64, columns=64, seed=3))), DEFLATED_LE) == uid("study", 3)


def test_the_beginning_is_enough() -> None:
    assert study_of(body(ct(seed=2))[:2000], ExplicitVRLittleEndian) == uid("study", 2)


def test_without_a_study_there_is_none() -> None:
    assert study_of(body(ct(StudyInstanceUID="")), ExplicitVRLittleEndian) is None
    assert study_of(b"", ExplicitVRLittleEndian) is None


@given(st.binary(max_size=300), st.sampled_from([ExplicitVRLittleEndian, ExplicitVRBigEndian, DEFLATED_LE]))
def test_any_bytes_are_taken(data: bytes, syntax: str) -> None:
    study_of(data, syntax)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_beginning_is_taken(at: int, value: int) -> None:
    damaged = bytearray(body(ct(rows=8, columns=8)))
    damaged[at] = value
    study_of(bytes(damaged), ExplicitVRLittleEndian)


CLASS = implicit(SOP_CLASS_UID, b"1.2.3\0")


def test_of_a_deflated_data_set_no_more_is_inflated_than_the_bound_however_large_it_becomes() -> None:
    bomb = deflated(CLASS + implicit(0x00080019, bytes(200 << 20)) + implicit(STUDY_INSTANCE_UID, b"1.2.4\0"))
    tracemalloc.start()
    seen = glance(bomb, DEFLATED_LE, {SOP_CLASS_UID, STUDY_INSTANCE_UID})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * INFLATED_BYTES_MAX
    assert seen.text(SOP_CLASS_UID) == "1.2.3"
    with pytest.raises(HeaderTooLarge, match="4 MiB"):
        seen.text(STUDY_INSTANCE_UID)
    with pytest.raises(HeaderTooLarge):
        check_readable(bomb, DEFLATED_LE)


def test_a_pixel_value_behind_what_was_inflated_changes_nothing() -> None:
    """What is asked for stands before it."""
    image = deflated(CLASS + implicit(STUDY_INSTANCE_UID, b"1.2.4\0") + implicit(PIXEL_DATA, bytes(8 << 20)))
    assert study_of(image, DEFLATED_LE) == "1.2.4"


@pytest.mark.parametrize(
    "many",
    [
        implicit(0x00080019, b"") * (STEPS_MAX + 10),
        implicit(0x00081115, b"", length=0xFFFFFFFF) + implicit(0xFFFEE000, b"") * (STEPS_MAX + 10),
    ],
    ids=["elements", "items"],
)
def test_of_millions_of_elements_or_items_a_bounded_number_is_read(many: bytes) -> None:
    seen = glance(CLASS + many, ImplicitVRLittleEndian, {SOP_CLASS_UID, STUDY_INSTANCE_UID})
    assert seen.text(SOP_CLASS_UID) == "1.2.3"
    with pytest.raises(HeaderTooLarge, match="elements"):
        seen.text(STUDY_INSTANCE_UID)


def test_nothing_is_read_behind_the_last_element_that_is_asked_for() -> None:
    many = implicit(0x00200010, b"") * (STEPS_MAX + 10)
    seen = glance(CLASS + many, ImplicitVRLittleEndian, {SOP_CLASS_UID, STUDY_INSTANCE_UID})
    assert seen.failure is None
    assert seen.text(STUDY_INSTANCE_UID) == ""


def test_damage_behind_an_element_leaves_what_stands_before_it() -> None:
    seen = glance(CLASS + b"\x08\x00", ImplicitVRLittleEndian, {SOP_CLASS_UID, STUDY_INSTANCE_UID})
    assert seen.text(SOP_CLASS_UID) == "1.2.3"
    with pytest.raises(UnreadableObject):
        seen.text(STUDY_INSTANCE_UID)


def test_what_is_absent_before_the_damage_is_absent() -> None:
    damaged = CLASS + implicit(0x00080060, b"CT") + b"\x10\x00"
    seen = glance(damaged, ImplicitVRLittleEndian, {SOP_INSTANCE_UID, STUDY_INSTANCE_UID})
    assert seen.text(SOP_INSTANCE_UID) == ""


def test_a_data_set_is_readable_when_its_elements_end_where_it_ends() -> None:
    whole = body(ct(rows=16, columns=16))
    check_readable(whole, ExplicitVRLittleEndian)
    check_readable(deflated(whole), DEFLATED_LE)
    for damaged in (whole[:-1], b"garbage" * 20, b""):
        with pytest.raises(UnreadableObject):
            check_readable(damaged, ExplicitVRLittleEndian)
    with pytest.raises(UnreadableObject):
        check_readable(deflated(whole)[:-9], DEFLATED_LE)


def test_a_glance_does_not_keep_the_data_set() -> None:
    class Source:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, where: slice, /) -> bytes:
            return bytes(20)[where]

    source = Source()
    gone = weakref.ref(source)
    seen = glance(source, ImplicitVRLittleEndian, {STUDY_INSTANCE_UID})
    with pytest.raises(UnreadableObject):
        seen.text(STUDY_INSTANCE_UID)
    gc.disable()
    try:
        del source
        assert gone() is None
    finally:
        gc.enable()
