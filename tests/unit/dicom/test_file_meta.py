"""The wrapper that makes a file of a data set."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from gateway.dicom.file_meta import unwrap, wrap
from gateway.errors import UnreadableObject
from tests.support import objects

uids = st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True)


@given(uids, uids, uids, st.binary(max_size=40))
def test_what_was_wrapped_is_unwrapped(sop_class: str, sop_instance: str, syntax: str, body: bytes) -> None:
    data = wrap(sop_class=sop_class, sop_instance=sop_instance, syntax=syntax) + b"\x08\x00" + body
    wrapper = unwrap(data)
    assert (wrapper.sop_class, wrapper.sop_instance, wrapper.syntax) == (sop_class, sop_instance, syntax)
    assert data[wrapper.offset :] == b"\x08\x00" + body


def test_pydicom_reads_what_we_wrap() -> None:
    original = objects.ct(rows=16, columns=16)
    head = unwrap(original)
    again = wrap(sop_class=head.sop_class, sop_instance=head.sop_instance, syntax=head.syntax)
    dataset = dcmread(io.BytesIO(again + original[head.offset :]))
    assert dataset.file_meta.TransferSyntaxUID == head.syntax
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == head.sop_instance
    assert len(dataset.PixelData) == 16 * 16 * 2


@given(st.binary(max_size=400))
def test_garbage_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableObject):
        unwrap(data)


@given(st.integers(0, 400))
def test_a_file_cut_off_in_its_meta_information_is_unreadable(length: int) -> None:
    whole = wrap(sop_class="1.2.840.10008.5.1.4.1.1.2", sop_instance="1.2.3", syntax="1.2.840.10008.1.2")
    end_of_syntax = whole.index(b"\x02\x00\x12\x00")
    cut = whole[: min(length, end_of_syntax - 1)]
    with pytest.raises(UnreadableObject):
        unwrap(cut)


def test_a_sequence_in_the_file_meta_information_is_unreadable() -> None:
    """Some readers look into it, and find the rest of the elements elsewhere."""
    whole = objects.ct(rows=16, columns=16)
    version = whole.index(b"\x02\x00\x01\x00OB\0\0")
    with pytest.raises(UnreadableObject, match="has a sequence"):
        unwrap(whole[: version + 4] + b"SQ" + whole[version + 6 :])
