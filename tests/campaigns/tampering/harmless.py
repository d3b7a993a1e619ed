"""What archives do every day, and what must not raise an alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from tests.campaigns.tampering.change import GOOD, Change, Scene, Way
from tests.campaigns.tampering.subjects import Applies, both, everything, has, image, native
from tests.campaigns.tampering.tools import bytes_differ, with_bytes, with_orthanc, with_pydicom
from tests.support.dcmtk import LOSSLESS_TRANSCODES, tool, transcode

UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", str(ExplicitVRBigEndian))


def _uncompressed(dataset: Dataset) -> bool:
    return str(dataset.file_meta.TransferSyntaxUID) in UNCOMPRESSED


def _retrieve_title(dataset: Dataset) -> None:
    dataset.RetrieveAETitle, dataset.InstanceAvailability = "ARCHIVE", "ONLINE"


def _original_attributes(dataset: Dataset) -> None:
    before = Dataset()
    before.ReferringPhysicianName = "Before^It"
    item = Dataset()
    item.ModifiedAttributesSequence = Sequence([before])
    item.AttributeModificationDateTime, item.ModifyingSystem = "20250101120000", "ARCHIVE"
    item.SourceOfPreviousValues, item.ReasonForTheAttributeModification = "", "COERCE"
    dataset.OriginalAttributesSequence = Sequence([item])


def _private(dataset: Dataset) -> None:
    block = dataset.private_block(0x2029, "ARCHIVE", create=True)
    block.add_new(0x01, "LO", "stored")


def _description(dataset: Dataset) -> None:
    dataset.StudyDescription, dataset.ReferringPhysicianName = "CORRECTED", "New^Referrer"


def _padding(data: bytes) -> bytes:
    """Data Set Trailing Padding (PS3.10 7.2); explicit VR little endian."""
    return data + b"\xfc\xff\xfc\xffOB\0\0" + (64).to_bytes(4, "little") + bytes(64)


def _same_dataset(before: Path, after: Path) -> bool:
    """What an archive gives out as it was stored is the same object; there is nothing else to prove."""
    return bool(dcmread(before).SOPInstanceUID == dcmread(after).SOPInstanceUID)


def _may_be_padded(dataset: Dataset) -> bool:
    """One padding is allowed."""
    return str(dataset.file_meta.TransferSyntaxUID) == UNCOMPRESSED[1] and 0xFFFCFFFC not in dataset


def _dcmconv(*options: str) -> Callable[[Scene, Path], None]:
    return lambda scene, target: tool("dcmconv", *options, scene.source, target)


def _done(
    name: str,
    person: str,
    used: str,
    apply: Callable[[Scene, Path], None],
    *,
    applies: Applies = everything,
    way: Way = Way.ARCHIVE,
    proof: Callable[[Path, Path], bool] = bytes_differ,
) -> Change:
    return Change(
        name=name, group="harmless", person=person, tool=used, applies=applies, apply=apply, proof=proof,
        expected=GOOD, way=way,
    )  # fmt: skip


def _by_pydicom(
    name: str, person: str, edit: Callable[[Dataset], None], *, applies: Applies = everything
) -> Change:
    return _done(
        name, person, "pydicom", lambda scene, target: with_pydicom(scene, target, edit), applies=applies
    )


def _transcoded(kind: str) -> Change:
    return _done(
        f"transcoded-{kind}",
        "compresses without loss",
        LOSSLESS_TRANSCODES[kind][0],
        lambda scene, target: transcode(scene.source, target, kind),
        applies=both(native, image, lambda d: d.SamplesPerPixel == 1),
    )


CHANGES: tuple[Change, ...] = (
    _by_pydicom("retrieve-ae-title", "says where it can be had, and that it is on line", _retrieve_title),
    _by_pydicom("original-attributes", "keeps what it coerced", _original_attributes),
    _by_pydicom("private-elements", "adds private elements of its own", _private),
    _by_pydicom("descriptions", "corrects description and referrer", _description),
    _done("implicit", "writes Implicit VR", "dcmconv", _dcmconv("+ti"), applies=_uncompressed),
    _done("big-endian", "writes Explicit VR Big Endian", "dcmconv", _dcmconv("+tb"), applies=_uncompressed),
    _done("group-lengths", "adds group lengths", "dcmconv", _dcmconv("+g"), applies=_uncompressed),
    _done(
        "sequence-lengths",
        "writes sequences without lengths",
        "dcmconv",
        _dcmconv("-e"),
        applies=_uncompressed,
    ),
    _done(
        "utf-8",
        "converts texts to UTF-8",
        "dcmconv",
        _dcmconv("+U8"),
        applies=both(_uncompressed, has("SpecificCharacterSet")),
    ),
    _done(
        "trailing-padding",
        "pads the file",
        "hex editor",
        lambda scene, target: with_bytes(scene, target, _padding),
        applies=_may_be_padded,
    ),
    _done(
        "stored-in-orthanc",
        "stores it and gives it out",
        "Orthanc",
        with_orthanc,
        proof=_same_dataset,
    ),
    *(_transcoded(kind) for kind in sorted(LOSSLESS_TRANSCODES)),
)
