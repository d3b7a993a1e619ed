"""Hide a payload in pixels, reveal it again: the contract of the codec."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError


class Profile(StrEnum):
    """What the mark is tuned for."""

    FIDELITY = "fidelity"  # least change; survives everything that keeps pixel values
    ROBUST = "robust"      # also survives lossy compression, at a higher distortion


class HideFailed(GatewayError):
    """The payload can't be hidden in these pixels so that it comes back; `code` says why."""

    code = "hide-failed"

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code  # "too-small" | "too-flat" | "not-recovered"


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What `hide` made.

    container: like the cover in shape and dtype. cover - container is the integer change.
    hint: small mapping of str to int that speeds up `reveal`; never needed by it.
    """

    container: NDArray[Any]
    codec_id: str
    profile: Profile
    coded_bits: int
    max_change: int
    hint: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Revealed:
    """What `reveal` found. `raw_bit_error_rate` is the share of coded bits that the error correction flipped."""

    payload: bytes
    codec_id: str
    profile: Profile
    coded_bits: int
    raw_bit_error_rate: float


class Codec:
    """Loaded networks; one per worker process, used from one thread at a time."""

    provider: str  # execution provider in use: "CUDAExecutionProvider" or "CPUExecutionProvider"

    @classmethod
    def load(cls, folder: Path | None = None, *, threads: int = 1) -> Codec:
        """Load the networks of `folder` (default: those shipped in the package `onnx_models`).

        Raises ResourceError when a file is missing or its hash differs from its card.
        """
        raise AssertionError("replaced by the codec implementation")

    def hide(
        self,
        cover: NDArray[Any],
        payload: bytes,
        *,
        profile: Profile = Profile.FIDELITY,
        padding: tuple[int, ...] = (),
    ) -> Hidden:
        """Hide `payload` so that `reveal` returns exactly it; proven by revealing before returning.

        cover: (frames, rows, columns, samples), int16/uint16/int8/uint8 stored values; samples 1, or 3 (RGB or YBR).
        payload: 1 .. 1000 bytes. padding: stored values that must not be touched.
        No stored value leaves the cover's own min..max. Raises HideFailed.
        """
        raise AssertionError("replaced by the codec implementation")

    def reveal(self, container: NDArray[Any], *, hint: dict[str, int] | None = None) -> Revealed | None:
        """The payload hidden in `container` (shape and dtype as in `hide`), or None when there is none."""
        raise AssertionError("replaced by the codec implementation")
