"""Make the vectors of one format version: sealed files and, in expect.txt, what a reader must find in each.

    python -m tests.vectors.make tests/vectors/v2

The sets of version 1 were made in the same way, by earlier versions of this program. v1 was published before records
held a likeness; v1-likeness is about the likeness only; v1-robust holds marks of codec id robust-v1, and the first two
those of fidelity-v1; v1-codec-2 holds marks of fidelity-v2 and robust-v2.
Vectors never change once they are published, so an existing folder is refused.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np

from gateway import keys
from gateway.dicom.elements import EXPLICIT_LE, UNDEFINED, encode
from gateway.dicom.encapsulation import encapsulate
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode, transcode
from gateway.seal import SealOptions, seal
from gateway.seal.amending import Correcting, amend
from gateway.seal.block import private_block
from gateway.seal.codec import Codec, Frames, Profile
from tests.support import objects

PIXEL_DATA, PATIENT_ID, INSTANCE_UID, STUDY_TIME = 0x7FE00010, 0x00100020, 0x00080018, 0x00080030
BLOCK = 0x00711000
RETRIEVE_AE_TITLE, PATIENT_COMMENTS = 0x00080054, 0x00104000
SLOPE, INTERCEPT, LOSSY, PHOTOMETRIC = 0x00281053, 0x00281052, 0x00282110, 0x00280004
BITS_ALLOCATED, BITS_STORED, HIGH_BIT = 0x00280100, 0x00280101, 0x00280102
JPEG_BASELINE, EXPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"
JPEG_LS, BIG_ENDIAN, IMPLICIT = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"


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

    def amended(self, data: bytes, *, by: str = "signer.key", **values: str) -> bytes:
        """The object with a correction. A stranger corrects without asking whether the seal is believed."""
        signer = keys.load_signer(self.folder / "keys" / by)
        trusted = keys.load_trusted_signers(self.folder / "keys" / "signer.pub").with_key(signer.public)
        correcting = Correcting(
            values=values or {"PatientName": "Stranger^Name"},
            reason="vector",
            by="Sealgate",
            at=datetime(2025, 3, 2, 12, 0, tzinfo=UTC),
        )
        amended, _ = amend(data, correcting, signer=signer, trusted=trusted, codec=self.codec)
        return amended

    def robust_rgb(self) -> bytes:
        options = SealOptions(profile=Profile.ROBUST, frames=Frames.EVERY)
        return self(objects.fundus(rows=192, columns=192), options=options)


def ct(seed: int = 0) -> bytes:
    return objects.ct(rows=112, columns=104, seed=seed)


def good(sealed: Sealer, image: bytes, report: bytes) -> list[Vector]:
    """What a reader must accept."""
    every = SealOptions(profile=Profile.ROBUST, frames=Frames.EVERY)
    frames = sealed(objects.multi_frame(frames=3, rows=112, columns=104), options=every)
    retrieved = encode(RETRIEVE_AE_TITLE, b"AE", b"ARCHIVE", EXPLICIT_LE)
    comment = encode(PATIENT_COMMENTS, b"LT", b"seen on the ward", EXPLICIT_LE)
    return [
        Vector("intact", "intact", image),
        Vector("intact-signed-16-bit", "intact", sealed(objects.signed_ct(rows=112, columns=104))),
        Vector("intact-rgb", "intact", sealed(objects.fundus(rows=96, columns=96))),
        Vector("intact-derived", "intact", sealed(ct(), options=SealOptions(identity="derive"))),
        Vector("intact-jpeg-ls", "intact", sealed(transcode(ct(), JPEG_LS))),
        Vector("intact-every-frame", "intact", frames),
        Vector("intact-report", "intact", report),
        Vector("intact-fragments", "intact", sealed(lossy_object())),
        Vector("intact-retrieved", "intact", read(image).edited({RETRIEVE_AE_TITLE: retrieved})),
        Vector("intact-comment", "intact", read(image).edited({PATIENT_COMMENTS: comment})),
        Vector("transcoded-decoded", "transcoded", decoded(sealed(lossy_object()))),
        Vector("transcoded-implicit", "transcoded", transcode(image, IMPLICIT)),
        Vector("transcoded-jpeg-ls", "transcoded", transcode(image, JPEG_LS)),
        Vector("transcoded-big-endian", "transcoded", transcode(image, BIG_ENDIAN)),
        Vector("amended", "amended", sealed.amended(image, PatientName="Corrected^Name")),
        Vector(
            "amended-twice",
            "amended",
            sealed.amended(
                sealed.amended(image, PatientName="Wrong^Name"), PatientName="Right^Name", StudyID="7"
            ),
        ),
    ]


def changed(sealed: Sealer, image: bytes, report: bytes) -> list[Vector]:
    """What became of sealed objects in wrong hands."""
    file, other = read(image), read(sealed(ct(seed=9)))
    copied = encode(PIXEL_DATA, b"OW", other.value(PIXEL_DATA) or b"", EXPLICIT_LE)
    amended = sealed.amended(image, PatientName="Corrected^Name")

    def high_bit(value: bytearray) -> None:
        value[1] = 0x80

    def other_id(value: bytearray) -> None:
        value[:3] = b"ABC"

    def in_header(name: str, expect: str, tag: int, vr: bytes, value: bytes) -> Vector:
        return Vector(name, expect, file.edited({tag: encode(tag, vr, value, EXPLICIT_LE)}))

    return [
        Vector("pixel-changed", "tampered 5", replaced(image, PIXEL_DATA, b"OW", flipped(9000))),
        Vector("bit-above-bits-stored", "tampered 5", replaced(image, PIXEL_DATA, b"OW", high_bit)),
        Vector("pixels-of-another", "tampered 5 7 10", file.edited({PIXEL_DATA: copied})),
        Vector("report-changed", "altered 6", replaced(report, STUDY_TIME, b"TM", flipped(0))),
        Vector("patient-id-changed", "misidentified 6 8", replaced(image, PATIENT_ID, b"LO", other_id)),
        Vector(
            "instance-uid-changed", "misidentified 4 6 8", replaced(image, INSTANCE_UID, b"UI", flipped(-2))
        ),
        in_header("window-changed", "altered 6", 0x00281050, b"DS", b"1"),
        in_header("inverted", "altered 6", 0x00280004, b"CS", b"MONOCHROME1"),
        in_header("spacing-added", "altered 6", 0x00180088, b"DS", b"1.5"),
        in_header("class-changed", "tampered 4 6", 0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.4"),
        Vector("read-in-two-ways", "tampered 0 1 6", twice(image, STUDY_TIME)),
        Vector("amended-by-a-stranger", "tampered 6 8 12", sealed.amended(image, by="stranger/signer.key")),
        Vector(
            "amendment-changed",
            "tampered 6 8 12",
            replaced(amended, BLOCK | private_block.AMENDMENTS, b"OB", flipped(60)),
        ),
        Vector("amended-and-changed", "misidentified 6 8", replaced(amended, PATIENT_ID, b"LO", other_id)),
        Vector("robust-rgb-jpeg-75", "lossy 5", compressed(sealed.robust_rgb())),
        Vector("squeezed", "lossy 5 6 7", squeezed(image)),
        Vector("squeezed-and-scaled", "altered 5 6 7", squeezed(image, wrong=1.2)),
        Vector("decoded-and-painted", "tampered 5 6", decoded(sealed(lossy_object()), painted=True)),
        Vector(
            "label-of-jpeg-2000",
            "tampered 0",
            labelled(sealed(objects.fundus(rows=96, columns=96)), b"YBR_RCT "),
        ),
        Vector("stripped", "stripped 2", bare(image)),
        Vector("payload-of-another", "tampered 5 10", transplanted(sealed.codec, image, ct(seed=2))),
        Vector(
            "stripped-payload-of-another",
            "tampered 2 10",
            bare(transplanted(sealed.codec, image, ct(seed=2))),
        ),
        Vector("unsealed", "unsealed 2", ct()),
        Vector("foreign-signer", "unknown-signer 3", sealed(objects.report(), by="stranger/signer.key")),
        Vector("truncated", "unreadable 1", image[:-4000]),
    ]


def twice(data: bytes, tag: int) -> bytes:
    """The object with a second element of this tag behind the first, for readers that take the last."""
    file = read(data)
    end = len(file.prefix) + file.index[tag].end
    return data[:end] + encode(tag, b"TM", b"111111", EXPLICIT_LE) + data[end:]


def lossy_object() -> bytes:
    """A colour image in baseline JPEG, quality 90, whose fragments are sealed as they are."""
    file = read(objects.fundus(rows=64, columns=64, PhotometricInterpretation="YBR_FULL_422"))
    samples = np.frombuffer(file.value(PIXEL_DATA) or b"", np.uint8).reshape(64, 64, 3)
    stream = imagecodecs.jpeg_encode(samples, level=90)
    head = struct.pack("<HH2sHI", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF, b"OB", 0, UNDEFINED)
    return file.edited({PIXEL_DATA: head + encapsulate([bytes(stream)])}, syntax=JPEG_BASELINE)


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
        "header-digests-changed": (private_block.HEADER, b"OB", 30),
    }
    made = [
        Vector(name, "tampered 2", replaced(image, BLOCK | element, vr, flipped(at)))
        for name, (element, vr, at) in parts.items()
    ]
    signature = replaced(image, BLOCK | private_block.SIGNATURE, b"OB", flipped(10))
    return [
        *made,
        Vector("signature-changed", "tampered 3", signature),
        Vector(
            "received-header-changed",
            "tampered 2 11",
            replaced(image, BLOCK | private_block.RECEIVED, b"OB", flipped(30)),
        ),
        Vector("two-blocks", "tampered 2", read(image).edited({0x00710011: second})),
    ]


def compressed(data: bytes) -> bytes:
    """The colour image after baseline JPEG of quality 75, chroma at half resolution, decoded again."""
    file = read(data)
    pixels = decode(file, pixel_format(file)).samples
    lossy = imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(pixels[0], level=75, subsampling="420"))
    return file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OB", lossy.tobytes(), EXPLICIT_LE)})


def decoded(data: bytes, *, painted: bool = False) -> bytes:
    """The object that was compressed with loss, as an archive decodes it. painted: with a black square."""
    file = read(data)
    samples = decode(file, pixel_format(file)).samples.copy()
    if painted:
        samples[0, 8:16, 8:16] = 0
    value = encode(PIXEL_DATA, b"OB", samples.tobytes(), EXPLICIT_LE)
    native = file.edited({PIXEL_DATA: value}, syntax=EXPLICIT)
    return labelled(native, b"RGB ")


def labelled(data: bytes, photometric: bytes) -> bytes:
    return read(data).edited({PHOTOMETRIC: encode(PHOTOMETRIC, b"CS", photometric, EXPLICIT_LE)})


def squeezed(data: bytes, *, wrong: float = 1.0) -> bytes:
    """The CT in 8 bits, with the slope and intercept that go with it. wrong: factor of the slope."""
    file = read(data)
    values = decode(file, pixel_format(file)).samples.astype(np.float64)
    low, high = values.min(), values.max()
    small = np.round((values - low) / (high - low) * 255).astype(np.uint8)
    slope, intercept = (high - low) / 255 * wrong, low - 1024
    decimals = {
        tag: f"{value:.8f}"[:16].encode() for tag, value in {SLOPE: slope, INTERCEPT: intercept}.items()
    }
    bits = {BITS_ALLOCATED: 8, BITS_STORED: 8, HIGH_BIT: 7}
    return file.edited(
        {
            tag: encode(tag, b"DS", text + b" " * (len(text) % 2), EXPLICIT_LE)
            for tag, text in decimals.items()
        }
        | {tag: encode(tag, b"US", struct.pack("<H", count), EXPLICIT_LE) for tag, count in bits.items()}
        | {
            LOSSY: encode(LOSSY, b"CS", b"01", EXPLICIT_LE),
            PIXEL_DATA: encode(PIXEL_DATA, b"OB", small.tobytes(), EXPLICIT_LE),
        }
    )


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
