"""Amending: who corrects signs, the seal stays, and nothing passes that nobody signed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import cbor2
import pydicom
import pytest

from gateway import keys
from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, IMPLICIT_VR_LE
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import NotAmendable, UsageError
from gateway.keys import Signer
from gateway.seal.amending import Correcting, amend
from gateway.seal.block import private_block
from gateway.seal.findings import Report, Verdict
from gateway.seal.verifying import Examination, restore_verified
from tests.support import objects
from tests.support.data import REPOSITORY
from tests.support.desk import NOW, Desk

NAME, ORIGINAL_ATTRIBUTES = 0x00100010, 0x04000561
LATER = NOW + timedelta(days=1)


@pytest.fixture(scope="module")
def original() -> bytes:
    return objects.ct(rows=128, columns=128, WindowCenter="40", PatientWeight="70")


@pytest.fixture(scope="module")
def sealed(desk: Desk, original: bytes) -> bytes:
    data, result = desk.seal(original)
    assert result.level == "full"
    return data


def amended(
    desk: Desk,
    data: bytes,
    *,
    signer: Signer | None = None,
    at: datetime = LATER,
    reason: str = "wrong patient at the console",
    by: str = "Dr. Ä",
    **values: str,
) -> tuple[bytes, Report]:
    return amended_with(desk, data, values, signer=signer, at=at, reason=reason, by=by)


def amended_with(
    desk: Desk,
    data: bytes,
    values: Mapping[str, str],
    *,
    signer: Signer | None = None,
    at: datetime = LATER,
    reason: str = "why",
    by: str = "who",
) -> tuple[bytes, Report]:
    return amend(
        data,
        Correcting(values=values, reason=reason, by=by, at=at),
        signer=signer or desk.signer,
        trusted=desk.trusted,
        codec=desk.codec,
    )


def changed(data: bytes, **elements: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def value(data: bytes, keyword: str) -> str:
    return str(pydicom.dcmread(io.BytesIO(data))[keyword].value)


def with_entries(data: bytes, edit: Callable[[list[object]], object]) -> bytes:
    """The object with other amendments."""
    file = read(data)
    block = private_block.find(file)
    assert block is not None
    return file.edited(private_block.with_amendments(file, cbor2.dumps(edit(cbor2.loads(block.amendments)))))


@pytest.mark.parametrize("with_key", [True, False])
def test_a_correction_is_named_with_who_why_and_when(desk: Desk, sealed: bytes, with_key: bool) -> None:
    data, report = amended(desk, sealed, PatientName="Doe^Jane", PatientID="P2")
    assert report.verdict is Verdict.AMENDED
    seen = desk.verify(data, with_key=with_key)
    assert seen.verdict is Verdict.AMENDED
    assert seen.ok
    told = {"reason": "wrong patient at the console", "by": "Dr. Ä", "at": "2025-03-02T12:00:00Z"}
    assert seen.amendments == (
        {"keyword": "PatientName", "from": "Müller^Élise", "to": "Doe^Jane"} | told,
        {"keyword": "PatientID", "from": "SYN-00000", "to": "P2"} | told,
    )
    assert all(difference["amended"] for difference in seen.header_differences)


def test_the_seal_and_everything_else_stay(desk: Desk, sealed: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    before, after = read(sealed), read(data)
    added = set(after.index) - set(before.index)
    assert {tag for tag in added if tag >> 16 != 0x0071} == {ORIGINAL_ATTRIBUTES}
    assert {tag for tag in before.index if before.value(tag) != after.value(tag)} == {NAME}


def test_systems_that_do_not_know_the_block_see_what_was_there(desk: Desk, sealed: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    data, _ = amended(desk, data, PatientName="Roe^Jane", PatientWeight="71")
    items = pydicom.dcmread(io.BytesIO(data)).OriginalAttributesSequence
    assert [str(item.ModifiedAttributesSequence[0].PatientName) for item in items] == [
        "Müller^Élise",
        "Doe^Jane",
    ]
    assert items[1].ModifiedAttributesSequence[0].PatientWeight == 70
    assert items[0].ReasonForTheAttributeModification == "CORRECT"
    assert items[0].AttributeModificationDateTime == "20250302120000.000000+0000"


def test_corrections_follow_each_other(desk: Desk, sealed: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    data, report = amended(desk, data, PatientName="Roe^Jane", at=LATER + timedelta(days=1))
    assert [(item["from"], item["to"]) for item in report.amendments] == [
        ("Müller^Élise", "Doe^Jane"),
        ("Doe^Jane", "Roe^Jane"),
    ]
    assert desk.verify(data).verdict is Verdict.AMENDED
    _, report = amended(desk, data, PatientName="Müller^Élise")
    assert report.verdict is Verdict.INTACT
    assert len(report.amendments) == 3


def test_a_correction_that_nobody_signed_is_endorsed(desk: Desk, sealed: bytes) -> None:
    swapped = changed(sealed, PatientName="Doe^Jane")
    assert desk.verify(swapped).verdict is Verdict.MISIDENTIFIED
    data, report = amended(desk, swapped, PatientName="Doe^Jane")
    assert report.verdict is Verdict.AMENDED
    # What was there before is not at hand without the key, so that its digest stands alone.
    assert report.amendments[0]["from"] == ""
    assert desk.verify(changed(data, PatientID="X")).verdict is Verdict.MISIDENTIFIED


def test_nothing_is_endorsed_by_the_way(desk: Desk, sealed: bytes) -> None:
    with pytest.raises(NotAmendable, match="further elements differ from the seal: PatientID"):
        amended(desk, changed(sealed, PatientID="X"), PatientName="Doe^Jane")


def test_a_description_may_differ_meanwhile(desk: Desk, sealed: bytes) -> None:
    _, report = amended(desk, changed(sealed, StudyDescription="CT"), PatientName="Doe^Jane")
    assert report.verdict is Verdict.AMENDED


def test_another_value_than_the_amended_one_is_told(desk: Desk, sealed: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    report = desk.verify(changed(data, PatientName="Roe^Jane"))
    assert report.verdict is Verdict.MISIDENTIFIED


@pytest.mark.parametrize("with_key", [True, False])
def test_the_sealed_value_put_back_over_an_amended_one_is_told(
    desk: Desk, sealed: bytes, with_key: bool
) -> None:
    """A correction that is signed can't be undone unseen."""
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    report = desk.verify(changed(data, PatientName="Müller^Élise"), with_key=with_key)
    assert report.verdict is Verdict.MISIDENTIFIED
    assert [difference["keyword"] for difference in report.header_differences] == ["PatientName"]


