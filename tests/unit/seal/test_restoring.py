"""Restoring: the data set comes back as it was received, byte for byte, or it is said that it does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence

from gateway.dicom.elements import EXPLICIT_LE, encode, item
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import DEFLATED_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dicom.tags import PIXEL_DATA
from gateway.seal.findings import Restoration, Verdict
from gateway.seal.verifying import Examination, restore_verified
from tests.support import objects
from tests.support.data import shipped
from tests.support.desk import Desk

JPEG_LS = "1.2.840.10008.1.2.4.80"
RLE = "1.2.840.10008.1.2.5"
NATIVE = (IMPLICIT_VR_LE, EXPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED_LE)
LONG_TEXT = 0x0040A160


def restored(desk: Desk, data: bytes, *, unverified: bool = False) -> tuple[bytes | None, Restoration]:
    back, restoration = restore_verified(
        Examination(data, desk.codec),
        trusted=desk.trusted,
        recipient_key=desk.recipient_key,
        unverified=unverified,
    )
    return None if back is None else back[:], restoration


def is_whole(desk: Desk, original: bytes, data: bytes) -> bool:
    """Whether restoring gives the data set as received. It says so itself, and it must be right."""
    back, restoration = restored(desk, data)
    assert restoration.restored
    assert back is not None
    first, second = read(original), read(back)
    same = first.body == second.body and first.transfer_syntax == second.transfer_syntax
    assert restoration.whole is same
    return same


def changed(data: bytes, **elements: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def odd(**elements: Any) -> bytes:
    """127 by 129 pixels of three bytes: an odd length and its pad byte."""
    return objects.fundus(rows=127, columns=129, **elements)


BUILDERS: dict[str, Callable[..., bytes]] = {
    "ct": lambda **e: objects.ct(rows=128, columns=128, **e),
    "signed": lambda **e: objects.signed_ct(rows=128, columns=128, **e),
    "odd": odd,
    "frames": lambda **e: objects.multi_frame(frames=3, **e),
}


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize("syntax", NATIVE)
def test_the_whole_data_set_comes_back_from_every_native_syntax(desk: Desk, name: str, syntax: str) -> None:
    original = transcode(BUILDERS[name](), syntax)
    sealed, result = desk.seal(original)
    assert result.level == "full"
    assert result.whole
    assert is_whole(desk, original, sealed)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_whole_data_set_comes_back_from_jpeg_ls_of_our_encoder(desk: Desk, name: str) -> None:
    original = transcode(BUILDERS[name](), JPEG_LS)
    sealed, result = desk.seal(original)
    assert result.level == "full"
    assert is_whole(desk, original, sealed) is result.whole is True


@pytest.mark.parametrize("identity", ["keep", "derive"])
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_identity_that_was_given_is_taken_back(desk: Desk, identity: str, name: str) -> None:
    original = BUILDERS[name]()
    sealed, result = desk.seal(original, identity=identity)
    assert result.level == "full"
    assert is_whole(desk, original, sealed)


ROUTES = [
    (EXPLICIT_VR_LE,), (IMPLICIT_VR_LE,), (EXPLICIT_VR_BE,), (DEFLATED_LE,), (JPEG_LS,), (IMPLICIT_VR_LE, JPEG_LS),
    (IMPLICIT_VR_LE, EXPLICIT_VR_LE), (JPEG_LS, EXPLICIT_VR_BE), (EXPLICIT_VR_BE, DEFLATED_LE, IMPLICIT_VR_LE),
]  # fmt: skip


@pytest.mark.parametrize("came", [*NATIVE, JPEG_LS])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: "-".join(uid[-4:] for uid in route))
def test_the_whole_data_set_comes_back_after_the_archive_transcoded_it(
    desk: Desk, came: str, route: tuple[str, ...]
) -> None:
    original = transcode(objects.ct(rows=128, columns=128), came)
    data, _ = desk.seal(original)
    for syntax in route:
        data = transcode(data, syntax)
    assert desk.verify(data).ok
    assert is_whole(desk, original, data)


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm", "test-SR.dcm", "rtplan.dcm"])
def test_what_is_sealed_at_level_digest_comes_back_whole(desk: Desk, name: str) -> None:
    original = shipped(name).read_bytes()
    sealed, result = desk.seal(original)
    assert result.level == "digest"
    assert is_whole(desk, original, sealed)


def test_an_object_without_pixels_comes_back_whole_after_transcoding(desk: Desk) -> None:
    original = objects.report()
    data, _ = desk.seal(original)
    assert is_whole(desk, original, transcode(data, IMPLICIT_VR_LE))
    assert is_whole(desk, original, transcode(transcode(data, EXPLICIT_VR_BE), EXPLICIT_VR_LE))


def test_another_encoder_of_the_archive_leaves_pixels_and_header(desk: Desk) -> None:
    """Level digest, RLE: the archive stored it native, and our encoder need not give the same codestream."""
    original = shipped("MR_small_RLE.dcm").read_bytes()
    sealed, _ = desk.seal(original)
    data = transcode(sealed, IMPLICIT_VR_LE)
    back, restoration = restored(desk, data)
    assert restoration.restored
    assert back is not None
    if not restoration.whole:
        first, second = read(transcode(original, IMPLICIT_VR_LE)), read(back)
        assert first.value(PIXEL_DATA) == second.value(PIXEL_DATA)


# ---- headers that were changed


def test_the_header_as_received_comes_back_over_a_changed_one(desk: Desk) -> None:
    original = objects.ct(rows=128, columns=128)
    sealed, _ = desk.seal(original)
    data = changed(sealed, PatientName="Doe^Jane", WindowCenter="41", StudyDescription="X", Modality="MR")
    back, restoration = restored(desk, data)
    assert (back, restoration.reason, restoration.verdict) == (None, "not-verified", Verdict.MISIDENTIFIED)
    back, restoration = restored(desk, data, unverified=True)
    assert restoration.whole
    assert back is not None
    assert read(back).body == read(original).body


def test_the_character_set_as_received_comes_back(desk: Desk) -> None:
    original = objects.ct(rows=128, columns=128, SpecificCharacterSet="ISO_IR 100")
    sealed, _ = desk.seal(original)
    data = changed(sealed, SpecificCharacterSet="ISO_IR 192")
    assert desk.verify(data).verdict is Verdict.INTACT
    assert is_whole(desk, original, data)


@pytest.mark.parametrize("syntax", ["", IMPLICIT_VR_LE])
def test_long_values_that_are_unchanged_come_back_and_changed_ones_are_refused(
    desk: Desk, syntax: str
) -> None:
    original = objects.ct(rows=128, columns=128, TextValue="x" * 6000)
    sealed, _ = desk.seal(original)
    data = transcode(sealed, syntax) if syntax else sealed
    assert is_whole(desk, original, data)
    for text in ("x" * 5999 + "y", "x" * 6002, "short", None):
        element = None if text is None else encode(LONG_TEXT, b"UT", text.encode(), EXPLICIT_LE)
        broken = read(sealed).edited({LONG_TEXT: element})
        broken = transcode(broken, syntax) if syntax else broken
        back, restoration = restored(desk, broken, unverified=True)
        assert (back, restoration.reason) == (None, "changed-since")


def with_long_private(data: bytes, value: bytes, block: int = 0x10) -> bytes:
    creator, element = 0x00090000 | block, 0x00090000 | block << 8 | 1
    return read(data).edited(
        {
            creator: encode(creator, b"LO", b"ACME", EXPLICIT_LE),
            element: encode(element, b"UN", value, EXPLICIT_LE),
        }
    )


def test_a_long_private_value_that_was_changed_is_refused(desk: Desk) -> None:
    original = with_long_private(objects.ct(rows=128, columns=128), b"x" * 5000)
    sealed, _ = desk.seal(original)
    assert is_whole(desk, original, sealed)
    data = with_long_private(sealed, b"y" * 5000)
    assert desk.verify(data).ok
    assert restored(desk, data)[1].reason == "changed-since"


def test_a_long_private_value_that_is_not_found_is_refused(desk: Desk) -> None:
    original = with_long_private(objects.ct(rows=128, columns=128), b"x" * 5000)
    sealed, _ = desk.seal(original)
    gone = read(sealed).edited({0x00090010: None, 0x00091001: None})
    renumbered = with_long_private(gone, b"x" * 5000, 0x33)
    assert not desk.verify(renumbered).header_differences
    for data in (gone, renumbered):
        back, restoration = restored(desk, data)
        assert back is None or is_whole(desk, original, data)
        assert restoration.reason in ("changed-since", "proven")


def test_a_long_text_in_another_character_set_is_never_mixed_with_the_header_as_received(desk: Desk) -> None:
    """The header as received says ISO 8859-1, the value at hand is UTF-8: both together would be another text."""
    text = "é" * 5000
    original = objects.ct(rows=128, columns=128, SpecificCharacterSet="ISO_IR 100", TextValue=text)
    sealed, _ = desk.seal(original)
    data = changed(sealed, SpecificCharacterSet="ISO_IR 192")
    assert desk.verify(data).verdict is Verdict.INTACT
    back, restoration = restored(desk, data)
    if back is None:
        assert restoration.reason == "changed-since"
    else:
        assert pydicom.dcmread(io.BytesIO(back)).TextValue == text


def test_many_long_values_do_not_keep_an_object_from_coming_back(desk: Desk) -> None:
    """Where the header as received would be too long, more is left out, but never what sealing writes anew."""
    inside = Dataset()
    inside.Manufacturer = "another gateway " * 4
    elements: dict[str, Any] = {"ContributingEquipmentSequence": ItemSequence([inside] * 80)}
    elements["DerivationDescription"] = "d" * 900
    original = objects.ct(rows=128, columns=128, **elements)
    block = {0x00090010: encode(0x00090010, b"LO", b"ACME", EXPLICIT_LE)}
    for number in range(0x1000, 0x10FF):
        tag = 0x00090000 | number
        block[tag] = encode(tag, b"UN", bytes([number & 0xFF]) * 1000, EXPLICIT_LE)
    original = read(original).edited(block)
    sealed, result = desk.seal(original, identity="derive")
    assert result.level == "full"
    assert is_whole(desk, original, sealed)


# ---- what somebody without keys makes


def test_pixels_that_were_changed_are_no_original(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.ct(rows=128, columns=128))
    file = read(sealed)
    pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2").copy()
    pixels[7] += 8
    data = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)})
    assert restored(desk, data)[1].reason == "not-verified"
    assert restored(desk, data, unverified=True)[1].reason in ("changed-since", "nothing-hidden")


@pytest.mark.parametrize("name", ["", "SC_rgb_jpeg_dcmtk.dcm"])
def test_an_object_without_its_pixels_is_no_original_and_no_error(desk: Desk, name: str) -> None:
    sealed, _ = desk.seal(shipped(name).read_bytes() if name else objects.ct(rows=128, columns=128))
    back, restoration = restored(desk, read(sealed).edited({PIXEL_DATA: None}), unverified=True)
    assert back is None
    assert not restoration.restored


def test_a_document_that_was_removed_is_in_the_header_as_received(desk: Desk) -> None:
    original = objects.report()
    sealed, _ = desk.seal(original)
    data = read(sealed).edited({0x00420011: None})
    assert restored(desk, data)[1].verdict is Verdict.TAMPERED
    back, restoration = restored(desk, data, unverified=True)
    assert restoration.whole
    assert back is not None
    assert read(back).body == read(original).body


def test_somebody_else_restores_nothing(desk: Desk, other_desk: Desk) -> None:
    sealed, _ = desk.seal(objects.ct(rows=128, columns=128))
    back, restoration = restore_verified(
        Examination(sealed, desk.codec), trusted=desk.trusted, recipient_key=other_desk.recipient_key
    )
    assert back is None
    assert not restoration.restored


def test_an_undefined_length_comes_back_as_it_was(desk: Desk) -> None:
    """A sequence of undefined length, an empty one, and group lengths."""
    file = read(objects.ct(rows=128, columns=128))
    inside = item(encode(0x00081155, b"UI", b"1.2", EXPLICIT_LE), EXPLICIT_LE)
    undefined = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + inside + b"\xfe\xff\xdd\xe0\0\0\0\0"
    original = file.edited(
        {
            0x00081140: undefined,
            0x00082112: encode(0x00082112, b"SQ", b"", EXPLICIT_LE),
            0x00280000: encode(0x00280000, b"UL", b"\1\0\0\0", EXPLICIT_LE),
        }
    )
    sealed, _ = desk.seal(original)
    assert is_whole(desk, original, sealed)
    for syntax in (IMPLICIT_VR_LE, EXPLICIT_VR_BE, JPEG_LS):
        assert is_whole(desk, original, transcode(transcode(sealed, syntax), EXPLICIT_VR_LE))
