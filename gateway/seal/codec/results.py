"""What hiding and revealing return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from gateway.seal.codec.synthesis import Synthesis


class Profile(StrEnum):
    """What the mark is tuned for."""

    FIDELITY = "fidelity"  # least change; survives everything that keeps pixel values
    ROBUST = "robust"  # also survives lossy compression, at a higher distortion


class Frames(StrEnum):
    """Where the payload of a multi-frame image goes."""

    FIRST = "first"  # once, spread over as many leading frames as it needs
    EVERY = "every"  # into each frame that has room, so that a single exported frame still tells its patient


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What `hide` made.

    container: like the cover in shape and dtype. max_change: largest change of a stored value.
    hint: small mapping of str to int that speeds up `reveal`; never needed by it.
    synthesis: what explains the change, all but what the limits of the image cut off; None where nothing does.
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
    """What `reveal` found. `raw_bit_error_rate`: share of the written places that read wrong before correction."""

    payload: bytes
    codec_id: str
    profile: Profile
    coded_bits: int
    raw_bit_error_rate: float
    hint: dict[str, int]
