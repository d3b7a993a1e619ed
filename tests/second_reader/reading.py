"""The checks of FORMAT.md one after the other, the verdict, and restoring.

Check 7 needs what the pixels hold. Reading that takes the networks of CODEC.md; so `verify` and `restore` take the
payload as a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.second_reader import block as blocks
from tests.second_reader import dicom, header, pixels, record, undo
from tests.second_reader.block import Amendment, Block, Received
from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import LOSSY, PIXEL_DATA, File, Unreadable
from tests.second_reader.header import NEUTRAL, Difference, class_of
from tests.second_reader.record import PrivateKey, Record

SOP_CLASS, SOP_INSTANCE, RESCALE_TYPE = 0x00080016, 0x00080018, 0x00281054
JPEG_IN_COLOUR = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
COMPRESSOR = frozenset(
    {0x00080008, 0x00080018, 0x00280004, *range(0x00280101, 0x00280104), 0x00280106, 0x00280107}
    | {0x00282110, 0x00282112, 0x00282114}
)


class Look(Enum):
    """Nobody has looked for a payload in the pixels."""

    NOT_LOOKED = 0


NOT_LOOKED = Look.NOT_LOOKED
Payload = bytes | None | Look


@dataclass
class Reading:
    """checks: number: whether it held; one that was not made is absent. verdict None: see `reason`."""

    verdict: str | None = None
    reason: str = ""
    checks: dict[int, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    amended: list[Difference] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    record: Record | None = None
    received: Received | None = None
    _lossy: bool = False
    _type_filled_in: bool = False
    _decoded: bool = False

    @property
    def failed(self) -> set[int]:
        return {number for number, held in self.checks.items() if not held}


def verify(
    data: bytes,
    *,
    signers: list[Ed25519PublicKey],
    key: PrivateKey | None = None,
    payload: Payload = NOT_LOOKED,
) -> Reading:
    """Everything the document asks of a reader, but for reading the pixels' payload and compressed pixel data.

    payload: what somebody else read out of the pixels, None when there is none.
    """
    reading = Reading()
    try:
        file = dicom.parse(data)
    except Unreadable as error:
        reading.checks[1] = False
        reading.verdict, reading.reason = "unreadable", str(error)
        return reading
    reading.checks |= {1: not file.twice, 0: not file.doubts}
    reading.notes += file.doubts
    block = blocks.read(file)
    reading.checks[2] = block is not None and not block.faults
    reading.notes += block.faults if block else []
    trusted = None
    if block is None or not block.statement:
        _without_statement(reading, file, block, key, payload)
    else:
        trusted = _with_statement(reading, file, block, signers, key, payload)
    reading.verdict = _verdict(reading, file, block, trusted, payload)
    if reading.verdict is None and not reading.reason:
        reading.reason = "needs what the pixels hold"
    return reading


def _image(reading: Reading, file: File) -> pixels.Image | None:
    """None where the pixels are not as described, or this reader can't decode them (then with a reason)."""
    try:
        return pixels.image(file)
    except pixels.CannotDecode as error:
        reading.reason = f"cannot decode: {error}"
    except Malformed as error:
        reading.notes.append(str(error))
    return None


def _without_statement(
    reading: Reading, file: File, block: Block | None, key: PrivateKey | None, payload: Payload
) -> None:
    if isinstance(payload, Look) or (block is not None and key is None):
        return
    if payload is None:
        if block is not None:
            reading.checks[7] = False
        return
    reading.checks[7] = True
    if key is None:
        return
    behind = block.envelope if block else None
    if behind is not None and payload == b"\x1f" + behind[:16]:
        payload = behind[16:]
    _open(reading, file, payload, key)
    if reading.record and reading.record.likeness and (image := _image(reading, file)):
        reading.checks[10] = pixels.is_like(image, reading.record.restore_key, reading.record.likeness)


