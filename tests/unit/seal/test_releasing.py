"""What may leave the house for research: verified, restored, and without anything that sealing left."""

from __future__ import annotations

import io
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode
from gateway.seal.amending import Correcting, amend
from gateway.seal.block import digest, private_block
from gateway.seal.examination import Examination
from gateway.seal.releasing import Release, ReleaseRules, left_over, release
from tests.support import objects
from tests.support.desk import NOW, Desk

STRICT = ReleaseRules()
OPEN = ReleaseRules(unsealed=True, undecodable=True)


@pytest.fixture(scope="module")
def original() -> bytes:
    return objects.ct()


@pytest.fixture(scope="module")
def sealed(desk: Desk, original: bytes) -> bytes:
    return desk.seal(original)[0]


def released(desk: Desk, data: bytes, rules: ReleaseRules = STRICT) -> tuple[bytes | None, Release]:
    found, result = release(
        data, trusted=desk.trusted, recipient_key=desk.recipient_key, codec=desk.codec, rules=rules
    )
    assert (found is None) != result.released
    return (None if found is None else found[:]), result


def left(desk: Desk, data: bytes, sealed: bytes | None = None, rules: ReleaseRules = STRICT) -> str | None:
    statement = Examination(sealed, desk.codec).statement if sealed else None
    return left_over(Examination(data, desk.codec, deep=True), statement, rules)


