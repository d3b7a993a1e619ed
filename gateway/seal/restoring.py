"""Give back the original of a sealed object, proven by its digest before it is returned."""

from __future__ import annotations

from typing import overload

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import read
from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import RecipientKey
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.checks import Examination
from gateway.seal.codec import Codec
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
    """The original file, or None and why not; never raises for bad objects.

    Pixel data comes back bit for bit; the private block and what sealing wrote into the header are removed.
    It stays in the transfer syntax it has now. An object of level digest only loses its block, after its
    digest was compared; if it was not in memory, its original is not either.
    """
    try:
        look = Examination(read(data), codec)
        if not look.check_block() or look.block is None or look.statement is None:
            return None, _refused("unsealed" if not private_block.has_block(look.file) else "block-damaged")
        if look.statement.level == Level.DIGEST:
            if not look.check_digest():
                return None, _refused("changed-since")
            original = look.file.rewritten(private_block.removal(look.file))
            return original, Restoration(
                restored=True, reason="pixels-untouched", original_digest=look.statement.digest.hex()
            )
        if look.image is None or not look.check_payload() or look.payload is None:
            return None, _refused("nothing-hidden")
        record = open_record(envelope_of(look.payload, look.block), recipient_key)
    except UnreadableObject:
        return None, _refused("unreadable")
    except SealBroken:
        return None, _refused("not-opened")
    try:
        restored, digest = undone(look.file, *look.image, look.block, record.restore_key)
    except (SealBroken, UnsupportedPixels):
        return None, _refused("changed-since")
    return restored, Restoration(restored=True, reason="proven", original_digest=digest.hex())


def _refused(reason: str) -> Restoration:
    return Restoration(restored=False, reason=reason)
