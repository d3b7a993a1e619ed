"""Whose seals are believed, and for which time.

A signer's public key `NAME.pub` (or `NAME.pem`) may have a `NAME.toml` beside it:

    not_before = 2026-01-01          # a day (UTC), or a moment with its offset from UTC
    not_after = 2027-12-31           # this day included
    [revoked]
    date = 2026-06-01                # seals of this day and later are not believed
    reason = "gateway stolen"

All entries are optional. Several keys may be trusted at the same time, which is how signers are replaced.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import KeyFileError
from gateway.keys.identity import signer_id

KNOWN = frozenset({"not_before", "not_after", "revoked"})
KNOWN_OF_REVOKED = frozenset({"date", "reason"})
REASON_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Seconds since 1970-01-01T00:00:00Z; None is no limit. The first and the last second are included."""

    not_before: int | None = None
    not_after: int | None = None
    revoked_at: int | None = None
    reason: str = ""

    def objection(self, sealed_at: int) -> str | None:
        """Why a seal of this time is not believed, or None."""
        if self.revoked_at is not None and sealed_at >= self.revoked_at:
            return f"after the signer was revoked on {moment(self.revoked_at)}{self._because}"
        if self.not_before is not None and sealed_at < self.not_before:
            return f"before the signer is valid, from {moment(self.not_before)}"
        if self.not_after is not None and sealed_at > self.not_after:
            return f"after the signer was valid, until {moment(self.not_after)}"
        return None

    @property
    def remark(self) -> str:
        """What should be known of a believed seal, or nothing."""
        if self.revoked_at is None:
            return ""
        return f"the signer was revoked later, on {moment(self.revoked_at)}{self._because}"

    @property
    def _because(self) -> str:
        return f" ({self.reason})" if self.reason else ""

    def and_also(self, other: Validity) -> Validity:
        """The stricter of both: a key may be named twice, and a revocation must not be lost by that."""
        revoked = [v for v in (self, other) if v.revoked_at is not None]
        first = min(revoked, key=lambda v: v.revoked_at or 0, default=self)
        return Validity(
            not_before=max((t for t in (self.not_before, other.not_before) if t is not None), default=None),
            not_after=min((t for t in (self.not_after, other.not_after) if t is not None), default=None),
            revoked_at=first.revoked_at,
            reason=first.reason,
        )


@dataclass(frozen=True)
class TrustedSigner:
    public: Ed25519PublicKey = field(repr=False)
    validity: Validity = Validity()

    @property
    def key_id(self) -> bytes:
        return signer_id(self.public)


class TrustedSigners:
    """The signers whose seals are believed."""

    def __init__(self, signers: Iterable[TrustedSigner]) -> None:
        self._by_id: dict[bytes, TrustedSigner] = {}
        for one in signers:
            known = self._by_id.get(one.key_id)
            validity = known.validity.and_also(one.validity) if known else one.validity
            self._by_id[one.key_id] = TrustedSigner(one.public, validity)

    def find(self, key_id: bytes) -> TrustedSigner | None:
        return self._by_id.get(key_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"TrustedSigners({', '.join(sorted(key_id.hex() for key_id in self._by_id))})"


def moment(seconds: int) -> str:
    """ISO 8601 in UTC. A statement may name any number: what no calendar has is shown as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def validity_of(key_file: Path) -> Validity:
    """What the TOML file beside a public key says; without one, no limits. Raises KeyFileError."""
    path = key_file.with_suffix(".toml")
    if not path.exists():
        return Validity()
    content = _read(path)
    unknown = [str(name) for name in content.keys() - KNOWN]
    revoked = content.get("revoked", {})
    if not isinstance(revoked, dict):
        raise _wrong(path, "revoked: not a table")
    unknown += [f"revoked.{name}" for name in revoked.keys() - KNOWN_OF_REVOKED]
    if unknown:
        raise _wrong(path, f"unknown: {', '.join(sorted(unknown))}")
    if "revoked" in content and "date" not in revoked:
        raise _wrong(path, "revoked.date: missing")
    reason = revoked.get("reason", "")
    if not isinstance(reason, str) or len(reason) > REASON_MAX or not reason.isprintable():
        raise _wrong(path, f"revoked.reason: not a line of at most {REASON_MAX} characters")
    found = Validity(
        not_before=_seconds(content.get("not_before"), path, "not_before"),
        not_after=_seconds(content.get("not_after"), path, "not_after", end=True),
        revoked_at=_seconds(revoked.get("date"), path, "revoked.date"),
        reason=reason,
    )
    if found.not_before is not None and found.not_after is not None and found.not_before > found.not_after:
        raise _wrong(path, "not_before is later than not_after")
    return found


def check_no_orphans(folder: Path) -> None:
    """A validity whose key is not there revokes nobody: a misspelt name must not pass. Raises KeyFileError."""
    for path in sorted(folder.glob("*.toml")):
        if any(path.with_suffix(suffix).is_file() for suffix in (".pub", ".pem")):
            continue
        if _read(path).keys() & KNOWN:
            raise KeyFileError(
                f"{path} has no public key beside it",
                hint=f"Name it like its key: {path.stem}.pub and {path.stem}.toml.",
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeyFileError(f"can't read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(path, str(error)) from error


def _seconds(value: object, path: Path, name: str, *, end: bool = False) -> int | None:
    """end: of a day, its last second instead of its first."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _wrong(path, f"{name}: a time without its offset from UTC")
        return int(value.timestamp())
    if isinstance(value, date):
        start = datetime.combine(value, time(), UTC)
        return int((start + timedelta(days=1)).timestamp()) - 1 if end else int(start.timestamp())
    raise _wrong(path, f"{name}: not a date")


def _wrong(path: Path, problem: str) -> KeyFileError:
    return KeyFileError(
        f"{path}: {problem}",
        hint="It may hold not_before, not_after and [revoked] with date and reason; dates without quotes.",
    )
