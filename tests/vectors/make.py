"""Make the vectors of one format version: sealed files and, in expect.txt, what a reader must find in each.

    python -m tests.vectors.make tests/vectors/v1
    python -m tests.vectors.make tests/vectors/v1-likeness
    python -m tests.vectors.make tests/vectors/v1-robust
    python -m tests.vectors.make tests/vectors/v1-codec-2

The first set was published before records held a likeness; the second one is about the likeness only; the third holds
marks of codec id robust-v1, and the first two those of fidelity-v1: later versions read them and no longer write them.
The fourth holds marks of fidelity-v2 and robust-v2.
Vectors never change once they are published, so an existing folder is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs

from gateway import keys
from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode, transcode
from gateway.seal import SealOptions, seal
from gateway.seal.block import private_block
from gateway.seal.codec import Codec, Frames, Profile
from tests.support import objects

PIXEL_DATA, PATIENT_ID, INSTANCE_UID, STUDY_TIME = 0x7FE00010, 0x00100020, 0x00080018, 0x00080030
BLOCK = 0x00711000
JPEG_LS, BIG_ENDIAN = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.2"


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


@dataclass(frozen=True)
class Sealer:
    folder: Path
    codec: Codec

    def __call__(self, data: bytes, *, by: str = "signer.key", options: SealOptions | None = None) -> bytes:
        sealed, result = seal(
            data,
            recipient=keys.load_recipient(self.folder / "keys" / "recipient.pub"),
            signer=keys.load_signer(self.folder / "keys" / by),
            codec=self.codec,
            options=options,
            now=datetime(2025, 3, 1, 12, 0, tzinfo=UTC),
        )
        if result.level == "pass":
            raise AssertionError(f"a vector passed unsealed: {result.reason}")
        return sealed


def ct(seed: int = 0) -> bytes:
    return objects.ct(rows=112, columns=104, seed=seed)


def good(sealed: Sealer, image: bytes, report: bytes) -> list[Vector]:
    """What a reader must accept."""
    return [
        Vector("intact", "intact", image),
        Vector("intact-signed-16-bit", "intact", sealed(objects.signed_ct(rows=112, columns=104))),
        Vector("intact-rgb", "intact", sealed(objects.fundus(rows=96, columns=96))),
        Vector("intact-derived", "intact", sealed(ct(), options=SealOptions(identity="derive"))),
        Vector("intact-jpeg-ls", "intact", sealed(transcode(ct(), JPEG_LS))),
        Vector("intact-report", "intact", report),
        Vector("transcoded-jpeg-ls", "transcoded", transcode(image, JPEG_LS)),
        Vector("transcoded-big-endian", "transcoded", transcode(image, BIG_ENDIAN)),
    ]


def changed(sealed: Sealer, image: bytes, report: bytes) -> list[Vector]:
    """What became of sealed objects in wrong hands."""
    file, other = read(image), read(sealed(ct(seed=9)))
    copied = encode(PIXEL_DATA, b"OW", other.value(PIXEL_DATA) or b"", EXPLICIT_LE)

    def high_bit(value: bytearray) -> None:
        value[1] = 0x80

    def other_id(value: bytearray) -> None:
        value[:3] = b"ABC"

    return [
        Vector("pixel-changed", "tampered 5", replaced(image, PIXEL_DATA, b"OW", flipped(9000))),
        Vector("bit-above-bits-stored", "tampered 5", replaced(image, PIXEL_DATA, b"OW", high_bit)),
        Vector("pixels-of-another", "tampered 5 7", file.edited({PIXEL_DATA: copied})),
        Vector("report-changed", "tampered 5", replaced(report, STUDY_TIME, b"TM", flipped(0))),
        Vector("patient-id-changed", "misidentified 6 8", replaced(image, PATIENT_ID, b"LO", other_id)),
        Vector(
            "instance-uid-changed", "misidentified 4 6 8", replaced(image, INSTANCE_UID, b"UI", flipped(-2))
        ),
        Vector("stripped", "stripped 2", file.edited(private_block.removal(file))),
        Vector("unsealed", "unsealed 2", ct()),
        Vector("foreign-signer", "unknown-signer 3", sealed(objects.report(), by="stranger/signer.key")),
        Vector("truncated", "unreadable 1", image[:-4000]),
    ]


def malformed(image: bytes) -> list[Vector]:
    """Private blocks a reader must reject."""
    second = encode(0x00710011, b"LO", b"SEALGATE", EXPLICIT_LE)
    parts = {
        "version-unknown": (private_block.VERSION, b"LO", 0),
        "level-changed": (private_block.LEVEL, b"LO", 0),
        "digest-text-changed": (private_block.DIGEST, b"LO", 5),
        "statement-changed": (private_block.STATEMENT, b"OB", 1),
        "tiles-changed": (private_block.TILES, b"OB", 3),
        "restoring-changed": (private_block.RESTORING, b"OB", 30),
    }
    made = [
        Vector(name, "tampered 2", replaced(image, BLOCK | element, vr, flipped(at)))
        for name, (element, vr, at) in parts.items()
    ]
    signature = replaced(image, BLOCK | private_block.SIGNATURE, b"OB", flipped(10))
    return [
        *made,
        Vector("signature-changed", "tampered 3", signature),
        Vector("two-blocks", "tampered 2", read(image).edited({0x00710011: second})),
    ]


def likenesses(sealed: Sealer) -> list[Vector]:
    """Records that hold the likeness of their image, among them one copied into another image."""
    image = sealed(ct())
    transplant = transplanted(sealed.codec, image, ct(seed=2))
    return [
        Vector("intact", "intact", image),
        Vector("stripped", "stripped 2", bare(image)),
        Vector("payload-of-another", "tampered 5 10", transplant),
        Vector("stripped-payload-of-another", "tampered 2 10", bare(transplant)),
    ]


def codec_2(sealed: Sealer) -> list[Vector]:
    """Marks of codec version 2: with header, in every frame, synthesised, and what lossy compression leaves of them."""
    every = SealOptions(profile=Profile.ROBUST, frames=Frames.EVERY)
    image, colour = sealed(ct()), sealed(objects.fundus(rows=192, columns=192), options=every)
    frames = sealed(objects.multi_frame(frames=3, rows=112, columns=104), options=every)
    return [
        Vector("intact", "intact", image),
        Vector("intact-robust-rgb", "intact", colour),
        Vector("intact-every-frame", "intact", frames),
        Vector("stripped", "stripped 2", bare(image)),
        Vector("stripped-robust-rgb", "stripped 2", bare(colour)),
        Vector(
            "restoring-changed",
            "tampered 2",
            replaced(colour, BLOCK | private_block.RESTORING, b"OB", flipped(30)),
        ),
        Vector("robust-rgb-jpeg-75", "lossy 5", compressed(colour)),
    ]


def compressed(data: bytes) -> bytes:
    """The colour image after baseline JPEG of quality 75, chroma at half resolution, decoded again."""
    file = read(data)
    pixels = decode(file, pixel_format(file)).samples
    lossy = imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(pixels[0], level=75, subsampling="420"))
    return file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OB", lossy.tobytes(), EXPLICIT_LE)})


def robust(sealed: Sealer) -> list[Vector]:
    """Marks that survive lossy compression."""
    options = SealOptions(profile=Profile.ROBUST)
    image = sealed(objects.ct(rows=192, columns=184), options=options)
    return [
        Vector("intact", "intact", image),
        Vector("intact-rgb", "intact", sealed(objects.fundus(rows=128, columns=128), options=options)),
        Vector("stripped", "stripped 2", bare(image)),
        Vector("pixel-changed", "tampered 5", replaced(image, PIXEL_DATA, b"OW", flipped(9000))),
    ]


def bare(data: bytes) -> bytes:
    file = read(data)
    return file.edited(private_block.removal(file))


def transplanted(codec: Codec, sealed: bytes, target: bytes) -> bytes:
    """The object `sealed` with the pixels of `target`, into which its payload was copied: that needs no key."""
    file, other = read(sealed), read(target)
    found = codec.reveal(decode(file, pixel_format(file)).samples)
    if found is None:
        raise AssertionError("the sealed object holds no payload")
    forged = codec.hide(decode(other, pixel_format(other)).samples, found.payload).container
    return file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", forged.astype("<u2").tobytes(), EXPLICIT_LE)})


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    keys.generate(folder / "keys")
    keys.generate(folder / "keys" / "stranger")
    sealed = Sealer(folder, Codec.load())
    if folder.name.endswith("-likeness"):
        made = likenesses(sealed)
    elif folder.name.endswith("-codec-2"):
        made = codec_2(sealed)
    elif folder.name.endswith("-robust"):
        made = robust(sealed)
    else:
        image, report = sealed(ct()), sealed(objects.report())
        made = [*good(sealed, image, report), *changed(sealed, image, report), *malformed(image)]
    for vector in made:
        (folder / f"{vector.name}.dcm").write_bytes(vector.data)
    lines = [f"{vector.name}: {vector.expect}" for vector in made]
    (folder / "expect.txt").write_text("\n".join(lines) + "\n")
    for unused in ("recipient.key", "recipient.pub", "signer.key"):
        (folder / "keys" / "stranger" / unused).unlink()
    (folder / "keys" / "signer.key").unlink()
    total = sum(len(vector.data) for vector in made)
    print(f"{len(made)} vectors, {total} bytes", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
