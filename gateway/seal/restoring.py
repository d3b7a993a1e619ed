"""Give back the original of a sealed object, proven by its digest before it is returned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

from gateway.dicom.elements import encode
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.tags import ICON_IMAGE
from gateway.dicom.text import decoded, encoded
from gateway.errors import OtherRecipient, SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import RecipientKey
from gateway.seal.block import private_block
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Level, Statement
from gateway.seal.codec import Codec
from gateway.seal.documenting import Edits
from gateway.seal.examination import Examination
from gateway.seal.findings import Restoration
from gateway.seal.header import received, table
from gateway.seal.header.canonical import KINDS, TEXT_KINDS, HeaderReading, swapped, vr_of
from gateway.seal.header.received import ReceivedHeader
from gateway.seal.opening import envelope_of, open_record, undone, undone_pixels
from gateway.seal.rebuilding import rebuilt
from gateway.seal.record.fields import character_set


@overload
def restore(
    data: bytes, *, recipient_key: RecipientKey, codec: Codec
) -> tuple[bytes | None, Restoration]: ...


@overload
def restore(
    data: ByteSource, *, recipient_key: RecipientKey, codec: Codec
) -> tuple[ByteSource | None, Restoration]: ...


def restore(
    data: ByteSource, *, recipient_key: RecipientKey, codec: Codec
) -> tuple[ByteSource | None, Restoration]:
    """The original file, or None and why not; never raises for bad objects. See `restore_examined`."""
    return restore_examined(Examination(data, codec), recipient_key=recipient_key)


def restore_examined(
    examination: Examination, *, recipient_key: RecipientKey
) -> tuple[ByteSource | None, Restoration]:
    """The original file, or None and why not; never raises for bad objects. Nothing is verified here: see
    `verifying.restore_verified`.

    Where all of it is known, the data set is the one received, byte for byte, in its transfer syntax. Otherwise the
    pixel data comes back bit for bit in the transfer syntax the object has now, and the header as received. Of format
    version 1 the header is the one the object has now, without what sealing wrote into it.

    examination: of the sealed object, new or already used by `verify_examined`.
    """
    try:
        return _restored(examination, recipient_key)
    except UnreadableObject:
        return None, refused("unreadable")


def with_corrections(original: ByteSource, amended: Part10, tags: Iterable[int]) -> ByteSource | None:
    """An original with the elements that were corrected since; None when its character set can't hold one.

    amended: the object that has the corrected elements.
    tags: of the elements.
    Raises UnreadableObject when the original can't be parsed.
    """
    file = read(original)
    source, target = character_set(amended), character_set(file)
    edits: Edits = {}
    for tag in tags:
        element = amended.index.get(tag)
        if element is None:
            edits[tag] = None
            continue
        vr = vr_of(element, HeaderReading.of(amended))
        value = amended.body[element.value : element.end]
        if KINDS[vr] in TEXT_KINDS and source != target:
            text = decoded(value, source)
            translated = None if text is None else encoded(text, target)
            if translated is None:
                return None
            value = translated
        if KINDS[vr] in (b"I", b"F") and amended.encoding.little != file.encoding.little:
            value = swapped(value, vr)
        edits[tag] = encode(tag, vr.encode(), value, file.encoding)
    return file.rewritten(edits)


def refused(reason: str) -> Restoration:
    return Restoration(restored=False, reason=reason)


def _restored(examination: Examination, key: RecipientKey) -> tuple[ByteSource | None, Restoration]:
    """Raises UnreadableObject when a part of the object that is needed can't be parsed."""
    file, attestation = examination.file, examination.attestation
    if isinstance(attestation.objection, UnreadableObject):
        raise attestation.objection
    block, statement = attestation.block, attestation.statement
    if attestation.objection is not None or block is None or statement is None:
        return None, refused("block-damaged" if private_block.has_block(file) else "unsealed")
    if statement.version == 1 and statement.level == Level.DIGEST:
        return _without_block(examination, statement.digest)
    closed = examination.envelope
    if statement.level == Level.FULL:
        revealed = examination.revealed
        if examination.image is None or revealed is None or not statement.names_payload(revealed.payload):
            return None, refused("nothing-hidden")
    if closed is None:
        return None, refused("nothing-hidden")
    try:
        record = open_record(envelope_of(closed, block), key)
    except SealBroken as error:
        return None, refused("other-key" if isinstance(error, OtherRecipient) else "not-opened")
    try:
        if statement.version == 1 and examination.image is not None:
            original, digest = undone(file, *examination.image, block, record.restore_key)
            return original, Restoration(restored=True, reason="proven", original_digest=digest.hex())
        return _rebuilt(examination, block, statement, record.restore_key)
    except (SealBroken, UnsupportedPixels):
        return None, refused("changed-since")


def _rebuilt(
    examination: Examination, block: Block, statement: Statement, restore_key: bytes
) -> tuple[ByteSource | None, Restoration]:
    """The original of format version 2.

    Raises SealBroken or UnsupportedPixels when its pixels don't come back, UnreadableObject when it can't be parsed.
    """
    as_received = received.open_element(block.received, restore_key)
    pixels, digest, reason = None, statement.digest, "pixels-untouched"
    if statement.level == Level.FULL and examination.image is not None:
        shape = examination.image[0]
        facts, original_pixels = undone_pixels(*examination.image, block, restore_key)
        pixels, digest, reason = (shape, original_pixels), facts.original_digest, "proven"
    elif examination.content_digest != statement.digest:
        if not examination.decoded:
            return None, refused("changed-since")
        # Nobody makes the fragments again that were received.
        digest, reason = statement.decoded_digest, "pixels-decoded"
    original, whole = rebuilt(examination.file, as_received, pixels)
    if not whole and not _same_left_out(read(original), as_received, examination, statement):
        # A value as received is not known, and the one at hand is another.
        return None, refused("changed-since")
    return original, Restoration(restored=True, reason=reason, original_digest=digest.hex(), whole=whole)


def _same_left_out(
    original: Part10, as_received: ReceivedHeader, examination: Examination, statement: Statement
) -> bool:
    """Whether the values that the header as received left out have the digests that were sealed.

    Raises UnreadableObject when the original can't be parsed.
    """
    sealed = examination.attestation.table
    if sealed is None:
        return False
    present = table.take(original, statement.header_salt, edition=sealed.edition)
    changed = {change.tag for change in table.changes(sealed, present)}
    if ICON_IMAGE not in examination.file.index:
        # Archives drop icons: the rest comes back without.
        changed.discard(ICON_IMAGE)
    # A private block has one digest: where its group differs, so may the value that is not known.
    return not any(
        tag in changed or (tag >> 16 & 1 and tag & 0xFFFF0000 in changed) for tag in as_received.left_out
    )


def _without_block(examination: Examination, sealed_digest: bytes) -> tuple[ByteSource | None, Restoration]:
    """The original of level digest of format version 1. Raises UnreadableObject."""
    try:
        unchanged = examination.content_digest == sealed_digest
    except UnsupportedPixels:
        unchanged = False
    if not unchanged:
        return None, refused("changed-since")
    original = examination.file.rewritten(private_block.removal(examination.file))
    return original, Restoration(
        restored=True, reason="pixels-untouched", original_digest=sealed_digest.hex()
    )
