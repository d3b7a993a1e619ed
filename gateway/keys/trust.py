"""The signers whose seals are believed, and for which time.

A signer's public key `NAME.pub` (or `NAME.pem`) may have a `NAME.toml` beside it:

    not_before = 2026-01-01          # a day (UTC), or a moment with its offset from UTC
    not_after = 2027-12-31           # this day included
    [revoked]
    date = 2026-06-01                # seals of this day and later are not believed
    reason = "gateway stolen"

All entries are optional. Several keys may be trusted at the same time, so that signers can be replaced.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
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
    """The time for which a signer is believed, in seconds since 1970-01-01T00:00:00Z. None is no limit.

    not_before, not_after: the first and the last second.
    revoked_at: seals of this second and later are not believed.
    reason: of the revocation.
    """

    not_before: int | None = None
    not_after: int | None = None
    revoked_at: int | None = None
    reason: str = ""

    def objection(self, sealed_at: int) -> str | None:
        """Why a seal of this time is not believed; None when it is."""
        if self.revoked_at is not None and sealed_at >= self.revoked_at:
            return f"after the signer was revoked on {moment(self.revoked_at)}{self._because}"
        if self.not_before is not None and sealed_at < self.not_before:
            return f"before the signer is valid, from {moment(self.not_before)}"
        if self.not_after is not None and sealed_at > self.not_after:
            return f"after the signer was valid, until {moment(self.not_after)}"
        return None

    @property
    def remark(self) -> str:
        """What should be told about a seal that is believed; empty when there is nothing to tell."""
        if self.revoked_at is None:
            return ""
        return f"the signer was revoked later, on {moment(self.revoked_at)}{self._because}"

    @property
    def _because(self) -> str:
        return f" ({self.reason})" if self.reason else ""

    def and_also(self, other: Validity) -> Validity:
        """The stricter of both: a key may be named twice, and no revocation may get lost by that."""
        revoked = [validity for validity in (self, other) if validity.revoked_at is not None]
        first = min(revoked, key=lambda validity: validity.revoked_at or 0, default=self)
        starts = [start for start in (self.not_before, other.not_before) if start is not None]
        ends = [end for end in (self.not_after, other.not_after) if end is not None]
        return Validity(
            not_before=max(starts, default=None),
            not_after=min(ends, default=None),
            revoked_at=first.revoked_at,
            reason=first.reason,
        )


@dataclass(frozen=True)
class TrustedSigner:
    """A public key and the time for which it is believed."""

    public: Ed25519PublicKey = field(repr=False)
    validity: Validity = Validity()

    @property
    def key_id(self) -> bytes:
        return signer_id(self.public)


class TrustedSigners:
    """The signers whose seals are believed."""

    def __init__(self, signers: Iterable[TrustedSigner]) -> None:
        self._by_id: dict[bytes, TrustedSigner] = {}
        for signer in signers:
            known = self._by_id.get(signer.key_id)
            validity = known.validity.and_also(signer.validity) if known else signer.validity
            self._by_id[signer.key_id] = TrustedSigner(signer.public, validity)

    def find(self, key_id: bytes) -> TrustedSigner | None:
        """The signer of this id; None when it is not trusted."""
        return self._by_id.get(key_id)

    def with_key(self, public: Ed25519PublicKey) -> TrustedSigners:
        """These and one more, which is believed for ever unless its validity is known already."""
        return TrustedSigners([*self._by_id.values(), TrustedSigner(public)])

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[TrustedSigner]:
        return iter(self._by_id.values())

    def __repr__(self) -> str:
        return f"TrustedSigners({', '.join(sorted(key_id.hex() for key_id in self._by_id))})"


def moment(seconds: int) -> str:
    """A time as ISO 8601 in UTC. A statement may name any number: one that no calendar has is shown as it is.

    seconds: since 1970-01-01T00:00:00Z.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def validity_of(key_file: Path) -> Validity:
    """What the TOML file beside a public key says; without such a file there are no limits.

    Raises KeyFileError when the file can't be read, or an entry is wrong.
    """
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
    validity = Validity(
        not_before=_seconds(content.get("not_before"), path, "not_before"),
        not_after=_seconds(content.get("not_after"), path, "not_after", end=True),
        revoked_at=_seconds(revoked.get("date"), path, "revoked.date"),
        reason=reason,
    )
    first, last = validity.not_before, validity.not_after
    if first is not None and last is not None and first > last:
        raise _wrong(path, "not_before is later than not_after")
    return validity


def check_no_orphans(folder: Path) -> None:
    """Refuse a validity without its key: it would revoke nobody, and its name is probably misspelt.

    Raises KeyFileError when there is one.
    """
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
    """A time in seconds since 1970-01-01T00:00:00Z; None when there is no value.

    end: of a day, take the last second and not the first.
    Raises KeyFileError when the value is no date.
    """
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
