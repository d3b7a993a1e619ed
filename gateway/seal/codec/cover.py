"""A cover, ready to be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.seal.codec import (
    header,
    ldpc,
    order,
    strength,
)
from gateway.seal.codec.card import Card
from gateway.seal.codec.layout import (
    BITS,
    PIXELS,
    Rung,
    frame,
    rungs_for,
)
from gateway.seal.codec.plane import Plane

_LONGER = 3  # code lengths offered
_BUDGET_DB = 50.5  # a robust mark is repeated until it costs this ...
_REPEATED = 2.5  # ... or every bit of the code can be read so often
_ROBUST = 1.0  # parts of the code that must be readable, for a robust mark ...
_SUFFICIENT = 0.8  # ... where pixels are kept, with something left for damage ...
_HEADER_LEAST = 96  # usable places that a header should have; where fewer are, it takes more of them
_LEAST = 0.62  # ... and at all: the code has rate 1/2


class HideFailed(GatewayError):
    """The payload can't be hidden in these pixels so that it comes back; `code` says why."""

    hint = "Shorten the record, or accept level digest for such images."

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code  # "too-small" | "too-flat" | "not-recovered"


@dataclass(frozen=True)
class Attempt:
    """One way to write a payload. unit: number, see `strength`; width: places of the header."""

    rung: Rung
    width: int
    unit: int


@dataclass(frozen=True)
class Plan:
    """What the hiding network is asked: touched cells by number, and for each of them its inputs."""

    touched: NDArray[np.int64]
    cells: NDArray[np.float32]
    secret: NDArray[np.float32]
    up: NDArray[np.float32]
    down: NDArray[np.float32]


class CoverCells:
    """The leading frames of a cover, cut into cells, ready to be written."""

    def __init__(
        self,
        card: Card,
        plane: Plane,
        frames: int,
        padding: tuple[int, ...],
        window: tuple[float, float] | None,
    ) -> None:
        self._card, self._plane, self._frames = card, plane, frames
        self._padding, self._window = padding, window
        self._count = plane.count(frames)
        self._widths = order.header_widths(self._count)
        self._limits = plane.limits()

    def attempts(self, payload: bytes) -> Iterator[Attempt]:
        """Ways to write the payload, best first. Raises HideFailed when there is none."""
        room = self._count * BITS - self._widths[-1]
        offered = [rung for rung in rungs_for(len(payload)) if rung.length <= room]
        if not offered:
            raise HideFailed("the image has too few places for the payload", code="too-small")
        found = False
        turns = min(self._count, -(-(self._widths[-1] + offered[-1].length) // order.GROUP))
        cells = self._plane.cells(self._frames, order.cells(0, turns, self._count))
        units = strength.rising(self._card, self._plane, self._frames, self._window)
        # a window that shows next to nothing of the image can't be survived, but the image can still be marked
        for window in dict.fromkeys((self._window, None)):
            for unit in units:
                for attempt in self._at(unit, offered, cells, window):
                    found = True
                    yield attempt
        if not found:
            raise HideFailed("too much of the image is flat", code="too-flat")

    def _believed(
        self, cells: NDArray[np.float32], unit: float, window: tuple[float, float] | None
    ) -> NDArray[np.bool_]:
        """Which cells a reader will believe, also after an export of the window."""
        usable = self._card.readable(cells, [unit], *self._limits)
        if window is not None and self._card.margin:
            usable &= self._card.readable(cells, [unit], *window)
        believed: NDArray[np.bool_] = usable[0]
        return believed

    def _at(
        self,
        unit: int,
        offered: list[Rung],
        cells: NDArray[np.float32],
        window: tuple[float, float] | None,
    ) -> list[Attempt]:
        """Code lengths at one strength: the shortest that suffices, or the longest affordable, and a few longer."""
        start = self._widths[-1]
        arrival = order.UsablePlaces(self._believed(cells, strength.unit_of(unit), window))
        width = next((w for w in self._widths if arrival.until(w) >= _HEADER_LEAST), start)
        shares = [
            (arrival.until(start + rung.length) - arrival.until(start)) / ldpc.code_bits(rung.lift)
            for rung in offered
        ]
        wanted = _ROBUST if self._card.eight_bit else _SUFFICIENT
        first = next((i for i, share in enumerate(shares) if share >= wanted), len(shares) - 1)
        if self._card.eight_bit:
            writable = self._card.writable(cells, strength.unit_of(unit), *self._limits)
            written = order.UsablePlaces(writable)
            peak = float(np.ptp(cells))
            while (
                first + 1 < len(offered)
                and shares[first] < _REPEATED
                and self._affordable(written.until(start + offered[first + 1].length), unit, peak)
            ):
                first += 1
        chosen = [rung for rung, share in zip(offered, shares, strict=True) if share >= _LEAST]
        return [Attempt(rung, width, unit) for rung in chosen if rung >= offered[first]][:_LONGER]

    def _affordable(self, written: int, unit: int, peak: float) -> bool:
        """Is the expected squared change of so many written places within the budget?"""
        energy = written * self._card.energy_per_bit * strength.unit_of(unit) ** 2
        return energy / (self._count * PIXELS) <= peak**2 / 10 ** (_BUDGET_DB / 10)

    def plan(self, payload: bytes, attempt: Attempt) -> Plan:
        """What is to be written where; cells that can't carry bits are left out."""
        rung, start = attempt.rung, self._widths[-1]
        bits = np.concatenate(
            [
                header.word(rung, attempt.width),
                order.spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung),
            ]
        )
        places = np.concatenate(
            [
                order.places(0, attempt.width, self._count),
                order.places(start, start + rung.length, self._count),
            ]
        )
        touched, row = np.unique(places // BITS, return_inverse=True)
        secret = np.zeros((len(touched), BITS), np.float32)
        secret[row, places % BITS] = 1.0 - 2.0 * bits
        cells = self._plane.cells(self._frames, touched)
        kept = self._card.writable(cells, strength.unit_of(attempt.unit), *self._limits)
        touched = touched[kept]
        up, down = self._plane.room(self._frames, touched, self._padding)
        return Plan(touched, cells[kept], secret[kept], up, down)
