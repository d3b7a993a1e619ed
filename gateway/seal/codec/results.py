"""What hiding and revealing return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from gateway.seal.codec.synthesis import Synthesis


class Profile(StrEnum):
    """What hiding is tuned for."""

    # The least change. The payload survives everything that keeps pixel values.
    FIDELITY = "fidelity"
    # The payload also survives lossy compression, at a higher distortion.
    ROBUST = "robust"


class Frames(StrEnum):
    """Where the payload of a multi-frame image goes."""

    # Once, spread over as many leading frames as it needs.
    FIRST = "first"
    # Into each frame that has room, so that a single exported frame still tells its patient.
    EVERY = "every"


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """The result of hiding.

    container: the changed image, like the cover in shape and dtype.
    codec_id: of the networks that hid the payload.
    profile: of the same.
    coded_bits: number of bits that were written.
    max_change: largest change of a stored value.
    hint: speeds up `reveal`, which never needs it.
    synthesis: explains the change, except for what the limits of the image cut off; None where nothing does.
    """

    container: NDArray[Any]
    codec_id: str
    profile: Profile
    coded_bits: int
    max_change: int
    hint: dict[str, int]
    synthesis: Synthesis | None = None


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """The result of revealing.

    payload: the bytes that were hidden.
    codec_id, profile: of the networks that read them.
    coded_bits: number of bits that were written.
    raw_bit_error_rate: share of the written places that were read wrong before correction, 0 .. 1.
    hint: speeds up `reveal`.
    """

    payload: bytes
    codec_id: str
    profile: Profile
    coded_bits: int
    raw_bit_error_rate: float
    hint: dict[str, int]