def test_a_foreign_signer_amends_nothing(desk: Desk, other_desk: Desk, sealed: bytes) -> None:
    with pytest.raises(NotAmendable, match="would verify tampered"):
        amended(desk, sealed, signer=other_desk.signer, PatientName="Doe^Jane")
    forged, _ = amend(
        sealed,
        Correcting(values={"PatientName": "Doe^Jane"}, reason="why", by="who", at=LATER),
        signer=other_desk.signer,
        trusted=desk.trusted.with_key(other_desk.signer.public),
        codec=desk.codec,
    )
    report = desk.verify(forged)
    assert report.verdict is Verdict.TAMPERED
    assert {check.n for check in report.checks if not check.ok} >= {6, 12}
    assert report.amendments == ()


EDITS: dict[str, Callable[[list[object]], object]] = {
    "first removed": lambda entries: entries[1:],
    "turned around": lambda entries: entries[::-1],
    "one twice": lambda entries: [entries[0], *entries],
    "a list of numbers": lambda _: [[cbor2.dumps([0, 2, b"", b"", [], "", "", 0]), b""]],
    "a message": lambda _: [[bytes.fromhex("d8246161"), b""]],
    "nothing at all": lambda _: 5,
}


@pytest.mark.parametrize("edit", sorted(EDITS))
@pytest.mark.parametrize("with_key", [True, False])
def test_amendments_that_were_touched_are_tampered_with(
    desk: Desk, sealed: bytes, edit: str, with_key: bool
) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    data, _ = amended(desk, data, PatientName="Roe^Jane")
    report = desk.verify(with_entries(data, EDITS[edit]), with_key=with_key)
    assert report.verdict is Verdict.TAMPERED
    assert 12 in {check.n for check in report.checks if not check.ok}


