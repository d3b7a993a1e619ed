"""The results of verifying, extracting and restoring; a verdict comes with the numbered checks of FORMAT.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.seal.block.digest import Tile


class Verdict(StrEnum):
    """What an object is, in one word."""

    INTACT = "intact"
    # Encoded anew without loss; the digest still holds.
    TRANSCODED = "transcoded"
    # Elements differ, and a signed amendment covers every difference.
    AMENDED = "amended"
    # An element that decides what is shown, what is measured or where it comes from is not the sealed one.
    ALTERED = "altered"
    # The identity in the header is not the sealed one.
    MISIDENTIFIED = "misidentified"
    # Changed all over, as by compression or filtering.
    LOSSY = "lossy"
    TAMPERED = "tampered"
    # The private block is gone, and the record is in the pixels.
    STRIPPED = "stripped"
    UNKNOWN_SIGNER = "unknown-signer"
    UNSEALED = "unsealed"
    UNREADABLE = "unreadable"


# The object is what was sealed, or was corrected by somebody who is trusted and said so. Exit codes, routes and the
# demo ask for these.
GOOD = frozenset({Verdict.INTACT, Verdict.TRANSCODED, Verdict.AMENDED})


# What a report of a seal of version 1 says beside its verdict.
NOT_COVERED_BY_VERSION_1 = (
    "format version 1 covers the pixels, the identity fields and two UIDs; "
    "not how the image is displayed, scaled or placed"
)


@dataclass(frozen=True)
class Check:
    """One check that was made.

    n: number in FORMAT.md.
    name: of the check, one word.
    ok: whether it held.
    detail: for people, free of patient data.
    """

    n: int
    name: str
    ok: bool
    detail: str


CHECKS = {
    0: "reading",
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
    11: "received",
    12: "amendments",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What verification found out.

    sop_instance_uid: as the header has it; empty when the object can't be parsed.
    verdict: drawn from the checks.
    level: as the statement has it; None without one.
    checks: those that were made, in order.
    header_differences: each {class, keyword, hidden, sealed, header}; hidden and sealed are the value that was sealed,
        None when only its digest is known. Also path, within a sequence; frames, in which it differs, from 0; and
        amended, when a signed amendment covers the difference.
    lossy: whether it is a copy compressed with loss, whatever else the verdict names.
    tampered_tiles: each (frame, row, column, height, width), counted from 0.
    record: keyword -> text; None when it was not opened.
    shortened: keywords of record fields that were cut.
    format_version: of the seal; None without one.
    amendments: each {keyword, from, to, reason, by, at}, in the order in which they were signed.
    standard_signatures: each {uid, state, detail, signer, trusted, signed_at, time_stamp, stamped_at, of_this_seal,
        changed}: digital signatures after PS3.15 Annex C, which change no verdict.
    amended: tags of the elements whose difference a signed amendment covers.
    """

    sop_instance_uid: str
    verdict: Verdict
    level: str | None = None
    checks: tuple[Check, ...] = ()
    header_differences: tuple[dict[str, Any], ...] = ()
    tampered_tiles: tuple[Tile, ...] = ()
    lossy: bool = False
    record: dict[str, str] | None = None
    shortened: tuple[str, ...] = ()
    format_version: int | None = None
    amendments: tuple[dict[str, Any], ...] = ()
    standard_signatures: tuple[dict[str, Any], ...] = ()
    amended: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """True only when the object is what was sealed, or was corrected under signature."""
        return self.verdict in GOOD

    def to_json(self) -> dict[str, Any]:
        """The keys of `sealgate verify --json` without `path`. `record` is left out when it was not opened."""
        keys: dict[str, Any] = {
            "sop_instance_uid": self.sop_instance_uid,
            "verdict": self.verdict.value,
            "level": self.level,
            "checks": [
                {"n": check.n, "name": check.name, "ok": check.ok, "detail": check.detail}
                for check in self.checks
            ],
            "header_differences": [dict(difference) for difference in self.header_differences],
            "tampered_tiles": [list(tile) for tile in self.tampered_tiles],
            "format_version": self.format_version,
        }
        if self.format_version == 1:
            keys["not_covered"] = NOT_COVERED_BY_VERSION_1
        if self.amendments:
            keys["amendments"] = [dict(amendment) for amendment in self.amendments]
        if self.standard_signatures:
            keys["standard_signatures"] = [dict(signature) for signature in self.standard_signatures]
        if self.record is not None:
            keys["record"] = dict(self.record)
            if self.shortened:
                keys["shortened"] = list(self.shortened)
        return keys


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What came out of the pixels.

    found: whether a record came out.
    reason: a code word.
    mode: "envelope" or "locator", whichever the pixels hold; None when they hold nothing.
    record: keyword -> text; None when it was not opened.
    raw_bit_error_rate: share of the coded bits that were read wrong before correction.
    recipient_id: of the key that would open the record, in hex; None unless the reason is other-key.
    """

    found: bool
    reason: str
    mode: str | None = None
    record: dict[str, str] | None = None
    raw_bit_error_rate: float | None = None
    recipient_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Whether the original came back.

    restored: whether it did.
    reason: a code word.
    original_digest: 64 hex digits, of the original's content; it was compared with what is returned.
    whole: whether the data set is the one received, byte for byte; otherwise its pixels, and its header as far as it
        was kept.
    verdict: of the object it was restored from; None when that was not verified.
    """

    restored: bool
    reason: str
    original_digest: str | None = None
    whole: bool = False
    verdict: Verdict | None = None

    @property
    def verified(self) -> bool:
        """Whether the object that this was restored from verified."""
        return self.verdict in GOOD
