"""Read what is hidden in a plane: the header at every strength, then the body where the header speaks for a payload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import (
    header,
    ldpc,
    order,
    strength,
)
from gateway.seal.codec.card import Card
from gateway.seal.codec.layout import (
    BITS,
    RUNGS,
    Rung,
    frame,
    unframe,
)
from gateway.seal.codec.networks import Revealer, levelled
from gateway.seal.codec.plane import Plane

# Standard deviations by which a header must stand out. Chance alone hardly reaches 5.
_STANDS_OUT, _STANDS_OUT_DEEP = 5.0, 3.5
# Number of headers whose body is tried.
_TRIES, _TRIES_DEEP = 3, 8
# With more usable places than this, the first part of a header says enough.
_FEW = 160
# Logits are limited to this size, so that one wrong certainty does not outvote many doubts.
_CERTAIN = 16.0


@dataclass(frozen=True)
class Reading:
    """A payload, and how it was written.

    rung: the code length.
    raw_bit_error_rate: share of the usable places that read another bit than was written, 0 .. 1.
    unit: number of the strength, see `strength`; in version 1 its index among those of the card.
    """

    payload: bytes
    rung: Rung
    raw_bit_error_rate: float
    unit: int


@dataclass(frozen=True)
class _Candidate:
    """What a header says at one strength.

    stands_out: standard deviations.
    rung: None where the likeliest word stands for none.
    unit: number of the strength.
    """

    stands_out: float
    rung: Rung | None
    unit: int


class PayloadReader:
    """The leading frames of a plane, read with one pair of networks."""

    def __init__(self, revealer: Revealer, card: Card, plane: Plane, frames: int) -> None:
        self._revealer, self._card = revealer, card
        self._plane, self._frames = plane, frames
        self._count = plane.count(frames)
        self._widths = order.header_widths(self._count)
        self._limits = plane.limits() if card.margin else (0.0, 0.0)

    def read(self, hint: dict[str, int], *, scaled: bool = True, deep: bool = False) -> Iterator[Reading]:
        """Everything that can be read, likeliest first.

        hint: strength and code length to try; without them all are tried.
        scaled: try also strengths that a payload has only after an export of unknown scale.
        deep: try also where little speaks for a payload.
        """
        known = [
            rung for rung in RUNGS if (rung.lift, rung.eighths) == (hint.get("lift"), hint.get("eighths"))
        ]
        unit = hint.get("unit")
        if unit is not None and not abs(unit) <= 16 * strength.STEPS:
            return
        if unit is not None and known:
            yield from self._body(known[0], unit)
            return
        if unit is not None:
            yield from self._at((unit,), deep=deep)
            return
        yield from self._at(strength.rising(self._card, self._plane, self._frames, None)[:1], deep=False)
        yield from self._at(strength.usual(self._card), deep=deep)
        if deep or (scaled and self._plane.pixels.dtype.itemsize == 1):
            yield from self._at(strength.unusual(self._card), deep=deep)

    def _at(self, units: Sequence[int], *, deep: bool) -> Iterator[Reading]:
        for candidate in self._candidates(units, deep=deep):
            readings = list(self._body(candidate.rung, candidate.unit))
            if not readings and self._card.eight_bit:
                for refined in self._candidates(strength.near(candidate.unit), deep=deep)[:1]:
                    readings = list(self._body(refined.rung, refined.unit))
            yield from readings

    def _candidates(self, units: Sequence[int], *, deep: bool) -> list[_Candidate]:
        """What headers say at these strengths: every rung once, those that stand out most first."""
        if not units or self._count * BITS < self._widths[-1]:
            return []
        least, tries = (_STANDS_OUT_DEEP, _TRIES_DEEP) if deep else (_STANDS_OUT, _TRIES)
        candidates, few = self._headers(units, self._widths[0])
        if (
            len(self._widths) > 1
            and (few or deep)
            and not any(candidate.stands_out >= 2 * _STANDS_OUT for candidate in candidates)
        ):
            candidates += self._headers(units, self._widths[1])[0]
        best: dict[Rung | None, _Candidate] = {}
        for candidate in sorted(candidates, key=lambda candidate: candidate.stands_out):
            best[candidate.rung] = candidate
        speaking = [
            candidate
            for candidate in best.values()
            if candidate.stands_out >= least and candidate.rung is not None
        ]
        return sorted(speaking, key=lambda candidate: -candidate.stands_out)[:tries]

    def _headers(self, units: Sequence[int], width: int) -> tuple[list[_Candidate], bool]:
        """The likeliest word at each strength, and whether too few places are usable to expect one.

        One run of the network serves all strengths, because a unit only scales a cell.
        """
        places = order.places(0, width, self._count)
        logits = self._logits(places, [strength.unit_of(unit) for unit in units])
        values, rungs = header.strongest(logits)
        few = bool((logits != 0).sum(axis=1).max() < _FEW)
        return [
            _Candidate(float(value), rung, unit)
            for value, rung, unit in zip(values, rungs, units, strict=True)
        ], few

    def _body(self, rung: Rung | None, unit: int) -> Iterator[Reading]:
        start = self._widths[-1]
        if rung is None or start + rung.length > self._count * BITS:
            return
        places = order.places(start, start + rung.length, self._count)
        llr = np.clip(self._logits(places, [strength.unit_of(unit)])[0], -_CERTAIN, _CERTAIN)
        message = ldpc.decode(order.gather(llr, rung), rung.lift)
        payload = None if message is None else unframe(message)
        if payload is not None:
            yield Reading(payload, rung, _raw_bit_error_rate(payload, llr, rung), unit)

    def _logits(self, places: NDArray[np.int64], units: Sequence[float]) -> NDArray[np.float32]:
        """Logits, (units, places), 0 where a cell can't be used."""
        chosen, row = np.unique(places // BITS, return_inverse=True)
        cells = self._plane.cells(self._frames, chosen)
        usable = self._card.readable(cells, units, *self._limits)
        strengths, rows = np.nonzero(usable)
        scaled = levelled(cells)[rows] / np.array(units, np.float32)[strengths, None]
        logits = np.zeros((len(units), len(chosen), BITS), np.float32)
        logits[strengths, rows] = self._revealer.reveal(scaled, 1.0)
        return logits[:, row, places % BITS]


def _raw_bit_error_rate(payload: bytes, llr: NDArray[np.float32], rung: Rung) -> float:
    """Share of the usable places that read another bit than was written."""
    written = order.spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)
    usable = llr != 0
    return float(((llr < 0) != written)[usable].mean()) if usable.any() else 0.0
