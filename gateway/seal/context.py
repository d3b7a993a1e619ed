"""What a sealing is given, and what it reports."""

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

# So many random bytes.
Entropy = Callable[[int], bytes]
# Gives the original of a sealed object, or None and a word of FORMAT.md, "Reasons", that says why not.
Reopen = Callable[[ByteSource], tuple[ByteSource | None, str]]


@dataclass(frozen=True, kw_only=True)
class SealOptions:
    """How to seal.

    profile: what the codec aims at.
    fields: DICOM keywords of the record.
    identity: keep the SOP Instance UID, so that references stay valid, or derive a new one (PS3.3 C.7.6.1.1.2).
    device: the gateway, as the header of a sealed object names it.
    accept_syntaxes: transfer syntaxes that the destination takes; None when they are not known.
    sealed: what becomes of an object that carries a seal already (FORMAT.md, "Overwriting").
    ambiguous: what becomes of an object that standard readers could read in different ways. It is never sealed.
    look: where a record whose private block was removed is searched for: "always" is in every image, "traces" is
        only in those whose header tells of a sealing.
    frames: where the record of a multi-frame image goes.
    """

    profile: Profile = Profile.FIDELITY
    fields: tuple[str, ...] = DEFAULT_FIELDS
    identity: Literal["keep", "derive"] = "keep"
    device: Device = field(default_factory=Device)
    accept_syntaxes: tuple[str, ...] | None = None
    sealed: Literal["keep", "reseal", "refuse"] = "keep"
    ambiguous: Literal["pass", "refuse"] = "pass"
    look: Literal["always", "traces"] = "always"
    frames: Frames = Frames.FIRST

    @property
    def identity_fields(self) -> tuple[str, ...]:
        """The fields, and always the one that binds the record to its object."""
        return self.fields if "SOPInstanceUID" in self.fields else (*self.fields, "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class SealResult:
    """What was done. Fields about hiding are None unless the level is full.

    sop_instance_uid: of the object that is sent on.
    level: full, digest or pass.
    reason: code word for the level.
    mode: "envelope" or "locator", whichever the pixels hold.
    payload_bits: number of bits hidden.
    coded_bits: number of bits after error correction.
    psnr_range_db: dB, with the range of the image as peak; None also when the pixels were not changed.
    max_change: largest change of a pixel, in stored values.
    digest: of what the seal covers, 64 hex digits; None at level pass.
    seal_ms: the whole time, in milliseconds.
    steps_ms: step -> milliseconds.
    restoring_bytes: length of the restoring element.
    resealed: whether an earlier seal was undone first.
    fallback: why the pixels hold a locator and not the envelope; None when they hold the envelope.
    shortened: keywords of record fields that were cut at 255 bytes.
    whole: whether restoring gives back the data set byte for byte, and not only the pixels.
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
    whole: bool = False


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


# No errors of the tree: each of the two only ends in a lower level.
class NotEmbedded(Exception):
    """The pixels can't carry a record: the object gets level digest. `reason` is a word of FORMAT.md, "Reasons"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeptAsIs(Exception):
    """The object carries a seal that stays: it gets level pass. `reason` is a word of FORMAT.md, "Reasons"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
