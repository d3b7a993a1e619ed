"""Read what is hidden in a plane: the header at every strength, then, where it speaks for a mark, the body."""

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

_STANDS_OUT = 5.0  # standard deviations; chance alone hardly reaches them
_STANDS_OUT_DEEP = 3.5
_TRIES, _TRIES_DEEP = 3, 8  # headers believed
_FEW = 160  # usable places of a header; where more are, its first part says enough
_CERTAIN = 16.0  # logits are cut here, so that one wrong certainty does not outvote many


@dataclass(frozen=True)
class Reading:
    """A payload and how it was written. unit: number, see `strength` (version 1: index among those of the card)."""

    payload: bytes
    rung: Rung
    raw_bit_error_rate: float
    unit: int


@dataclass(frozen=True)
class _Candidate:
    """What a header says; rung None where its likeliest word stands for none."""

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
        """Everything revealed, at the hinted strength and code length or at all, likeliest first.

        scaled: try also strengths that a mark has only after an export of unknown scale. deep: try also where little
        speaks for a mark.
        """
        known = [r for r in RUNGS if (r.lift, r.eighths) == (hint.get("lift"), hint.get("eighths"))]
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
            found = list(self._body(candidate.rung, candidate.unit))
            if not found and self._card.eight_bit:
                refined = self._candidates(strength.near(candidate.unit), deep=deep)
                found = [r for better in refined[:1] for r in self._body(better.rung, better.unit)]
            yield from found

    def _candidates(self, units: Sequence[int], *, deep: bool) -> list[_Candidate]:
        """What headers say at these strengths, every rung once, most outstanding first."""
        if not units or self._count * BITS < self._widths[-1]:
            return []
        least, tries = (_STANDS_OUT_DEEP, _TRIES_DEEP) if deep else (_STANDS_OUT, _TRIES)
        found, few = self._headers(units, self._widths[0])
        if (
            len(self._widths) > 1
            and (few or deep)
            and not any(c.stands_out >= 2 * _STANDS_OUT for c in found)
        ):
            found += self._headers(units, self._widths[1])[0]
        best: dict[Rung | None, _Candidate] = {}
        for candidate in sorted(found, key=lambda c: c.stands_out):
            best[candidate.rung] = candidate
        speaking = [c for c in best.values() if c.stands_out >= least and c.rung is not None]
        return sorted(speaking, key=lambda c: -c.stands_out)[:tries]

    def _headers(self, units: Sequence[int], width: int) -> tuple[list[_Candidate], bool]:
        """The likeliest word at each strength, and whether too few places are usable to expect one.

        One run serves all strengths: a unit scales a cell and nothing else.
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
        """(units, places) logits, 0 where a cell can't be used."""
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