def _with_statement(
    reading: Reading,
    file: File,
    block: Block,
    signers: list[Ed25519PublicKey],
    key: PrivateKey | None,
    payload: Payload,
) -> bool:
    """Whether the signer is trusted."""
    stated = block.statement
    message = f"sealgate statement v{block.version}\0".encode() + block.encoded
    signed = blocks.signed_by(signers, stated[12], block.signature, message)
    reading.checks[3] = signed is True
    for tag, entry in ((SOP_CLASS, 6), (SOP_INSTANCE, 7)):
        if file.text(tag) != stated.get(entry, ""):
            reading.differences.append(Difference(tag, header.class_of(tag), f"{tag:08X}"))
    reading.checks[4] = not reading.differences
    present = header.signed_header(file.elements, stated[9])
    if block.version == 1:
        reading.differences += _differences_1(file, stated)
    elif block.signed_header is not None:
        reading.differences += header.differences(block.signed_header, present)
    image = _image(reading, file) if stated[4] == "pixels" or _decoded(file, block) else None
    digest = _digest_holds(reading, file, block, image)
    if digest is not None:
        reading.checks[5] = digest
    if stated[2] == "full":
        _payload(reading, file, block, key, payload)
    elif key is not None and block.envelope is not None:
        _open(reading, file, block.envelope, key)
    if digest is False and image is not None:
        _likeness(reading, image, stated)
        reading._lossy = _lossy_copy(reading, file, block, image, payload)
        if block.signed_header and RESCALE_TYPE not in block.signed_header.elements:
            ct = file.text(SOP_CLASS) == "1.2.840.10008.5.1.4.1.1.2"
            reading._type_filled_in = ct and file.text(RESCALE_TYPE) == "HU"
    if block.amendments is not None and block.signed_header is not None:
        try:
            reading.amendments = blocks.amendments(
                block.amendments, block.encoded, block.signed_header, signers
            )
            reading.checks[12] = True
        except Malformed as error:
            reading.checks[12] = False
            reading.notes.append(str(error))
    _cover(reading, present.elements)
    if block.version == 1 or block.signed_header is not None:
        reading.checks[6] = not any(d.kind not in NEUTRAL for d in reading.differences if d.name[0] != "r")
    if block.received is not None and reading.record is not None:
        try:
            reading.received = blocks.received(block.received, reading.record.restore_key)
            reading.checks[11] = True
        except Malformed as error:
            reading.checks[11] = False
            reading.notes.append(str(error))
    return signed is not None


def _decoded(file: File, block: Block) -> bool:
    """Whether the fragments are not those that were sealed, and it is known what those decode to."""
    stated = block.statement
    return 26 in stated and bool(pixels.fragments_digest(file, block.version) != stated[5])


def _digest_holds(reading: Reading, file: File, block: Block, image: pixels.Image | None) -> bool | None:
    """Check 5; None where this reader can't tell."""
    stated = block.statement
    if stated[4] == "pixels":
        if image is None:
            return None if reading.reason else False
        return bool(pixels.digest(image) == stated[5])
    if stated[4] == "fragments":
        if not _decoded(file, block):
            return bool(pixels.fragments_digest(file, block.version) == stated[5])
        if image is None:
            return None if reading.reason else False
        reading._decoded = bool(pixels.digest(image) == stated[26]) and file.syntax not in LOSSY
        return reading._decoded
    if block.version == 1:
        tags = {*header.IDENTITY_1, *stated[10]}
        return blake3(b"sealgate dataset v1\0" + header.dataset_1(file.elements, tags)).digest() == bytes(
            stated[5]
        )
    whole = blake3(b"sealgate dataset v2\0" + (block.header or b"")).digest() == bytes(stated[5])
    changed = any(d.kind == "structure" for d in reading.differences)
    return whole and not changed and PIXEL_DATA not in file.elements


def _differences_1(file: File, stated: Mapping[int, Any]) -> list[Difference]:
    around, found = header.context(file.elements), []
    for tag in sorted({*header.IDENTITY_1, *stated[10]}):
        value = header.comparable(file.elements.get(tag), around)
        digest = header.digest_1(tag, value, stated[9]) if value else None
        if stated[10].get(tag) != digest:
            found.append(Difference(tag, "identity", f"{tag:08X}"))
    return found


