"""The checks of FORMAT.md one after the other, the verdict, and restoring.

Check 7 needs what the pixels hold. Reading that takes a network and a while (`payload`); so `verify` and `restore`
take the payload as a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.second_reader import block as blocks
from tests.second_reader import dicom, header, levels, pixels, record, undo
from tests.second_reader.block import Amendment, Block, Received
from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import LOSSY, PIXEL_DATA, File, Unreadable
from tests.second_reader.header import NEUTRAL, Difference, SignedHeader, class_of
from tests.second_reader.record import PrivateKey, Record

SOP_CLASS, SOP_INSTANCE, RESCALE_TYPE, PHOTOMETRIC = 0x00080016, 0x00080018, 0x00281054, 0x00280004
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
JPEG_IN_COLOUR = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
LOSSY_IMAGE_COMPRESSION = 0x00282110
LOSS_TOLD = frozenset({LOSSY_IMAGE_COMPRESSION, 0x00282112, 0x00282114})
COMPRESSOR = LOSS_TOLD | {
    *(0x00080008, SOP_INSTANCE, PHOTOMETRIC, 0x00280101, 0x00280102, 0x00280103, 0x00280106, 0x00280107)
}


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
    try:
        file = dicom.parse(data)
    except Unreadable as error:
        return Reading("unreadable", str(error), {1: False})
    checking = _Checking(file, signers, key, payload)
    checking.run()
    return checking.found


class _Checking:
    """One object, on its way through the checks."""

    def __init__(
        self, file: File, signers: list[Ed25519PublicKey], key: PrivateKey | None, payload: Payload
    ) -> None:
        self.file, self.signers, self.key, self.payload = file, signers, key, payload
        self.found = Reading(checks={1: not file.twice, 0: not file.doubts}, notes=[*file.doubts])
        self.checks = self.found.checks
        self.version, self.present = 2, SignedHeader({}, b"", {})
        self.trusted = self.lossy = self.decoded = False
        # Elements that do not count, because they follow from what became of the pixels.
        self.follow: frozenset[int] = frozenset()

    def run(self) -> None:
        block = blocks.read(self.file)
        self.checks[2] = block is not None and not block.faults
        self.found.notes += block.faults if block else []
        if block is not None and block.statement:
            self.with_statement(block)
        elif self.payload is not NOT_LOOKED and (block is None or self.key is not None):
            self.without_statement(block)
        self.found.verdict = self.verdict(block)
        if self.found.verdict is None and not self.found.reason:
            self.found.reason = "needs what the pixels hold"

    def rejects(self, number: int, error: Malformed) -> None:
        self.checks[number] = False
        self.found.notes.append(str(error))

    def kind(self, tag: int) -> str:
        """The class of a difference; version 1 knows one only."""
        return "identity" if self.version == 1 else class_of(tag)

    def image(self) -> pixels.Image | None:
        """None where the pixels are not as described, or this reader can't decode them (then with a reason)."""
        try:
            return pixels.image(self.file)
        except pixels.CannotDecode as error:
            self.found.reason = f"cannot decode: {error}"
        except Malformed as error:
            self.found.notes.append(str(error))
        return None

    def without_statement(self, block: Block | None) -> None:
        payload = self.payload
        if not isinstance(payload, bytes):
            self.checks |= {7: False} if block is not None else {}
            return
        self.checks[7] = True
        if self.key is None:
            return
        behind = block.envelope if block else None
        if behind is not None and payload == b"\x1f" + behind[:16]:
            payload = behind[16:]
        self.open(payload, self.key)
        self.likeness(self.image(), {})

    def with_statement(self, block: Block) -> None:
        stated, found, self.version = block.statement, self.found, block.version
        message = f"sealgate statement v{block.version}\0".encode() + block.encoded
        signed = blocks.signed_by(self.signers, stated[12], block.signature, message)
        self.checks[3], self.trusted = signed is True, signed is not None
        for tag, entry in ((SOP_CLASS, 6), (SOP_INSTANCE, 7)):
            if self.file.text(tag) != stated.get(entry, ""):
                found.differences.append(Difference(tag, self.kind(tag), f"{tag:08X}"))
        self.checks[4] = not found.differences
        self.present = header.signed_header(self.file.elements, stated[9])
        if block.version == 1:
            fields = header.differences_1(self.file.elements, stated[10], stated[9])
            found.differences += fields
            self.checks[6] = not fields
        elif block.signed_header is not None:
            found.differences += header.differences(block.signed_header, self.present)
        others = 26 in stated and pixels.fragments_digest(self.file, block.version) != stated[5]
        image = self.image() if stated[4] == "pixels" or others else None
        digest = self.digest(block, image, others=others)
        if digest is not None:
            self.checks[5] = digest
        if stated[2] == "full":
            self.hidden(block)
        elif self.key is not None and block.envelope is not None:
            self.open(block.envelope, self.key)
        if digest is False and image is not None:
            self.likeness(image, stated)
            if self.is_lossy_copy(block, image):
                self.lossy = True
                self.follow = self.of_compression(block) | levels.fitting(
                    stated.get(27, b""), image, self.file
                )
        if block.amendments is not None and block.signed_header is not None:
            try:
                found.amendments = blocks.amendments(
                    block.amendments, block.encoded, block.signed_header, self.signers
                )
                self.checks[12] = True
            except Malformed as error:
                self.rejects(12, error)
        self.cover()
        if block.signed_header is not None:
            self.checks[6] = not any(d.kind not in NEUTRAL for d in found.differences if d.name[0] != "r")
        if block.received is not None and found.record is not None:
            try:
                found.received = blocks.received(block.received, found.record.restore_key)
                self.checks[11] = True
            except Malformed as error:
                self.rejects(11, error)

    def digest(self, block: Block, image: pixels.Image | None, *, others: bool) -> bool | None:
        """Check 5; None where this reader can't tell. others: the fragments are not those that were sealed, and it is
        known what those decode to."""
        stated, elements = block.statement, self.file.elements
        if stated[4] == "pixels" or others:
            if image is None:
                return None if self.found.reason else False
            held = bool(pixels.digest(image) == stated[26 if others else 5])
            self.decoded = others and held and self.file.syntax not in LOSSY
            if self.decoded:
                follow = self.of_decoding(stated[8])
                self.found.differences = [d for d in self.found.differences if d.tag not in follow]
            return self.decoded if others else held
        if stated[4] == "fragments":
            return bool(pixels.fragments_digest(self.file, block.version) == stated[5])
        if block.version == 1:
            content = header.dataset_1(elements, {*header.IDENTITY_1, *stated[10]})
            return bool(blake3(b"sealgate dataset v1\0" + content).digest() == stated[5])
        whole = bool(blake3(b"sealgate dataset v2\0" + (block.header or b"")).digest() == stated[5])
        changed = any(d.kind == "structure" for d in self.found.differences)
        return whole and not changed and PIXEL_DATA not in elements

    def hidden(self, block: Block) -> None:
        """Checks 7 and 8 of level `full`."""
        stated, envelope = block.statement, self.payload
        if isinstance(envelope, Look) or (self.key is None and self.checks.get(5, True)):
            return
        self.checks[7] = envelope is not None and blake3(envelope).digest() == stated.get(15)
        if stated.get(14) == "locator" and envelope is not None and block.envelope is not None:
            self.checks[7] &= envelope == b"\x1f" + block.envelope[:16]
            envelope = block.envelope[16:]
        if self.checks[7] and self.key is not None and envelope is not None:
            self.open(envelope, self.key, stated.get(10, ()))

    def open(self, envelope: bytes, key: PrivateKey, fields: Iterable[int] = ()) -> None:
        """Check 8. fields: those that the statement covers (version 1)."""
        elements = self.file.elements
        try:
            self.found.record = record.read(record.open_envelope(envelope, key))
        except Malformed as error:
            self.rejects(8, error)
            return
        tags = record.fields_that_differ(self.found.record, elements, header.context(elements), fields)
        self.found.differences += [Difference(tag, self.kind(tag), f"record {tag:08X}") for tag in tags]
        self.checks[8] = not tags  # `cover` may turn it

    def likeness(self, image: pixels.Image | None, stated: dict[int, Any]) -> None:
        """Check 10, by the record, else by the statement."""
        opened = self.found.record
        if image is not None and opened is not None and opened.likeness is not None:
            self.checks[10] = pixels.is_like(image, opened.restore_key, opened.likeness)
        elif image is not None and 25 in stated:
            self.checks[10] = pixels.is_like(image, stated[9], stated[25])

    def is_lossy_copy(self, block: Block, image: pixels.Image) -> bool:
        stated, payload = block.statement, self.checks.get(7)
        if block.tiles is None or 19 not in stated or not self.checks.get(10, payload):
            return False
        if payload is False and isinstance(self.payload, bytes):
            return False
        if image.above == "other":
            return False
        changed, content = pixels.tiles_changed(image, stated[19], block.tiles)
        if self.file.syntax in LOSSY or self.file.text(LOSSY_IMAGE_COMPRESSION) == "01":
            return changed > 1 and changed >= 0.5 * content
        return changed > 1 and changed >= 0.75 * content and (changed >= 48 or payload is True)

    def cover(self) -> None:
        """Puts aside the differences that amendments cover."""
        found, present = self.found, self.present.elements
        ends = {c.tag: c.after for amendment in found.amendments for c in amendment.corrections}
        covered = {tag for tag, digest in ends.items() if present.get(tag, b"") == digest}
        known = {d.tag for d in found.differences}
        found.differences += [
            Difference(tag, class_of(tag), f"{tag:08X}") for tag in sorted(ends.keys() - covered - known)
        ]
        found.amended = [d for d in found.differences if d.tag in covered]
        found.differences = [d for d in found.differences if d.tag not in covered]
        if 8 in self.checks and found.record is not None:
            self.checks[8] = not any(d.name.startswith("record") for d in found.differences)

    def verdict(self, block: Block | None) -> str | None:
        """The first line that applies; None where this reader can't tell."""
        found, failed = self.found, self.found.failed
        if block is None:
            if 10 in failed:
                return "tampered"
            # Another instance of the same is none.
            if any(d.kind == "identity" and d.tag != SOP_INSTANCE for d in found.differences):
                return "misidentified"
            if isinstance(self.payload, Look):
                return None if PIXEL_DATA in self.file.elements else "unsealed"
            return "unsealed" if self.payload is None else "stripped"
        if not block.statement:
            return "tampered"
        if not self.trusted:
            return "unknown-signer"
        if failed & {0, 1, 2, 3, 12}:
            return "tampered"
        if 5 not in self.checks:
            return None
        if 5 in failed and not self.lossy:
            needs_payload = block.statement[2] == "full" and isinstance(self.payload, Look)
            open_question = needs_payload and 10 not in self.checks and block.statement[4] == "pixels"
            return None if open_question else "tampered"
        kinds = {d.kind for d in found.differences if d.tag not in self.follow}
        for kind, verdict in (("structure", "tampered"), ("identity", "misidentified")):
            if kind in kinds:
                return verdict
        if kinds - NEUTRAL:
            return "altered"
        if self.lossy or found.amended:
            return "lossy" if self.lossy else "amended"
        same = self.file.syntax == block.statement[8] and not self.decoded
        return "intact" if same else "transcoded"

    def of_compression(self, block: Block) -> frozenset[int]:
        """What a compressor writes; a Rescale Type that it added to a CT image means what its absence does."""
        added = block.signed_header is not None and RESCALE_TYPE not in block.signed_header.elements
        ct = self.file.text(SOP_CLASS) == CT_IMAGE and self.file.text(RESCALE_TYPE) == "HU"
        return COMPRESSOR | {RESCALE_TYPE} if added and ct else COMPRESSOR

    def of_decoding(self, stated_syntax: str) -> frozenset[int]:
        rgb = stated_syntax in JPEG_IN_COLOUR and self.file.text(PHOTOMETRIC) == "RGB"
        told = LOSS_TOLD if self.file.text(LOSSY_IMAGE_COMPRESSION) == "01" else frozenset()
        return told | {PHOTOMETRIC} if rgb else told


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
