"""Give back the original of a sealed object, proven by its digest before it is returned."""

from __future__ import annotations

from typing import overload

from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import OtherRecipient, SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import RecipientKey
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.codec import Codec
from gateway.seal.examination import Examination
from gateway.seal.findings import Restoration
from gateway.seal.opening import envelope_of, open_record, undone


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
    """The original file, or None and why not; never raises for bad objects.

    Pixel data comes back bit for bit. The private block and what sealing wrote into the header are removed. The
    transfer syntax stays the one the object has now. An object of level digest only loses its block, after its
    digest was compared; if the object was not in memory, its original is not either.

    examination: of the sealed object, new or already used by `verify_examined`.
    """
    try:
        return _restored(examination, recipient_key)
    except UnreadableObject:
        return None, _refused("unreadable")


def _restored(examination: Examination, key: RecipientKey) -> tuple[ByteSource | None, Restoration]:
    """Raises UnreadableObject when a part of the object that is needed can't be parsed."""
    file, attestation = examination.file, examination.attestation
    if isinstance(attestation.objection, UnreadableObject):
        raise attestation.objection
    block, statement = attestation.block, attestation.statement
    if attestation.objection is not None or block is None or statement is None:
        return None, _refused("block-damaged" if private_block.has_block(file) else "unsealed")
    if statement.level == Level.DIGEST:
        return _without_block(examination, statement.digest)
    if examination.image is None or examination.payload is None or examination.revealed is None:
        return None, _refused("nothing-hidden")
    if not statement.names_payload(examination.revealed.payload):
        return None, _refused("nothing-hidden")
    try:
        record = open_record(envelope_of(examination.payload, block), key)
    except SealBroken as error:
        return None, _refused("other-key" if isinstance(error, OtherRecipient) else "not-opened")
    try:
        original, original_digest = undone(file, *examination.image, block, record.restore_key)
    except (SealBroken, UnsupportedPixels):
        return None, _refused("changed-since")
    return original, Restoration(restored=True, reason="proven", original_digest=original_digest.hex())


def _without_block(examination: Examination, sealed_digest: bytes) -> tuple[ByteSource | None, Restoration]:
    """The original of level digest. Raises UnreadableObject."""
    try:
        unchanged = examination.content_digest == sealed_digest
    except UnsupportedPixels:
        unchanged = False
    if not unchanged:
        return None, _refused("changed-since")
    original = examination.file.rewritten(private_block.removal(examination.file))
    return original, Restoration(
        restored=True, reason="pixels-untouched", original_digest=sealed_digest.hex()
    )


def _refused(reason: str) -> Restoration:
    return Restoration(restored=False, reason=reason)