def test_a_taken_back_amendment_leaves_a_difference(desk: Desk, sealed: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    data, _ = amended(desk, data, PatientName="Roe^Jane")
    assert desk.verify(with_entries(data, lambda entries: entries[:1])).verdict is Verdict.MISIDENTIFIED


def test_amendments_of_another_object_are_none_of_this(desk: Desk, sealed: bytes, original: bytes) -> None:
    data, _ = amended(desk, sealed, PatientName="Doe^Jane")
    other, _ = desk.seal(original)
    block = private_block.find(read(data))
    assert block is not None
    copied = read(other)
    copied_data = copied.edited(private_block.with_amendments(copied, block.amendments))
    assert desk.verify(copied_data).verdict is Verdict.TAMPERED
    with pytest.raises(NotAmendable):
        amended(desk, copied_data, PatientName="Doe^Jane")


@pytest.mark.parametrize(
    "keyword",
    [
        "SOPInstanceUID",
        "SOPClassUID",
        "Rows",
        "PixelData",
        "ReferencedImageSequence",
        "SmallestImagePixelValue",
        "FrameIncrementPointer",
        "ICCProfile",
        "SpecificCharacterSet",
        "RetrieveAETitle",
        "InstanceAvailability",
        "OriginalAttributesSequence",
        "PlanarConfiguration",
        "StorageMediaFileSetID",
        "FileSetID",
    ],
)
def test_elements_that_can_not_be_amended(desk: Desk, sealed: bytes, keyword: str) -> None:
    with pytest.raises(UsageError, match="can't be amended"):
        amended_with(desk, sealed, {keyword: "1"})


@pytest.mark.parametrize("keyword", ["", "Nonsense", "TransferSyntaxUID", "patientname", "(0010,0010)"])
def test_names_that_are_none(desk: Desk, sealed: bytes, keyword: str) -> None:
    with pytest.raises(UsageError, match="is not a DICOM keyword"):
        amended_with(desk, sealed, {keyword: "1"})


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("PatientBirthDate", "yesterday"),
        ("PatientWeight", "heavy"),
        ("InstanceNumber", "1.5"),
        ("PatientSex", "female!"),
        ("StudyInstanceUID", "1.2.x"),
        ("PatientName", "A\nB"),
        ("PatientName", "A\x1b[2J"),
        ("PatientName", "A\0B"),
        ("PatientName", "A\udc80"),
        ("PatientID", "x" * 65),
        ("WindowCenter", "40\\x"),
        ("StudyTime", "noon"),
        ("RecommendedDisplayFrameRateInFloat", "1e300"),
        ("RecommendedDisplayFrameRateInFloat", "fast"),
        ("PregnancyStatus", "70000"),
        ("PregnancyStatus", "-1"),
        ("PregnancyStatus", "1.5"),
    ],
)
def test_values_that_are_none(desk: Desk, sealed: bytes, keyword: str, text: str) -> None:
    with pytest.raises(UsageError):
        amended_with(desk, sealed, {keyword: text})


@pytest.mark.parametrize(
    ("reason", "by"),
    [
        ("", "who"),
        ("why", " "),
        ("x" * 1025, "who"),
        ("why", "x" * 1025),
        ("why\n", "who"),
        ("why", "\x1b[2J"),
        ("\udc80", "who"),
    ],
)
def test_reasons_and_names_that_are_none(desk: Desk, sealed: bytes, reason: str, by: str) -> None:
    with pytest.raises(UsageError):
        amended(desk, sealed, reason=reason, by=by, PatientName="Doe^Jane")
    with pytest.raises(UsageError):
        amended(desk, sealed)


def test_a_value_that_the_character_set_does_not_hold(desk: Desk) -> None:
    latin = objects.ct(rows=128, columns=128, SpecificCharacterSet="ISO_IR 100")
    sealed, _ = desk.seal(latin)
    with pytest.raises(NotAmendable, match="character set does not hold"):
        amended(desk, sealed, PatientName="山田^太郎")
    data, _ = amended(desk, sealed, PatientName="Müller^Eva")
    assert value(data, "PatientName") == "Müller^Eva"


@pytest.mark.parametrize(
    ("keyword", "text", "shown"),
    [
        ("WindowCenter", "50", "50"),
        ("WindowCenter", "50\\60", "50\\60"),
        ("PatientWeight", "", ""),
        ("PatientAge", "040Y", "040Y"),
        ("PregnancyStatus", "4", "4"),
        ("RecommendedDisplayFrameRateInFloat", "1.5", "1.5"),
        ("PatientSex", "", ""),
        ("StudyInstanceUID", "1.2.3", "1.2.3"),
        ("PatientComments", "a\\b", "a\\b"),
        ("TagSpacingFirstDimension", "0.25\\0.5", "0.25\\0.5"),
    ],
)
@pytest.mark.parametrize("syntax", ["", IMPLICIT_VR_LE, EXPLICIT_VR_BE])
def test_numbers_removals_and_elements_that_were_absent(
    desk: Desk, sealed: bytes, keyword: str, text: str, shown: str, syntax: str
) -> None:
    data, report = amended_with(desk, transcode(sealed, syntax) if syntax else sealed, {keyword: text})
    assert report.verdict is Verdict.AMENDED
    assert report.amendments[0]["to"] == shown
    if syntax != EXPLICIT_VR_BE:
        assert desk.verify(transcode(data, EXPLICIT_VR_BE)).verdict is Verdict.AMENDED