def edited(data: bytes, **elements: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return written(dataset)


def written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def stripped(data: bytes) -> bytes:
    file = read(data)
    return file.edited(private_block.removal(file))


@pytest.mark.parametrize("build", [objects.ct, objects.fundus, objects.multi_frame, objects.report])
def test_a_sealed_object_is_released_as_its_original(desk: Desk, build: object) -> None:
    data = build(seed=11)  # type: ignore[operator]
    found, result = released(desk, desk.seal(data)[0])
    assert (result.reason, found) == ("released", data)
    assert not desk.extract(data).found


def test_a_signed_correction_stays_in_what_is_released(desk: Desk, original: bytes, sealed: bytes) -> None:
    """Released with the wrong patient, it would be linked to that one for ever."""
    correcting = Correcting(
        values={"PatientID": "RIGHT-1"}, reason="wrong patient at the scanner", by="ward 3", at=NOW
    )
    amended, _ = amend(sealed, correcting, signer=desk.signer, trusted=desk.trusted, codec=desk.codec)
    found, result = released(desk, amended)
    assert (result.reason, result.report.verdict) == ("released", "amended")
    assert found is not None
    dataset, before = pydicom.dcmread(io.BytesIO(found)), pydicom.dcmread(io.BytesIO(original))
    assert (dataset.PatientID, dataset.PixelData) == ("RIGHT-1", before.PixelData)


def test_what_does_not_verify_is_never_released(desk: Desk, other_desk: Desk, sealed: bytes) -> None:
    dataset = pydicom.dcmread(io.BytesIO(sealed))
    pixels = bytearray(dataset.PixelData)
    pixels[7000] ^= 1
    dataset.PixelData = bytes(pixels)
    bad = {
        "tampered": written(dataset),
        "misidentified": edited(sealed, PatientID="OTHER"),
        "stripped": stripped(sealed),
        "unknown-signer": other_desk.seal(objects.ct())[0],
        "unsealed": objects.ct(),
        "unreadable": b"garbage" * 40,
    }
    for rules in (STRICT, OPEN):
        reasons = {name: released(desk, data, rules)[1].reason for name, data in bad.items()}
        assert reasons == {name: name for name in bad} | (
            {"unsealed": "released-unsealed"} if rules.unsealed else {}
        )


def test_an_object_whose_restoring_data_is_for_another_key_is_not_released(
    desk: Desk, other_desk: Desk, sealed: bytes
) -> None:
    found, result = release(
        sealed,
        trusted=desk.trusted,
        recipient_key=other_desk.recipient_key,
        codec=desk.codec,
        rules=STRICT,
    )
    assert (found, result.reason) == (None, "not-restored-other-key")


def test_an_older_record_below_the_seal_is_found(desk: Desk, other_desk: Desk, original: bytes) -> None:
    """Where seal.look is `traces`, a record without block and traces is written over. Restoring brings it back."""
    first = pydicom.dcmread(io.BytesIO(stripped(other_desk.seal(original)[0])))
    for keyword in ("DerivationDescription", "ContributingEquipmentSequence"):
        if keyword in first:
            delattr(first, keyword)
    second, result = desk.seal(written(first), look="traces")
    assert (result.level, desk.verify(second).verdict) == ("full", "intact")
    assert released(desk, second)[1].reason == "record-left"


def test_an_image_whose_block_was_removed_still_carries_its_patient(desk: Desk, sealed: bytes) -> None:
    assert desk.extract(stripped(sealed)).found
    assert left(desk, stripped(sealed), rules=OPEN) == "record-left"


def test_a_block_is_found_at_any_depth(desk: Desk, original: bytes) -> None:
    inner = Dataset()
    inner.add_new(0x00710010, "LO", "SEALGATE")
    inner.add_new(0x00711010, "OB", b"1234")
    nested = edited(original, RequestAttributesSequence=Sequence([inner]))
    implicit = objects.as_file(pydicom.dcmread(io.BytesIO(nested)), "1.2.840.10008.1.2")
    assert left(desk, nested) == left(desk, implicit) == "block-left"
    unknown = pydicom.dcmread(io.BytesIO(original))
    unknown.add_new(0x00710022, "UN", b"SEALGATE ")
    assert left(desk, written(unknown)) == "block-left"


def test_the_word_sealgate_alone_is_no_block(desk: Desk, original: bytes) -> None:
    assert (
        left(desk, edited(original, ImageComments="SEALGATE: not sealed: x", StationName="SEALGATE")) is None
    )


def test_elements_of_a_block_whose_creator_was_removed_are_found(desk: Desk, sealed: bytes) -> None:
    file = read(sealed)
    creator = next(tag for tag in private_block.removal(file) if tag & 0xFFFF <= 0xFF)
    assert left(desk, file.edited({creator: None})) == "block-left"


def test_the_digest_of_the_sealed_object_is_found_in_text_and_bytes(
    desk: Desk, sealed: bytes, original: bytes
) -> None:
    statement = Examination(sealed, desk.codec).statement
    assert statement is not None
    assert left(desk, original, sealed) is None
    assert left(desk, edited(original, ImageComments=statement.digest.hex()), sealed) == "digest-left"
    other = pydicom.dcmread(io.BytesIO(original))
    other.add_new(0x00091001, "OB", b"xx" + statement.digest)
    assert left(desk, written(other), sealed) == "digest-left"


def test_pixels_that_are_still_the_sealed_ones_are_found_by_their_digest(
    desk: Desk, sealed: bytes, original: bytes
) -> None:
    """Even where the codec would read nothing."""
    statement = Examination(sealed, desk.codec).statement
    assert statement is not None
    file = read(original)
    shape = pixel_format(file)
    same = replace(statement, digest=digest.of_pixels(decode(file, shape).samples, shape))
    examination = Examination(original, desk.codec, deep=True)
    assert left_over(examination, same, STRICT) == "still-sealed"
    assert left_over(examination, replace(same, level="digest"), STRICT) is None


def test_pixels_that_nobody_can_decode_here_are_released_by_a_setting_only(desk: Desk) -> None:
    dataset = pydicom.dcmread(io.BytesIO(objects.fundus()))
    dataset.PixelData = pydicom.encaps.encapsulate([b"not for us"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")
    data = written(dataset)
    sealed, result = desk.seal(data)
    assert result.level == "digest"
    assert released(desk, sealed)[1].reason == "undecodable"
    assert released(desk, sealed, OPEN)[0] == data