def _payload(reading: Reading, file: File, block: Block, key: PrivateKey | None, payload: Payload) -> None:
    """Checks 7 and 8 of level `full`."""
    stated = block.statement
    if isinstance(payload, Look) or (key is None and reading.checks.get(5, True)):
        return
    envelope = payload
    reading.checks[7] = payload is not None and blake3(payload).digest() == stated.get(15)
    if stated.get(14) == "locator" and payload is not None and block.envelope is not None:
        reading.checks[7] &= payload[:1] == b"\x1f" and block.envelope[:16] == payload[1:]
        envelope = block.envelope[16:]
    if reading.checks[7] and key is not None and envelope is not None:
        _open(reading, file, envelope, key, stated.get(10, ()))


def _open(reading: Reading, file: File, envelope: bytes, key: PrivateKey, fields: Iterable[int] = ()) -> None:
    """Check 8. fields: those that the statement covers (version 1)."""
    try:
        reading.record = record.read(record.open_envelope(envelope, key))
    except Malformed as error:
        reading.checks[8] = False
        reading.notes.append(str(error))
        return
    tags = record.fields_that_differ(reading.record, file.elements, header.context(file.elements), fields)
    reading.differences += [Difference(tag, header.class_of(tag), f"record {tag:08X}") for tag in tags]
    reading.checks[8] = not tags  # `_cover` may turn it


def _likeness(reading: Reading, image: pixels.Image, stated: Mapping[int, Any]) -> None:
    """Check 10, by the record, else by the statement."""
    if reading.record is not None and reading.record.likeness is not None:
        reading.checks[10] = pixels.is_like(image, reading.record.restore_key, reading.record.likeness)
    elif 25 in stated:
        reading.checks[10] = pixels.is_like(image, stated[9], stated[25])


def _lossy_copy(reading: Reading, file: File, block: Block, image: pixels.Image, payload: Payload) -> bool:
    stated = block.statement
    if block.tiles is None or 19 not in stated or not reading.checks.get(10, reading.checks.get(7, False)):
        return False
    if isinstance(payload, bytes) and not reading.checks.get(7, True):
        return False
    changed, content = pixels.tiles_changed(image, stated[19], block.tiles)
    if changed < 2:
        return False
    if file.syntax in LOSSY or file.text(0x00282110) == "01":
        return changed >= 0.5 * content
    return changed >= 0.75 * content and (changed >= 48 or reading.checks.get(7, False))


def _cover(reading: Reading, present: Mapping[int, bytes]) -> None:
    """Puts aside the differences that amendments cover."""
    ends = {c.tag: c.after for amendment in reading.amendments for c in amendment.corrections}
    covered = {tag for tag, digest in ends.items() if present.get(tag, b"") == digest}
    known = {d.tag for d in reading.differences}
    reading.differences += [
        Difference(tag, class_of(tag), f"{tag:08X}") for tag in sorted(ends.keys() - covered - known)
    ]
    reading.amended = [d for d in reading.differences if d.tag in covered]
    reading.differences = [d for d in reading.differences if d.tag not in covered]
    if 8 in reading.checks and reading.record is not None:
        reading.checks[8] = not any(d.name.startswith("record") for d in reading.differences)


