"""Find, from soft bits alone, whether something is hidden and how long its code is.

A payload fills the places from the first on. What lies before its end looks different from what lies behind: written
bits are balanced and certain, unwritten ones follow the host. Every code length is scored by the log-likelihood that
the change happens there; the error correction and the CRC decide.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import RUNGS, Rung, gather, unframe

_HEAD = 240          # places: no rung is shorter
_BINS = 9            # of tanh(logit / 2), -1 .. 1
_EVIDENCE = 25.0     # nats by which the head must differ from what is expected when nothing is written
_TRIES = 6           # rungs decoded for each model of the unwritten places
_CERTAIN = 16.0      # logits are cut here, so that one wrong certainty does not outvote many


def decode(logits: NDArray[np.float32]) -> Iterator[tuple[bytes, Rung, float]]:
    """Payloads found in the logits of all places, in order of filling: (payload, rung, raw bit error rate).

    logits: positive for bit 0; exactly 0 where a place is unusable.
    """
    for rung in _likely_rungs(logits):
        llr = np.clip(logits[: rung.length], -_CERTAIN, _CERTAIN)
        message = ldpc.decode(gather(llr, rung), rung.lift)
        if message is None:
            continue
        payload = unframe(message)
        if payload is not None:
            yield payload, rung, raw_bit_error_rate(message, llr, rung)


def raw_bit_error_rate(message: NDArray[np.uint8], llr: NDArray[np.float32], rung: Rung) -> float:
    """Share of the usable places that read another bit than was written."""
    written = np.resize(ldpc.encode(message, rung.lift), rung.length)
    usable = llr != 0
    return float(((llr < 0) != written)[usable].mean()) if usable.any() else 0.0


def _likely_rungs(logits: NDArray[np.float32]) -> list[Rung]:
    usable = logits != 0
    seen = np.tanh(logits / 2)
    bins = np.minimum(((seen + 1) / 2 * _BINS).astype(np.int64), _BINS - 1)
    head = np.bincount(bins[usable][:_HEAD], minlength=_BINS).astype(np.float64)
    if head.sum() < _HEAD / 4:
        return []
    balanced = _share(head + head[::-1])
    fitting = [rung for rung in RUNGS if rung.length <= len(logits)]
    tail = np.bincount(bins[usable][-max(len(head), int(usable.sum()) // 8) :], minlength=_BINS).astype(np.float64)
    chosen: list[Rung] = []
    for unwritten in (_share(tail), _uniform_phase()):
        gain = np.log(balanced / unwritten)
        if (head * gain).sum() < _EVIDENCE:
            continue
        running = np.cumsum(np.where(usable, gain[bins], 0.0))
        best = sorted(fitting, key=lambda rung: -running[rung.length - 1])[:_TRIES]
        chosen += [rung for rung in best if rung not in chosen]
    return chosen


def _share(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed = counts + 0.5
    return smoothed / smoothed.sum()


def _uniform_phase() -> NDArray[np.float64]:
    """Shares of the bins for a host whose projections fall anywhere in a step, seen by a decoder of usual gain."""
    turn = (np.arange(720) + 0.5) * np.pi / 720
    seen = np.tanh(2.0 * np.cos(turn))
    return _share(np.bincount(np.minimum(((seen + 1) / 2 * _BINS).astype(np.int64), _BINS - 1), minlength=_BINS).astype(np.float64))
