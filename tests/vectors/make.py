"""Make the vectors of one format version: sealed files and, in expect.txt, what a reader must find in each.

    python -m tests.vectors.make tests/vectors/v1

Vectors never change once they are published, so an existing folder is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gateway import keys
from gateway.seal import SealOptions, block, seal
from gateway.seal.codec import Codec
from gateway.seal.elements import EXPLICIT_LE, encode
from gateway.seal.part10 import read
from gateway.seal.pixels import transcode
from tests.support import objects

PIXEL_DATA, PATIENT_ID, SOP_INSTANCE_UID, STUDY_TIME = 0x7FE00010, 0x00100020, 0x00080018, 0x00080030
BLOCK = 0x00711000
JPEG_LS = "1.2.840.10008.1.2.4.80"


@dataclass(frozen=True)
class Vector:
    """expect: the verdict, then the numbers of the checks that fail."""

    name: str
    expect: str
    data: bytes


def replaced(data: bytes, tag: int, vr: bytes, change: Callable[[bytearray], None]) -> bytes:
    """`data` with the value of one element changed in place."""
    file = read(data)
    value = bytearray(file.value(tag) or b"")
    change(value)
    return file.edited({tag: encode(tag, vr, bytes(value), EXPLICIT_LE)})


def flipped(at: int) -> Callable[[bytearray], None]:
    def change(value: bytearray) -> None:
        value[at] ^= 1

    return change


def vectors(folder: Path, codec: Codec) -> list[Vector]:
    signer = keys.load_signer(folder / "keys" / "signer.key")
    recipient = keys.load_recipient(folder / "keys" / "recipient.pub")
    moment = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)

    def sealed(data: bytes, *, by: keys.Signer = signer, **options: object) -> bytes:
        made, result = seal(
            data,
            recipient=recipient,
            signer=by,
            codec=codec,
            options=SealOptions(**options),
            now=moment,  # type: ignore[arg-type]
        )
        if result.level == "pass":
            raise AssertionError(f"a vector passed unsealed: {result.reason}")
        return made

    stranger = folder / "keys" / "stranger"
    small = {"rows": 112, "columns": 104}
    image, report = sealed(objects.ct(**small)), sealed(objects.report())  # type: ignore[arg-type]
    other = read(sealed(objects.ct(seed=9, **small)))  # type: ignore[arg-type]
    file = read(image)
    copied = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", other.value(PIXEL_DATA) or b"", EXPLICIT_LE)})
    bare = file.edited(block.removal(file))
    second = file.edited({0x00710011: encode(0x00710011, b"LO", b"SEALGATE", EXPLICIT_LE)})

    def private(element: int, at: int, vr: bytes = b"OB") -> bytes:
        return replaced(image, BLOCK | element, vr, flipped(at))

    def other_id(value: bytearray) -> None:
        value[:3] = b"ABC"

    return [
        Vector("intact", "intact", image),
        Vector("intact-signed-16-bit", "intact", sealed(objects.signed_ct(**small))),  # type: ignore[arg-type]
        Vector("intact-rgb", "intact", sealed(objects.fundus(rows=96, columns=96))),
        Vector("intact-derived", "intact", sealed(objects.mr(**small), identity="derive")),  # type: ignore[arg-type]
        Vector("intact-jpeg-ls", "intact", sealed(transcode(objects.ct(**small), JPEG_LS))),  # type: ignore[arg-type]
        Vector("intact-report", "intact", report),
        Vector("transcoded-jpeg-ls", "transcoded", transcode(image, JPEG_LS)),
        Vector("transcoded-big-endian", "transcoded", transcode(image, "1.2.840.10008.1.2.2")),
        Vector("pixel-changed", "tampered 5", replaced(image, PIXEL_DATA, b"OW", flipped(9000))),
        Vector(
            "bit-above-bits-stored",
            "tampered 5",
            replaced(image, PIXEL_DATA, b"OW", lambda v: v.__setitem__(1, 0x80)),
        ),
        Vector("pixels-of-another", "tampered 5 7", copied),
        Vector("report-changed", "tampered 5", replaced(report, STUDY_TIME, b"TM", flipped(0))),
        Vector("patient-id-changed", "misidentified 6 8", replaced(image, PATIENT_ID, b"LO", other_id)),
        Vector(
            "instance-uid-changed",
            "misidentified 4 6 8",
            replaced(image, SOP_INSTANCE_UID, b"UI", flipped(-2)),
        ),
        Vector("signature-changed", "tampered 3", private(block.SIGNATURE, 10)),
        Vector("statement-changed", "tampered 2", private(block.STATEMENT, 1)),
        Vector("version-unknown", "tampered 2", private(block.VERSION, 0, b"LO")),
        Vector("level-changed", "tampered 2", private(block.LEVEL, 0, b"LO")),
        Vector("digest-text-changed", "tampered 2", private(block.DIGEST, 5, b"LO")),
        Vector("tiles-changed", "tampered 2", private(block.TILES, 3)),
        Vector("restoring-changed", "tampered 2", private(block.RESTORING, 30)),
        Vector("two-blocks", "tampered 2", second),
        Vector("stripped", "stripped 2", bare),
        Vector("unsealed", "unsealed 2", objects.ct(**small)),  # type: ignore[arg-type]
        Vector(
            "foreign-signer",
            "unknown-signer 3",
            sealed(objects.report(), by=keys.load_signer(stranger / "signer.key")),
        ),
        Vector("truncated", "unreadable 1", image[:-4000]),
    ]


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    keys.generate(folder / "keys")
    keys.generate(folder / "keys" / "stranger")
    made = vectors(folder, Codec.load())
    for vector in made:
        (folder / f"{vector.name}.dcm").write_bytes(vector.data)
    lines = [f"{vector.name}: {vector.expect}" for vector in made]
    (folder / "expect.txt").write_text("\n".join(lines) + "\n")
    for unused in ("recipient.key", "recipient.pub", "signer.key"):
        (folder / "keys" / "stranger" / unused).unlink()
    (folder / "keys" / "signer.key").unlink()
    total = int(np.sum([len(vector.data) for vector in made]))
    print(f"{len(made)} vectors, {total} bytes", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
