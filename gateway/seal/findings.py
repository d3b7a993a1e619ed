"""What verification says: one verdict, and the numbered checks of FORMAT.md that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.seal.block.digest import Tile


class Verdict(StrEnum):
    INTACT = "intact"
    TRANSCODED = "transcoded"  # losslessly re-encoded; the digest still holds
    MISIDENTIFIED = "misidentified"  # the header's identity is not the sealed one
    LOSSY = "lossy"  # changed all over as by compression or filtering; the record came back
    TAMPERED = "tampered"
    STRIPPED = "stripped"  # the private block is gone, the record is in the pixels
    UNKNOWN_SIGNER = "unknown-signer"
    UNSEALED = "unsealed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Check:
    """One check that was made. detail: for people, free of patient data."""

    n: int
    name: str
    ok: bool
    detail: str


CHECKS = {
    1: "object",
    2: "block",
    3: "signature",
    4: "instance",
    5: "digest",
    6: "header",
    7: "payload",
    8: "record",
    9: "restoring",
    10: "likeness",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """header_differences: {keyword, hidden, header}; hidden is None when only its digest is known.

    tampered_tiles: (frame, row, column, height, width), counted from 0. record: keyword -> text, with the
    key only. shortened: fields of the record that were cut.
    """

    sop_instance_uid: str
    verdict: Verdict
    level: str | None = None
    checks: tuple[Check, ...] = ()
    header_differences: tuple[dict[str, str | None], ...] = ()
    tampered_tiles: tuple[Tile, ...] = ()
    record: dict[str, str] | None = None
    shortened: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True only when the object is what was sealed."""
        return self.verdict in {Verdict.INTACT, Verdict.TRANSCODED}

    def to_json(self) -> dict[str, Any]:
        """The keys of `sealgate verify --json` without `path`; `record` and `shortened` only when there is a
        record.
        """
        found: dict[str, Any] = {
            "sop_instance_uid": self.sop_instance_uid,
            "verdict": self.verdict.value,
            "level": self.level,
            "checks": [{"n": c.n, "name": c.name, "ok": c.ok, "detail": c.detail} for c in self.checks],
            "header_differences": [dict(difference) for difference in self.header_differences],
            "tampered_tiles": [list(tile) for tile in self.tampered_tiles],
        }
        if self.record is not None:
            found["record"] = dict(self.record)
            if self.shortened:
                found["shortened"] = list(self.shortened)
        return found


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """found: a record came out. mode: how it was hidden, None when nothing was found in the pixels.

    reason: a code word. raw_bit_error_rate: share of coded bits read wrong before correction.
    """

    found: bool
    reason: str
    mode: str | None = None
    record: dict[str, str] | None = None
    raw_bit_error_rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """original_digest: 64 hex digits, of the original pixels; it was compared with what is returned."""

    restored: bool
    reason: str
    original_digest: str | None = None
