"""Warnings written into objects."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.dicom.pixels import transcode
from gateway.dicom.warning import with_warning
from gateway.errors import UnreadableObject
from tests.support import objects


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_warning_is_the_only_change(syntax: str) -> None:
    data = transcode(objects.ct(rows=16, columns=16), syntax)
    after = dcmread(io.BytesIO(with_warning(data, "verification failed: tampered")[:]))
    assert after.ImageComments == "SEALGATE: verification failed: tampered"
    del after.ImageComments
    assert after == dcmread(io.BytesIO(data))


def test_a_warning_keeps_the_comment_that_was_there_and_is_set_once() -> None:
    data = objects.ct(rows=16, columns=16, ImageComments="seen by Dr. Müller")
    once = with_warning(data, "not sealed: x")
    assert dcmread(io.BytesIO(once[:])).ImageComments.splitlines() == [
        "SEALGATE: not sealed: x",
        "seen by Dr. Müller",
    ]
    assert with_warning(once, "not sealed: x") == once


def test_what_cannot_be_parsed_gets_no_warning() -> None:
    with pytest.raises(UnreadableObject):
        with_warning(b"garbage", "x")
