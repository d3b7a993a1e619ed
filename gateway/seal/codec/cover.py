"""A cover, ready to be written: which attempts there are, and what each of them writes."""

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

# Number of code lengths that are offered at one strength.
_LONGER = 3
# A robust payload is repeated until it costs so much (PSNR in dB), or every bit of the code can be read so often.
_BUDGET_DB = 50.5
_REPEATED = 2.5
# Share of the code that must be readable: for a robust payload; where pixel values are kept, with some reserve for
# damage; and at all, because the code has rate 1/2.
_ROBUST = 1.0
_SUFFICIENT = 0.8
_LEAST = 0.62
# Usable places that a header should have. Where it has fewer, a wider header is written.
_HEADER_LEAST = 96


class HideFailed(GatewayError):
    """The payload can't be hidden in these pixels so that it comes back.

    code: says why, "too-small", "too-flat" or "not-recovered".
    """

    hint = "Shorten the record, or accept level digest for such images."

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Attempt:
    """One way to write a payload.

    rung: the code length.
    width: number of places of the header.
    unit: number of the strength, see `strength`.
    """

    rung: Rung
    width: int
    unit: int


@dataclass(frozen=True)
class Plan:
    """The inputs of the hiding network for one attempt.

    touched: numbers of the cells to change.
    cells: (touched, 64) stored values.
    secret: (touched, 16), 1 for bit 0, -1 for bit 1, 0 where nothing is written.
    up, down: (touched, 64) stored values by which each pixel may rise and fall.
    """

    touched: NDArray[np.int64]
    cells: NDArray[np.float32]
    secret: NDArray[np.float32]
    up: NDArray[np.float32]
    down: NDArray[np.float32]


class CoverCells:
    """The leading frames of a cover, cut into cells."""

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
        """Ways to write the payload, best first.

        Raises HideFailed when there is none.
        """
        room = self._count * BITS - self._widths[-1]
        offered = [rung for rung in rungs_for(len(payload)) if rung.length <= room]
        if not offered:
            raise HideFailed("the image has too few places for the payload", code="too-small")
        any_attempt = False
        turns = min(self._count, -(-(self._widths[-1] + offered[-1].length) // order.GROUP))
        cells = self._plane.cells(self._frames, order.cells(0, turns, self._count))
        units = strength.rising(self._card, self._plane, self._frames, self._window)
        # No payload survives a window that shows next to nothing of the image, but the image can still carry one.
        for window in dict.fromkeys((self._window, None)):
            for unit in units:
                for attempt in self._at(unit, offered, cells, window):
                    any_attempt = True
                    yield attempt
        if not any_attempt:
            raise HideFailed("too much of the image is flat", code="too-flat")

    def _believed(
        self, cells: NDArray[np.float32], unit: float, window: tuple[float, float] | None
    ) -> NDArray[np.bool_]:
        """Which cells a reader will use, also after the window was exported."""
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
        """Attempts at one strength: the shortest code that suffices or the longest affordable one, and a few longer."""
        start = self._widths[-1]
        arrival = order.UsablePlaces(self._believed(cells, strength.unit_of(unit), window))
        width = next((width for width in self._widths if arrival.until(width) >= _HEADER_LEAST), start)
        shares = [
            (arrival.until(start + rung.length) - arrival.until(start)) / ldpc.code_bits(rung.lift)
            for rung in offered
        ]
        sufficient = _ROBUST if self._card.eight_bit else _SUFFICIENT
        first = next((i for i, share in enumerate(shares) if share >= sufficient), len(shares) - 1)
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
        """Whether the expected squared change of so many written places is within the budget."""
        energy = written * self._card.energy_per_bit * strength.unit_of(unit) ** 2
        return energy / (self._count * PIXELS) <= peak**2 / 10 ** (_BUDGET_DB / 10)

    def plan(self, payload: bytes, attempt: Attempt) -> Plan:
        """What this attempt writes. Cells that can't carry bits are left out."""
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