def test_the_original_comes_back_with_its_corrections(desk: Desk, original: bytes, sealed: bytes) -> None:
    data, _ = amended(
        desk, sealed, PatientName="Doe^Jane", PatientWeight="", PregnancyStatus="4", PatientAge="040Y"
    )
    back, restoration = restore_verified(
        Examination(data, desk.codec), trusted=desk.trusted, recipient_key=desk.recipient_key
    )
    assert restoration.restored
    assert not restoration.whole
    assert back is not None
    first, second = read(original), read(back[:])
    different = {tag for tag in {*first.index, *second.index} if first.value(tag) != second.value(tag)}
    assert different == {NAME, 0x00101010, 0x00101030, 0x001021C0}
    assert value(back[:], "PatientName") == "Doe^Jane"
    assert first.value(PIXEL_DATA) == second.value(PIXEL_DATA)


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LE, EXPLICIT_VR_BE])
def test_corrected_numbers_come_back_in_the_encoding_of_the_original(desk: Desk, syntax: str) -> None:
    original = objects.ct(rows=128, columns=128)
    sealed, _ = desk.seal(transcode(original, syntax))
    data, _ = amended(desk, sealed, RecommendedDisplayFrameRateInFloat="1.5", PregnancyStatus="4")
    archived = transcode(data, "1.2.840.10008.1.2.1")
    back, restoration = restore_verified(
        Examination(archived, desk.codec), trusted=desk.trusted, recipient_key=desk.recipient_key
    )
    assert restoration.restored
    assert back is not None
    dataset = pydicom.dcmread(io.BytesIO(back[:]))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.RecommendedDisplayFrameRateInFloat == 1.5
    assert dataset.PregnancyStatus == 4


def test_a_correction_in_another_character_set_is_translated_or_refused(desk: Desk) -> None:
    latin = objects.ct(rows=128, columns=128, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Eva")
    sealed, _ = desk.seal(latin)
    in_utf8 = changed(sealed, SpecificCharacterSet="ISO_IR 192")
    assert desk.verify(in_utf8).verdict is Verdict.INTACT
    for name, restored in (("Jérôme^A", True), ("山田^太郎", False)):
        data, report = amended(desk, in_utf8, PatientName=name)
        assert report.verdict is Verdict.AMENDED
        back, restoration = restore_verified(
            Examination(data, desk.codec), trusted=desk.trusted, recipient_key=desk.recipient_key
        )
        assert restoration.restored is restored
        if back is not None:
            assert read(back).value(NAME) == "Jérôme^A".encode("latin-1")
        else:
            assert restoration.reason == "correction-not-expressible"


@pytest.mark.parametrize("name", ["garbage", "unsealed", "tampered", "stripped"])
def test_what_does_not_verify_is_not_amended(desk: Desk, sealed: bytes, original: bytes, name: str) -> None:
    file = read(sealed)
    tampered = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", bytes(128 * 128 * 2), EXPLICIT_LE)})
    data = {
        "garbage": b"garbage" * 99,
        "unsealed": original,
        "tampered": tampered,
        "stripped": file.edited(private_block.removal(file)),
    }[name]
    with pytest.raises(NotAmendable, match="verifies"):
        amended(desk, data, PatientName="Doe^Jane")


def test_a_seal_of_version_1_has_nothing_to_amend(desk: Desk) -> None:
    folder = REPOSITORY / "tests" / "vectors" / "v1"
    trusted = keys.load_trusted_signers(folder / "keys" / "signer.pub")
    data = (folder / "intact.dcm").read_bytes()
    with pytest.raises(NotAmendable, match="format version 1"):
        amend(
            data,
            Correcting(values={"PatientName": "A"}, reason="why", by="who", at=datetime.now(UTC)),
            signer=desk.signer,
            trusted=trusted,
            codec=desk.codec,
        )


def test_an_object_without_pixels_is_amended(desk: Desk) -> None:
    sealed, result = desk.seal(objects.report())
    assert result.level == "digest"
    data, report = amended(desk, sealed, PatientName="Doe^Jane")
    assert report.verdict is Verdict.AMENDED
    assert desk.restore(data)[1].restored
