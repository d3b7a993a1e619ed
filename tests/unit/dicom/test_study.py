"""The study of a data set is found in its first bytes, in every encoding, and damaged bytes raise no error."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.file_meta import unwrap
from gateway.dicom.study import study_of
from gateway.dicom.syntaxes import DEFLATED_LE
from tests.support.objects import as_file, ct, uid


def body(file: bytes) -> bytes:
    return file[unwrap(file).offset :]


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
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = engine.compress(body(ct(rows=64, columns=64, seed=3))) + engine.flush()
    assert study_of(deflated, DEFLATED_LE) == uid("study", 3)


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
