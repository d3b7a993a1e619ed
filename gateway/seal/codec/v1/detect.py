"""Decide from soft bits alone whether something is hidden, and how long its code is.

A payload fills the places from the first on. The places before its end look different from those behind it: written
bits are balanced and certain, unwritten ones follow the image. Every code length is scored by the log-likelihood that
the change happens there. Error correction and CRC decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import RUNGS, Rung, unframe
from gateway.seal.codec.v1.places import gather

# Number of places that a reader reads first, written ones and reference alike.
HEAD = 2048
# Numbers of usable places among them that are counted; no rung is shorter than the first number.
_HEADS = (240, 960)
# Nats by which they must speak for a payload, when the reference is large.
_EVIDENCE = 12.0
# Bins of tanh(logit / 2), -1 .. 1.
_BINS = 9
# Number of rungs that are decoded; more of them when time matters less than the payload.
_TRIES, _TRIES_DEEP = 16, 40
# Logits are limited to this size, so that one wrong certainty does not outvote many doubts.
_CERTAIN = 16.0


@dataclass(frozen=True)
class Contrast:
    """How written places differ from unwritten ones.

    gain: log-likelihood gain of each bin of the logits, in nats.
    """

    gain: NDArray[np.float64]

    @classmethod
    def between(
        cls, head: NDArray[np.float32], reference: NDArray[np.float32], *, deep: bool = False
    ) -> Contrast | None:
        """How the first places differ from places that are never written; None when nothing speaks for a payload.

        head, reference: logits, positive for bit 0, exactly 0 where a place is not usable.
        deep: accept the contrast, however weak it is.
        """
        usable = head[head != 0]
        if len(usable) < _HEADS[0] // 4:
            return None
        unwritten = np.bincount(_binned(reference[reference != 0]), minlength=_BINS)
        for size in _HEADS:
            counts = np.bincount(_binned(usable[:size]), minlength=_BINS)
            # Whitened bits are balanced, so both signs are counted alike.
            gain = np.log(_share(counts + counts[::-1]) / _share(unwritten))
            # By chance alone the sum grows with the noise of both histograms (Wilks 1938).
            if (counts * gain).sum() >= _EVIDENCE * (1 + counts.sum() / max(unwritten.sum(), 1)):
                return cls(gain)
        return cls(gain) if deep else None

    def decode(
        self, logits: NDArray[np.float32], *, deep: bool = False
    ) -> Iterator[tuple[bytes, Rung, float]]:
        """Payloads, likeliest code lengths first, each as (payload, rung, raw bit error rate).

        logits: of all places that can be filled, in order.
        """
        running = np.cumsum(np.where(logits != 0, self.gain[_binned(logits)], 0.0))
        fitting = [rung for rung in RUNGS if rung.length <= len(logits)]
        tries = _TRIES_DEEP if deep else _TRIES
        for rung in sorted(fitting, key=lambda rung: -running[rung.length - 1])[:tries]:
            yield from decoded(logits, rung)


def decoded(logits: NDArray[np.float32], rung: Rung) -> Iterator[tuple[bytes, Rung, float]]:
    """The payload that was written with this rung, if there is one."""
    llr = np.clip(logits[: rung.length], -_CERTAIN, _CERTAIN)
    message = ldpc.decode(gather(llr, rung), rung.lift)
    payload = None if message is None else unframe(message)
    if message is not None and payload is not None:
        yield payload, rung, raw_bit_error_rate(message, llr, rung)


def raw_bit_error_rate(message: NDArray[np.uint8], llr: NDArray[np.float32], rung: Rung) -> float:
    """Share of the usable places that read another bit than was written."""
    written = np.resize(ldpc.encode(message, rung.lift), rung.length)
    usable = llr != 0
    return float(((llr < 0) != written)[usable].mean()) if usable.any() else 0.0


def _binned(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.minimum((np.tanh(logits / 2) + 1) / 2 * _BINS, _BINS - 1).astype(np.int64)


def _share(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    smoothed = counts + 0.5
    return np.asarray(smoothed / smoothed.sum())
