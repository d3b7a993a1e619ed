"""The seal itself: removed, copied, replayed, damaged, put on by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from tests.campaigns.tampering.change import GOOD, MISIDENTIFIED, TAMPERED, Change, Scene
from tests.campaigns.tampering.subjects import Applies, everything, image, level
from tests.campaigns.tampering.tools import bytes_differ, differs, with_pydicom
from tests.support.dcmtk import remove_private_elements, tool

GROUP, CREATOR = 0x0071, "SEALGATE"
LEVEL, DIGEST, STATEMENT, SIGNATURE, TILES, RESTORING, ENVELOPE = 0x02, 0x03, 0x10, 0x11, 0x20, 0x30, 0x31
GONE = ("stripped",)


def _of_level(name: str) -> Applies:
    return lambda dataset: level(dataset) == name


def _has(element: int) -> Applies:
    return lambda dataset: bool(level(dataset)) and element in dataset.private_block(GROUP, CREATOR)


def _copied(scene: Scene, target: Path) -> None:
    """The other patient's block in this object."""
    dataset, other = dcmread(scene.source), dcmread(scene.sibling)
    _drop(dataset)
    for element in other.group_dataset(GROUP):
        dataset.add(element)
    dataset.save_as(target)


def _drop(dataset: Dataset) -> None:
    for element in list(dataset.group_dataset(GROUP)):
        del dataset[element.tag]


def _without(element: int) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        block = dataset.private_block(GROUP, CREATOR)
        del block[element]

    return edit


def _flipped(element: int) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        found = dataset.private_block(GROUP, CREATOR)[element]
        value = bytearray(found.value)
        value[len(value) // 2] ^= 0x10
        found.value = bytes(value)

    return edit


def _other_digest(dataset: Dataset) -> None:
    found = dataset.private_block(GROUP, CREATOR)[DIGEST]
    found.value = str(found.value)[::-1]


def _other_level(dataset: Dataset) -> None:
    found = dataset.private_block(GROUP, CREATOR)[LEVEL]
    found.value = "DIGEST" if found.value == "FULL" else "FULL"


def _doubled(dataset: Dataset) -> None:
    """The same block once more under another number."""
    for element in list(dataset.group_dataset(GROUP)):
        number = element.tag.element
        new = 0x20 if number == 0x10 else 0x2000 | number & 0xFF if number >> 8 == 0x10 else None
        if new is not None:
            dataset.add_new(GROUP << 16 | new, element.VR, element.value)


def _sealed_by_stranger(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.original)
    dataset.PatientID = "FORGED-1"
    forged = scene.folder / "forged.dcm"
    dataset.save_as(forged)
    target.write_bytes(scene.stranger.seal(forged.read_bytes())[0])


def _replayed(scene: Scene, target: Path) -> None:
    target.write_bytes(scene.older.read_bytes())


def _seal(
    name: str,
    person: str,
    edit: Callable[[Dataset], None],
    *,
    applies: Applies = everything,
    expected: tuple[str, ...] = TAMPERED,
) -> Change:
    return Change(
        name=name, group="seal", person=person, tool="pydicom", applies=applies,
        apply=lambda scene, target: with_pydicom(scene, target, edit), proof=bytes_differ, expected=expected,
    )  # fmt: skip


CHANGES: tuple[Change, ...] = (
    Change(
        name="private-elements-removed",
        group="seal",
        person="removes all private elements",
        tool="dcmodify -ep",
        applies=_of_level("FULL"),
        apply=lambda scene, target: remove_private_elements(scene.source, target),
        proof=differs(0x00710010),
        expected=GONE,
    ),
    Change(
        name="private-elements-removed-digest",
        group="seal",
        person="removes all private elements of an object that carries no record",
        tool="dcmodify -ep",
        applies=_of_level("DIGEST"),
        apply=lambda scene, target: remove_private_elements(scene.source, target),
        proof=differs(0x00710010),
        expected=("unsealed",),
    ),
    Change(
        name="block-removed-by-gdcm",
        group="seal",
        person="removes the block with a de-identification tool",
        tool="gdcmanon",
        applies=_of_level("FULL"),
        apply=lambda scene, target: tool(
            "gdcmanon",
            "--dumb",
            "--remove",
            "71,1010",
            "--remove",
            "71,1011",
            "-i",
            scene.source,
            "-o",
            target,
        ),
        proof=differs(0x00711010),
        expected=(*TAMPERED, *GONE),
    ),
    Change(
        name="block-copied",
        group="seal",
        person="copies the seal of another object",
        tool="pydicom",
        applies=everything,
        apply=_copied,
        proof=differs(0x00711010),
        expected=(*TAMPERED, *MISIDENTIFIED),
    ),
    Change(
        name="replay",
        group="seal",
        person="puts an older sealed version back: only a ledger knows which one counts",
        tool="cp",
        applies=image,
        apply=_replayed,
        proof=bytes_differ,
        expected=GOOD,
    ),
    Change(
        name="sealed-by-stranger",
        group="seal",
        person="changes the patient and seals anew with keys of his own",
        tool="sealgate seal",
        applies=everything,
        apply=_sealed_by_stranger,
        proof=differs("PatientID"),
        expected=("unknown-signer",),
    ),
    _seal("block-doubled", "adds the block once more under another number", _doubled),
    _seal("signature-changed", "changes a bit of the signature", _flipped(SIGNATURE)),
    _seal("statement-changed", "changes a bit of the statement", _flipped(STATEMENT)),
    _seal("signature-removed", "takes the signature out", _without(SIGNATURE)),
    _seal("tiles-changed", "changes the digests of the tiles", _flipped(TILES), applies=_has(TILES)),
    _seal("tiles-removed", "takes the digests of the tiles out", _without(TILES), applies=_has(TILES)),
    _seal(
        "restoring-changed",
        "has the restored object be another one",
        _flipped(RESTORING),
        applies=_has(RESTORING),
    ),
    _seal("envelope-changed", "changes the encrypted record", _flipped(ENVELOPE), applies=_has(ENVELOPE)),
    _seal("digest-changed", "changes the digest that people read", _other_digest),
    _seal("level-changed", "changes the level that people read", _other_level),
)
