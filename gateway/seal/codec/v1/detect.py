"""Find, from soft bits alone, whether something is hidden and how long its code is.

A payload fills the places from the first on. What lies before its end looks different from what lies behind: written
bits are balanced and certain, unwritten ones follow the host. Every code length is scored by the log-likelihood that
the change happens there; the error correction and the CRC decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import RUNGS, Rung, unframe
from gateway.seal.codec.v1.places import gather

HEAD = 2048  # places a reader looks at first, written and reference alike
_HEADS = (240, 960)  # usable ones among them that are counted; no rung is shorter than the first
_EVIDENCE = 12.0  # nats by which they must speak for a mark, when the reference is large
_BINS = 9  # of tanh(logit / 2), -1 .. 1
_TRIES = 16  # rungs decoded
_TRIES_DEEP = 40  # when time matters less than the payload
_CERTAIN = 16.0  # logits are cut here, so that one wrong certainty does not outvote many


@dataclass(frozen=True)
class Contrast:
    """How written places differ from unwritten ones: log-likelihood gain of each bin of the logits, in nats."""

    gain: NDArray[np.float64]

    @classmethod
    def between(
        cls, head: NDArray[np.float32], reference: NDArray[np.float32], *, deep: bool = False
    ) -> Contrast | None:
        """From the first places and from places that are never written; None when nothing speaks for a mark.

        deep: take what contrast there is, however weak.

        Logits, positive for bit 0; exactly 0 where a place is unusable.
        """
        usable = head[head != 0]
        if len(usable) < _HEADS[0] // 4:
            return None
        unwritten = np.bincount(_binned(reference[reference != 0]), minlength=_BINS)
        for size in _HEADS:
            seen = np.bincount(_binned(usable[:size]), minlength=_BINS)
            gain = np.log(_share(seen + seen[::-1]) / _share(unwritten))  # whitened bits are balanced
            # by chance alone the sum grows with the noise of both histograms (Wilks 1938)
            if (seen * gain).sum() >= _EVIDENCE * (1 + seen.sum() / max(unwritten.sum(), 1)):
                return cls(gain)
        return cls(gain) if deep else None

    def decode(
        self, logits: NDArray[np.float32], *, deep: bool = False
    ) -> Iterator[tuple[bytes, Rung, float]]:
        """Payloads found in the logits of all fillable places, in order: (payload, rung, raw bit error rate)."""
        running = np.cumsum(np.where(logits != 0, self.gain[_binned(logits)], 0.0))
        fitting = [rung for rung in RUNGS if rung.length <= len(logits)]
        tries = _TRIES_DEEP if deep else _TRIES
        for rung in sorted(fitting, key=lambda rung: -running[rung.length - 1])[:tries]:
            yield from decoded(logits, rung)


def decoded(logits: NDArray[np.float32], rung: Rung) -> Iterator[tuple[bytes, Rung, float]]:
    """The payload written with this rung, if there is one."""
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