def _verdict(
    reading: Reading, file: File, block: Block | None, trusted: bool | None, payload: Payload
) -> str | None:
    failed = reading.failed
    if block is None:
        if 10 in failed:
            return "tampered"
        # Another instance of the same is none.
        if any(d.kind == "identity" and d.tag != SOP_INSTANCE for d in reading.differences):
            return "misidentified"
        if isinstance(payload, Look):
            return None if PIXEL_DATA in file.elements else "unsealed"
        return "unsealed" if payload is None else "stripped"
    if not block.statement:
        return "tampered"
    if not trusted:
        return "unknown-signer"
    if failed & {0, 1, 2, 3, 12}:
        return "tampered"
    if 5 not in reading.checks:
        return None
    if 5 in failed and not reading._lossy:
        needs_payload = (
            block.statement[2] == "full" and isinstance(payload, Look) and 10 not in reading.checks
        )
        return None if needs_payload and block.statement[4] == "pixels" else "tampered"
    follows = COMPRESSOR | {RESCALE_TYPE} if reading._type_filled_in else COMPRESSOR
    if reading._decoded:
        follows = frozenset({0x00282110, 0x00282112, 0x00282114} if file.text(0x00282110) == "01" else ())
        if block.statement[8] in JPEG_IN_COLOUR and file.text(0x00280004) == "RGB":
            follows |= {0x00280004}
    aside = reading._lossy or reading._decoded
    kinds = {d.kind for d in reading.differences if not (aside and d.tag in follows)}
    if "structure" in kinds:
        return "tampered"
    if "identity" in kinds:
        return "misidentified"
    if kinds - NEUTRAL:
        return "altered"
    if reading._lossy:
        return "lossy"
    if reading.amended:
        return "amended"
    same = file.syntax == block.statement[8] and not reading._decoded
    return "intact" if same else "transcoded"


@dataclass(frozen=True)
class Restored:
    """dataset: in the encoding in which it was received. whole: it *is* the data set received, byte for byte."""

    dataset: bytes
    whole: bool


def restore(data: bytes, *, key: PrivateKey, payload: bytes | None = None) -> Restored:
    """The data set as received, of an object of version 2.

    payload: what the pixels hold, for level `full`. Raises Malformed, Unreadable, pixels.CannotDecode.
    """
    file = dicom.parse(data)
    block = blocks.read(file)
    if block is None or block.faults or block.received is None:
        raise Malformed("no whole block with a header as received")
    stated = block.statement
    values: dict[int, Any] | None = None
    envelope = block.envelope
    if stated[2] == "full":
        if payload is None or blake3(payload).digest() != stated.get(15):
            raise Malformed("the payload is not the one stated")
        if stated.get(14) == "envelope":
            envelope = payload
        elif block.envelope is None or block.envelope[:16] != payload[1:]:
            raise Malformed("the locator points elsewhere")
        else:
            envelope = block.envelope[16:]
    opened = record.read(record.open_envelope(envelope or b"", key))
    if block.restoring is not None:
        values = undo.entries(block.restoring, opened.restore_key)
    before = blocks.received(block.received, opened.restore_key)
    out = b""
    for part in before.parts:
        if isinstance(part, bytes):
            out += part
            continue
        tag, head, length = part
        value = _value(file, tag, head, before, values)
        if head[-4:] != b"\xff" * 4 and len(value) != length:
            raise Malformed(f"{tag:08X} has another length now")
        out += head + value
    whole = blake3(out).digest() == before.digest
    if not whole:
        assert block.signed_header is not None
        changed = header.differences(block.signed_header, header.signed_header(file.elements, stated[9]))
        left_out = {part[0] for part in before.parts if not isinstance(part, bytes)}
        if left_out & {difference.tag for difference in changed}:
            raise Malformed("an element whose value was left out has changed")
    return Restored(out, whole)


def _value(file: File, tag: int, head: bytes, before: Received, values: dict[int, Any] | None) -> bytes:
    """The value of an element that was left out, in the encoding of the data set received."""
    element = file.elements.get(tag)
    if element is None:
        raise Malformed(f"{tag:08X} is gone")
    big = before.encoding == 2
    native = before.syntax in dicom.NATIVE
    if tag == PIXEL_DATA and (values is not None or element.undefined == native):
        image = pixels.image(file)
        restored, above = (undo.original(image, values), values[2]) if values else (image.values, image.above)
        if native:
            words = big and (not before.encoding or head[4:6] != b"OB")
            return pixels.native_bytes(file, image, restored, above, big, words)
        if before.syntax != dicom.RLE:
            raise pixels.CannotDecode(f"transfer syntax {before.syntax}")
        return pixels.rle_bytes(file, image, restored, above)
    if element.fragments is not None or element.items is not None:
        return element.body
    little = element.little()
    return dicom.swapped(little, dicom.WORDS.get(element.vr, 1)) if big else little
