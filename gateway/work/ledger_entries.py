"""From an object to its entry of the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from gateway.dicom.part10 import Part10
from gateway.dicom.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.errors import SealBroken
from gateway.ledger.entry import NO_PSEUDONYM, LedgerEntry
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal.block import private_block, statement


@dataclass(frozen=True)
class LedgerNames:
    """What the ledger calls an object: pseudonyms of its UIDs, 8 bytes each; zeros for a UID that is missing."""

    instance: bytes
    series: bytes
    study: bytes

    @classmethod
    def of(cls, file: Part10, pseudonyms: Pseudonyms) -> LedgerNames:
        """Raises UnreadableObject."""

        def name(tag: int) -> bytes:
            uid = file.text(tag)
            return bytes.fromhex(pseudonyms.of(uid)) if uid else NO_PSEUDONYM

        return cls(name(SOP_INSTANCE_UID), name(SERIES_INSTANCE_UID), name(STUDY_INSTANCE_UID))


def entry_of(file: Part10, pseudonyms: Pseudonyms) -> LedgerEntry:
    """The entry of an object that was just sealed.

    Raises SealBroken when it has no seal.
    """
    stated, encoded = _statement(file)
    names = LedgerNames.of(file, pseudonyms)
    return LedgerEntry(
        level=stated.level,
        sealed_at=stated.sealed_at,
        signer_id=stated.signer_id,
        digest=stated.digest,
        statement=blake3(encoded).digest(),
        instance=names.instance,
        series=names.series,
        study=names.study,
    )


def version_of(file: Part10) -> bytes | None:
    """By which the ledger tells one sealed version from others, 32 bytes; None without a seal that can be read.

    Raises UnreadableObject.
    """
    try:
        _, encoded = _statement(file)
    except SealBroken:
        return None
    return blake3(encoded).digest()


def _statement(file: Part10) -> tuple[statement.Statement, bytes]:
    """Raises SealBroken."""
    block = private_block.find(file)
    if block is None:
        raise SealBroken("the object has no seal", check=private_block.CHECK)
    return statement.decode(block.statement)
