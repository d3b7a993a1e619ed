"""Verdicts: each kind of change has its own, and nothing that was changed is called intact."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, encode
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.tags import PIXEL_DATA
from gateway.seal import seal
from gateway.seal.block import private_block
from gateway.seal.verifying import Report, Verdict, verify
from tests.support import objects
from tests.support.desk import NOW, Desk

PRIVATE = {"version": 0x01, "level": 0x02, "digest": 0x03, "statement": 0x10, "signature": 0x11}
PRIVATE |= {"tiles": 0x20, "restoring": 0x30}


@pytest.fixture(scope="module")
def original() -> bytes:
    return objects.ct()


@pytest.fixture(scope="module")
def sealed(desk: Desk, original: bytes) -> bytes:
    data, result = desk.seal(original)
    assert result.level == "full"
    return data


def changed_header(data: bytes, **elements: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def changed_pixels(data: bytes, change: Callable[[NDArray[np.uint16]], object]) -> bytes:
    file = read(data)
    pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2").reshape(256, 256).copy()
    change(pixels)
    return file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)})


def stripped(data: bytes) -> bytes:
    file = read(data)
    return file.edited(private_block.removal(file))


def failed(report: Report) -> set[int]:
    return {check.n for check in report.checks if not check.ok}


@pytest.mark.parametrize("with_key", [True, False])
def test_an_untouched_object_is_intact(desk: Desk, sealed: bytes, with_key: bool) -> None:
    report = desk.verify(sealed, with_key=with_key)
    assert report.verdict is Verdict.INTACT
    assert report.ok
    assert [check.n for check in report.checks] == (
        [1, 0, 2, 3, 4, 5, 6, 7, 8, 11] if with_key else [1, 0, 2, 3, 4, 5, 6]
    )
    assert not failed(report)


def test_the_record_is_given_to_the_holder_of_the_key(desk: Desk, sealed: bytes) -> None:
    expected = {
        "PatientID": "SYN-00000",
        "PatientName": "Müller^Élise",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "AccessionNumber": "A0000000",
        "StudyInstanceUID": objects.uid("study", 0),
        "SOPInstanceUID": objects.uid("instance", "ct", 0, 1),
        "IssuerOfPatientID": "TESTS",
        "StudyDate": "20240229",
        "Modality": "CT",
    }
    assert desk.verify(sealed).record == expected
    assert desk.extract(sealed).record == expected
    assert desk.verify(sealed, with_key=False).record is None


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.80"])
def test_a_lossless_re_encoding_is_transcoded(
    desk: Desk, original: bytes, sealed: bytes, syntax: str
) -> None:
    moved = transcode(sealed, syntax)
    assert desk.verify(moved).verdict is Verdict.TRANSCODED
    restored, _ = desk.restore(moved)
    assert restored is not None
    assert transcode(restored, "1.2.840.10008.1.2.1") == original


def test_one_changed_pixel_is_found_with_its_tile(desk: Desk, sealed: bytes) -> None:
    def change(pixels: np.ndarray) -> None:
        pixels[70, 200] ^= 1

    report = desk.verify(changed_pixels(sealed, change))
    assert report.verdict is Verdict.TAMPERED
    assert report.tampered_tiles == ((0, 64, 192, 32, 32),)
    assert failed(report) == {5}


def test_swapped_tiles_are_both_found(desk: Desk, sealed: bytes) -> None:
    def change(pixels: np.ndarray) -> None:
        pixels[64:96, 64:96], pixels[96:128, 96:128] = (
            pixels[96:128, 96:128].copy(),
            pixels[64:96, 64:96].copy(),
        )

    report = desk.verify(changed_pixels(sealed, change))
    assert report.tampered_tiles == ((0, 64, 64, 32, 32), (0, 96, 96, 32, 32))


@pytest.mark.parametrize("with_key", [True, False])
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "OTHER"),
        ("PatientName", "Other^One"),
        ("PatientBirthDate", ""),
        ("AccessionNumber", "1"),
    ],
)
def test_a_changed_identity_is_misidentified(
    desk: Desk, sealed: bytes, keyword: str, value: str, with_key: bool
) -> None:
    report = desk.verify(changed_header(sealed, **{keyword: value}), with_key=with_key)
    assert report.verdict is Verdict.MISIDENTIFIED
    [difference] = report.header_differences
    assert difference["keyword"] == keyword
    assert difference["header"] == value
    assert (difference["hidden"] is not None) is with_key


def test_an_object_under_another_instance_uid_is_misidentified(desk: Desk, sealed: bytes) -> None:
    report = desk.verify(changed_header(sealed, SOPInstanceUID="2.25.1"))
    assert report.verdict is Verdict.MISIDENTIFIED
    assert report.header_differences[0]["hidden"] == objects.uid("instance", "ct", 0, 1)


def test_a_header_in_another_character_set_is_the_same_identity(desk: Desk, sealed: bytes) -> None:
    dataset = pydicom.dcmread(io.BytesIO(sealed))
    name = str(dataset.PatientName)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = name
    out = io.BytesIO()
    dataset.save_as(out)
    assert desk.verify(out.getvalue()).verdict is Verdict.INTACT


def test_without_the_block_the_record_is_still_found(desk: Desk, sealed: bytes) -> None:
    bare = stripped(sealed)
    report = desk.verify(bare)
    assert report.verdict is Verdict.STRIPPED
    assert report.record is not None
    assert desk.verify(bare, with_key=False).verdict is Verdict.STRIPPED
    extraction = desk.extract(bare)
    assert (extraction.found, extraction.mode) == (True, "envelope")
    assert desk.restore(bare) == (None, desk.restore(bare)[1])


def test_without_the_block_a_swapped_patient_is_still_named(desk: Desk, sealed: bytes) -> None:
    report = desk.verify(changed_header(stripped(sealed), PatientID="OTHER"))
    assert report.verdict is Verdict.MISIDENTIFIED
    (difference,) = report.header_differences
    assert difference == {
        "class": "identity",
        "keyword": "PatientID",
        "hidden": "SYN-00000",
        "sealed": "SYN-00000",
        "header": "OTHER",
    }
    assert (
        desk.verify(changed_header(stripped(sealed), PatientID="OTHER"), with_key=False).verdict == "stripped"
    )


def test_a_foreign_signer_is_unknown(desk: Desk, other_desk: Desk, sealed: bytes, original: bytes) -> None:
    assert desk.verify(other_desk.seal(original)[0]).verdict is Verdict.UNKNOWN_SIGNER
    without = verify(sealed, trusted=None, recipient_key=desk.recipient_key, codec=desk.codec)
    assert without.verdict is Verdict.UNKNOWN_SIGNER
    assert not without.ok


def test_a_record_for_another_recipient_stays_closed_and_says_for_whom_it_is(
    desk: Desk, other_desk: Desk, sealed: bytes
) -> None:
    for data in (sealed, stripped(sealed)):
        extraction = other_desk.extract(data)
        assert (extraction.found, extraction.reason, extraction.record) == (False, "other-key", None)
        assert extraction.recipient_id == desk.recipient.key_id.hex()
        (record,) = [check for check in other_desk.verify(data).checks if check.n == 8]
        assert not record.ok
        assert f"a record for another key: it is encrypted to recipient {extraction.recipient_id}" == (
            record.detail
        )
    assert other_desk.restore(sealed)[1].reason == "other-key"


def test_an_object_that_was_never_sealed_is_unsealed(desk: Desk, original: bytes) -> None:
    for data in (original, objects.report()):
        assert desk.verify(data).verdict is Verdict.UNSEALED
        assert not desk.extract(data).found
        assert desk.restore(data)[1].reason == "unsealed"


def test_garbage_is_unreadable(desk: Desk) -> None:
    report = desk.verify(b"garbage" * 50)
    assert report.verdict is Verdict.UNREADABLE
    assert desk.extract(b"").reason == "unreadable"
    assert desk.restore(b"")[1].reason == "unreadable"


def test_a_block_copied_to_another_image_is_found(desk: Desk, sealed: bytes) -> None:
    other = read(desk.seal(objects.ct(seed=4))[0]).value(PIXEL_DATA) or b""
    copied = read(sealed).edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", other, EXPLICIT_LE)})
    report = desk.verify(copied)
    assert report.verdict is Verdict.TAMPERED
    assert {5, 7} <= failed(report)
    assert desk.restore(copied)[0] is None


def test_an_older_sealed_version_is_still_what_was_sealed(desk: Desk, original: bytes) -> None:
    """A replay can't be seen in an object: both versions were sealed, and both say so."""
    older = desk.seal(changed_header(original, StudyTime="080000"))[0]
    newer = desk.seal(original)[0]
    assert desk.verify(older).verdict is desk.verify(newer).verdict is Verdict.INTACT


