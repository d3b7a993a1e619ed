"""Two readers, written apart, find the same signed header in whatever stands in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_files

from gateway.dicom.one_reading import objection
from gateway.dicom.part10 import read
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, syntax_of
from gateway.errors import UnreadableObject
from gateway.seal.header import dictionary, table
from tests.second_reader import dicom, header
from tests.second_reader.dicom import Encoding
from tests.support.changes import element, item
from tests.support.elements import Written, with_meta, written
from tests.unit.seal.header.test_canonical import CLASS, DATA_SETS, PRIVATE, SALT

FILES = sorted(Path(name) for name in get_testdata_files() if Path(name).is_file())


def both(data: bytes) -> tuple[bytes, bytes]:
    first = table.encode(table.take(read(data), SALT))
    return first, header.signed_header(dicom.parse(data).elements, SALT).encoded()


@given(DATA_SETS, st.sampled_from([EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE]), st.booleans())
def test_two_readers_agree_on_any_header(elements: list[Written], syntax: str, private: bool) -> None:
    content = [CLASS, *elements, *(PRIVATE if private else [])]
    first, second = both(with_meta(written(content, syntax_of(syntax).encoding), syntax))
    assert first == second


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_two_readers_agree_on_the_header_of_a_real_file(path: Path) -> None:
    data = path.read_bytes()
    try:
        if objection(read(data), dictionary.vrs()):
            return
    except UnreadableObject:
        return
    first, second = both(data)
    assert first == second


@pytest.mark.parametrize("representation", [b"", b"\0\0", b"\1\0", b"\2\0"])
@pytest.mark.parametrize("around", [b"\0\0", b"\1\0"])
def test_two_readers_agree_on_the_sign_of_a_value_in_an_item(representation: bytes, around: bytes) -> None:
    """(0028,0106) is US or SS, and Implicit VR does not say which."""
    implicit = Encoding(False, False)
    inner = element(0x00280103, "US", representation, implicit) + element(
        0x00280106, "US", b"\xff\xff", implicit
    )
    data = element(0x00080016, "UI", b"1.2.3", implicit)
    data += element(0x00081140, "SQ", item(inner), implicit) + element(0x00280103, "US", around, implicit)
    first, second = both(data)
    assert first == second
