"""The way back: from a payload to its record, and from the sealed pixels to the original.

The proof while sealing, verify, extract and restore share it.
"""

from __future__ import annotations

from gateway.dicom.image import PixelFormat, Pixels
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import encoded
from gateway.dicom.syntaxes import writable_syntax
from gateway.errors import SealBroken
from gateway.keys import RecipientKey
from gateway.seal import documenting
from gateway.seal.block import digest, private_block
from gateway.seal.block.private_block import Block
from gateway.seal.record import envelope, record
from gateway.seal.record.envelope import LOCATOR_ID_BYTES, Envelope, Locator
from gateway.seal.record.record import Record
from gateway.seal.undo import restoring_element
from gateway.seal.undo.restoring_element import Facts

# Numbers of checks in FORMAT.md.
PAYLOAD_CHECK, RECORD_CHECK, RESTORED_CHECK = 7, 8, 9


def envelope_of(payload: Envelope | Locator, block: Block | None) -> Envelope:
    """The envelope that a hidden payload is, or points to.

    block: of the same object; None when it has none.
    Raises SealBroken when the payload is a locator and the block does not hold its envelope.
    """
    if isinstance(payload, Envelope):
        return payload
    stored = block.envelope if block else b""
    if not stored:
        raise SealBroken("the pixels hold a locator, and its envelope was removed", check=PAYLOAD_CHECK)
    inner = envelope.parse(stored[LOCATOR_ID_BYTES:])
    if stored[:LOCATOR_ID_BYTES] != payload.locator_id or not isinstance(inner, Envelope):
        raise SealBroken("the envelope in the private block is not the one located", check=PAYLOAD_CHECK)
    return inner


def located(closed: Envelope, locator: Locator) -> bytes:
    """The envelope element of the private block in locator mode."""
    return locator.locator_id + closed.to_payload()


def open_record(closed: Envelope, key: RecipientKey) -> Record:
    """The record in an envelope.

    Raises OtherRecipient when it is encrypted to another key.
    Raises SealBroken when the envelope does not open, or holds something else than a record.
    """
    try:
        return record.unpack(envelope.open_envelope(closed, key))
    except record.RecordDamaged as error:
        raise SealBroken("the envelope opens but holds no record", check=RECORD_CHECK) from error


def undone_pixels(
    shape: PixelFormat, pixels: Pixels, block: Block, restore_key: bytes
) -> tuple[Facts, Pixels]:
    """The facts of the restoring element, and the original pixels, whose digest was compared.

    Raises SealBroken when the restoring element is missing or does not open, or when the digest differs.
    """
    if not block.restoring:
        raise SealBroken("the private block has no restoring element", check=RESTORED_CHECK)
    facts, change = restoring_element.open_element(block.restoring, restore_key, shape.shape)
    original = restoring_element.undo(pixels.samples, change, facts)
    if digest.of_pixels(original.samples, shape) != facts.original_digest:
        raise SealBroken("undoing the change does not give the original pixels", check=RESTORED_CHECK)
    return facts, original


def undone(
    file: Part10, shape: PixelFormat, pixels: Pixels, block: Block, restore_key: bytes
) -> tuple[bytes, bytes]:
    """The original file, and the digest of its pixels, which was compared before anything is returned.

    file, shape, pixels, block: of the sealed object.
    restore_key: from the record.
    Raises SealBroken when the restoring element does not open or the digest differs.
    Raises UnsupportedPixels when the pixels can't be written.
    """
    facts, original = undone_pixels(shape, pixels, block, restore_key)
    syntax = writable_syntax(file.transfer_syntax) or file.transfer_syntax
    edits = private_block.removal(file) | encoded(file, original, shape, syntax)
    edits |= documenting.undocument(file, facts.added, facts.replaced, facts.sop_instance_uid)
    restored = file.edited(
        edits,
        sop_instance_uid=facts.sop_instance_uid or None,
        syntax=syntax if syntax != file.transfer_syntax else None,
    )
    return restored, facts.original_digest