def test_a_record_made_up_by_a_stranger_is_not_the_stated_one(
    desk: Desk, other_desk: Desk, sealed: bytes, original: bytes
) -> None:
    """Everybody has the public key of the recipient, but not a signer key that is believed."""
    made_up, _ = seal(
        changed_header(original, PatientID="OTHER"),
        recipient=desk.recipient,
        signer=other_desk.signer,
        codec=desk.codec,
        now=NOW,
    )
    pixels = read(made_up).value(PIXEL_DATA) or b""
    forged = read(sealed).edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels, EXPLICIT_LE)})
    report = desk.verify(forged)
    assert report.verdict is Verdict.TAMPERED
    assert 7 in failed(report)


def test_changes_all_over_with_the_record_in_place_are_lossy(desk: Desk) -> None:
    sealed, result = desk.seal(objects.mr(), profile="robust")
    assert result.level == "full"
    file = read(sealed)
    pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2").copy()
    pixels[::5] ^= 1
    noisy = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)})
    report = desk.verify(noisy)
    assert report.verdict is Verdict.LOSSY
    assert report.tampered_tiles == ()
    assert report.record is not None


@pytest.mark.parametrize("part", sorted(PRIVATE))
@pytest.mark.parametrize("how", ["changed", "removed"])
def test_no_part_of_the_block_can_be_changed_unnoticed(
    desk: Desk, sealed: bytes, part: str, how: str
) -> None:
    file = read(sealed)
    tag = 0x00711000 | PRIVATE[part]
    value = bytearray(file.value(tag) or b"")
    value[len(value) // 2] ^= 1
    vr = b"LO" if PRIVATE[part] < 0x10 else b"OB"
    new = encode(tag, vr, bytes(value), EXPLICIT_LE) if how == "changed" else None
    report = desk.verify(file.edited({tag: new}))
    assert report.verdict is Verdict.TAMPERED
    assert failed(report) & {2, 3}


def test_a_block_written_as_un_under_another_number_is_read(desk: Desk, sealed: bytes) -> None:
    file = read(sealed)
    moved: dict[int, bytes | None] = dict(private_block.removal(file))
    for tag in list(moved):
        new = tag + 0x0A if tag < 0x00711000 else tag + 0x0A00
        moved[new] = encode(new, b"UN", file.value(tag) or b"", EXPLICIT_LE)
    data = file.edited(moved)
    assert read(data).value(0x0071001A) == b"SEALGATE"
    assert desk.verify(data).verdict is Verdict.INTACT
    assert desk.restore(data)[1].reason == "proven"


def test_a_second_patient_id_is_noticed(desk: Desk, sealed: bytes) -> None:
    """A reader that takes the last one would show another patient."""
    file = read(sealed)
    element = file.index[0x00100020]
    second = encode(0x00100020, b"LO", b"OTHER", EXPLICIT_LE)
    at = len(file.prefix) + element.end
    report = desk.verify(sealed[:at] + second + sealed[at:])
    assert report.verdict is Verdict.TAMPERED
    assert 1 in failed(report)


@pytest.mark.parametrize("frames", [b"\xb2 ", b"9" * 5000, b"+1", b"1\\2 "])
def test_a_number_of_frames_that_is_none_ends_in_a_verdict(desk: Desk, sealed: bytes, frames: bytes) -> None:
    """A superscript two is a digit to Python and no number; beyond some thousands of digits nothing is."""
    changed = read(sealed).edited({0x00280008: encode(0x00280008, b"IS", frames, EXPLICIT_LE)})
    assert desk.verify(changed).verdict is Verdict.TAMPERED


def test_the_signs_of_an_icon_are_those_of_the_icon_and_not_of_the_image(desk: Desk) -> None:
    """Without VRs, its own Pixel Representation says whether a value is US or SS."""
    icon = pydicom.Dataset()
    icon.PixelRepresentation = 0
    icon.add_new(0x00280106, "US", 0xFFF0)
    sealed, _ = desk.seal(objects.signed_ct(rows=64, columns=64, IconImageSequence=[icon]))
    assert desk.verify(transcode(sealed, "1.2.840.10008.1.2")).verdict is Verdict.TRANSCODED


def test_a_sealed_file_that_one_reader_takes_for_another_patient_is_tampered(
    desk: Desk, sealed: bytes
) -> None:
    """In Implicit VR GDCM 3.2.6 reads 10 of 13 bytes and finds hidden elements; nothing that was sealed differs."""
    hidden = b" " * 4349 + encode(0x00100010, b"PN", b"OTHER^PATIENT ", IMPLICIT_LE)
    hidden += struct.pack("<HHI", 0x0010, 0x4000, 0x1200 - len(hidden) - 8)
    creator = struct.pack("<HHI", 0x0009, 0x0010, 13) + b"ACME 1.0  \x09\0\1"
    second = encode(0x00090011, b"LO", hidden.ljust(0x1200), IMPLICIT_LE)
    changed = read(transcode(sealed, "1.2.840.10008.1.2")).edited({0x00090010: creator, 0x00090011: second})
    report = desk.verify(changed)
    assert report.verdict is Verdict.TAMPERED
    assert [check.n for check in report.checks if not check.ok] == [0]


def test_two_blocks_are_refused(desk: Desk, sealed: bytes) -> None:
    second = encode(0x00710011, b"LO", b"SEALGATE", EXPLICIT_LE)
    assert desk.verify(read(sealed).edited({0x00710011: second})).verdict is Verdict.TAMPERED


def test_a_changed_report_is_named_by_what_changed(desk: Desk) -> None:
    data = objects.report()
    sealed, _ = desk.seal(data)
    assert desk.verify(changed_header(sealed, StudyTime="111111")).verdict is Verdict.ALTERED
    assert desk.verify(changed_header(sealed, PatientID="OTHER")).verdict is Verdict.MISIDENTIFIED
    assert (
        desk.verify(changed_header(sealed, MIMETypeOfEncapsulatedDocument="text/html")).verdict
        is Verdict.TAMPERED
    )
    assert desk.restore(changed_header(sealed, StudyTime="111111"))[0] == data


def test_the_json_has_the_keys_of_the_contract(desk: Desk, sealed: bytes) -> None:
    keys = ["sop_instance_uid", "verdict", "level", "checks", "header_differences", "tampered_tiles"]
    keys.append("format_version")
    assert list(desk.verify(sealed, with_key=False).to_json()) == keys
    assert list(desk.verify(sealed).to_json()) == [*keys, "record"]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_no_single_changed_byte_makes_a_believed_object_out_of_another(
    desk: Desk, sealed: bytes, at: int, flip: int
) -> None:
    """Bytes outside pixels, identity and block are not covered. A change of any other byte must be noticed."""
    # In the header and half of the pixels.
    at = at % (len(sealed) // 2)
    data = sealed[:at] + bytes([sealed[at] ^ flip]) + sealed[at + 1 :]
    report = desk.verify(data)
    if report.ok:
        file, before = read(data), read(sealed)
        assert file.value(PIXEL_DATA) == before.value(PIXEL_DATA)
        for tag in (0x00100010, 0x00100020, 0x00100030, 0x00080018, 0x0020000D):
            assert (file.value(tag) or b"").strip(b" \0^=") == (before.value(tag) or b"").strip(b" \0^=")
