"""What a sealing is given and what it says it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.dicom.lazy_bytes import ByteSource
from gateway.keys import Recipient, Signer
from gateway.seal.codec import Codec, Frames, Profile
from gateway.seal.documenting import Device
from gateway.seal.record.fields import DEFAULT_FIELDS

Entropy = Callable[[int], bytes]
Reopen = Callable[
    [ByteSource], tuple[ByteSource | None, str]
]  # the original under a seal, or None and why not


@dataclass(frozen=True, kw_only=True)
class SealOptions:
    """fields: DICOM keywords of the record. accept_syntaxes: what the destination takes, None when unknown.

    identity: keep the SOP Instance UID, so that references stay valid, or derive a new one (PS3.3
    C.7.6.1.1.2). sealed: what becomes of an object that carries a seal (FORMAT.md, "Overwriting"). look: where a
    record whose block was removed is searched: in every image, or only in those whose header tells of a sealing.
    frames: where the record of a multi-frame image goes.
    """

    profile: Profile = Profile.FIDELITY
    fields: tuple[str, ...] = DEFAULT_FIELDS
    identity: Literal["keep", "derive"] = "keep"
    device: Device = field(default_factory=Device)
    accept_syntaxes: tuple[str, ...] | None = None
    sealed: Literal["keep", "reseal", "refuse"] = "keep"
    look: Literal["always", "traces"] = "always"
    frames: Frames = Frames.FIRST

    @property
    def identity_fields(self) -> tuple[str, ...]:
        """The fields, and always the one that binds the record to its object."""
        return self.fields if "SOPInstanceUID" in self.fields else (*self.fields, "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class SealResult:
    """What was done.

    psnr_range_db: dB with the range of the image as peak; None when the pixels were not changed.
    max_change: stored values. digest: 64 hex digits. steps_ms: step -> milliseconds. resealed: an earlier seal was
    undone first. fallback: why the pixels hold a locator and not the envelope. shortened: fields of the record that
    were cut at 255 bytes.
    """

    sop_instance_uid: str
    level: str
    reason: str
    mode: str | None = None
    payload_bits: int | None = None
    coded_bits: int | None = None
    psnr_range_db: float | None = None
    max_change: int | None = None
    digest: str | None = None
    seal_ms: float = 0.0
    steps_ms: dict[str, float] = field(default_factory=dict)
    restoring_bytes: int = 0
    resealed: bool = False
    fallback: str | None = None
    shortened: tuple[str, ...] = ()


class Steps:
    """Milliseconds of each named step."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer, self._began = timer, timer()
        self.ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = self._timer()
        try:
            yield
        finally:
            self.ms[name] = round(self.ms.get(name, 0.0) + (self._timer() - began) * 1e3, 3)

    @property
    def total(self) -> float:
        return round((self._timer() - self._began) * 1e3, 3)


@dataclass(frozen=True)
class SealContext:
    """What every step of one sealing needs."""

    recipient: Recipient
    signer: Signer
    codec: Codec
    options: SealOptions
    now: datetime
    entropy: Entropy
    steps: Steps
    reopen: Reopen | None = None


class NotEmbedded(Exception):  # not an error: the object falls back to level digest
    """The pixels can't carry a record; `reason` is a word of FORMAT.md, "Reasons"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeptAsIs(Exception):  # not an error: the object gets level pass
    """The object carries a seal that stays; `reason` is a word of FORMAT.md, "Reasons"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
