"""One entry of the ledger: what was sealed, in 106 bytes without patient data. LEDGER.md has the table of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from gateway.errors import LedgerBroken
from gateway.keys.trust import moment

VERSION = 1
_FORM = struct.Struct(">BBQ8s32s32s8s8s8s")
ENTRY_BYTES = _FORM.size
_LEVELS = {"full": 1, "digest": 2}
_LEVEL_NAMES = {number: name for name, number in _LEVELS.items()}
# Where the pseudonym of the instance stands, for those who look through many entries.
INSTANCE_AT = slice(82, 90)
SERIES_AT = slice(90, 98)
STUDY_AT = slice(98, 106)
# For a UID that the object does not have.
NO_PSEUDONYM = bytes(8)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """What was sealed.

    level: "full" or "digest".
    sealed_at: as the statement has it, seconds since 1970-01-01T00:00:00Z.
    signer_id: 8 bytes.
    digest: that of the statement, which is also in the object as text; 32 bytes.
    statement: BLAKE3 of the signed statement, 32 bytes. It names this sealed version and no other.
    instance, series, study: pseudonyms of the UIDs in the sealed object, 8 bytes each; zeros for a UID that is missing.
    """

    level: str
    sealed_at: int
    signer_id: bytes
    digest: bytes
    statement: bytes
    instance: bytes
    series: bytes
    study: bytes

    def encode(self) -> bytes:
        return _FORM.pack(
            VERSION,
            _LEVELS[self.level],
            self.sealed_at,
            self.signer_id,
            self.digest,
            self.statement,
            self.instance,
            self.series,
            self.study,
        )

    @classmethod
    def decode(cls, data: bytes) -> LedgerEntry:
        """Raises LedgerBroken when the bytes are no entry of a known version."""
        if len(data) != ENTRY_BYTES or data[0] != VERSION:
            raise LedgerBroken("an entry has an unknown version or a wrong length")
        _, level, sealed_at, *others = _FORM.unpack(data)
        if level not in _LEVEL_NAMES:
            raise LedgerBroken("an entry has an unknown level")
        names = ("signer_id", "digest", "statement", "instance", "series", "study")
        return cls(level=_LEVEL_NAMES[level], sealed_at=sealed_at, **dict(zip(names, others, strict=True)))

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "sealed_at": moment(self.sealed_at),
            "signer": self.signer_id.hex(),
            "digest": self.digest.hex(),
            "statement": self.statement.hex(),
            "instance": self.instance.hex(),
            "series": self.series.hex(),
            "study": self.study.hex(),
        }
