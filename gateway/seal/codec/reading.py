"""Read what is hidden in a plane: first a look at a few places, then, where they speak for a mark, at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.detect import HEAD, Contrast, decoded
from gateway.seal.codec.layout import BITS, RUNGS, Rung, places
from gateway.seal.codec.networks import Card, Networks
from gateway.seal.codec.plane import Plane

_AT_ONCE = 1 << 13  # cells: up to here, reading all of them costs no more than looking first


@dataclass(frozen=True)
class Reading:
    """A payload and how it was written."""

    payload: bytes
    rung: Rung
    raw_bit_error_rate: float
    unit: float


def read(
    networks: Networks, plane: Plane, frames: int, hint: dict[str, int], *, deep: bool = False
) -> Iterator[Reading]:
    """Everything revealed from the leading frames of a plane, at the hinted strength and code length or at all.

    deep: at the likeliest strength, try also without evidence that anything is there.
    """
    cells = plane.cells(frames)
    order = places(len(cells), networks.card.groups)
    known = [r for r in RUNGS if (r.lift, r.eighths) == (hint.get("lift"), hint.get("eighths"))]
    first = order.written if known or len(cells) <= _AT_ONCE else order.written[:HEAD]
    extremes = float(cells.min()), float(cells.max())
    look = _Look(cells, np.concatenate([first, order.reference[:HEAD]]))
    for number, unit in enumerate(likely_units(networks.card, cells)):
        if hint.get("unit", networks.card.units.index(unit)) != networks.card.units.index(unit):
            continue
        seen = look.logits(networks, unit, *extremes)
        logits = seen[: len(first)]
        for rung in known:
            if rung.length <= len(logits):
                yield from (Reading(*found, unit) for found in decoded(logits, rung))
        harder = deep and number == 0
        contrast = Contrast.between(logits[:HEAD], seen[len(first) :], deep=harder)
        if contrast is None:
            continue
        if len(first) < len(order.written):
            logits = _Look(cells, order.written).logits(networks, unit, *extremes)
        yield from (Reading(*found, unit) for found in contrast.decode(logits, deep=harder))


class _Look:
    """Some places of an image, and the cells it takes to read them."""

    def __init__(self, cells: NDArray[np.float32], chosen: NDArray[np.int64]) -> None:
        self._row = chosen // BITS
        self._cells = cells
        if len(chosen) < len(cells):
            needed, self._row = np.unique(self._row, return_inverse=True)
            self._cells = cells[needed]
        self._pattern = chosen % BITS

    def logits(self, networks: Networks, unit: float, low: float, high: float) -> NDArray[np.float32]:
        """Of the places, in their order; 0 in cells that are not usable."""
        usable = networks.card.usable(self._cells, unit, low, high)[:, None]
        found: NDArray[np.float32] = networks.reveal(self._cells, unit) * usable
        return found[self._row, self._pattern]


def rising_units(card: Card, cells: NDArray[np.float32]) -> list[float]:
    """Strengths to write with, from the weakest that suits the image upwards."""
    return list(card.units[_first(card, cells) :])


def likely_units(card: Card, cells: NDArray[np.float32]) -> list[float]:
    """All strengths, those nearest to what the image suggests first."""
    first = _first(card, cells)
    return [card.units[i] for i in sorted(range(len(card.units)), key=lambda i: abs(i - first))]


def _first(card: Card, cells: NDArray[np.float32]) -> int:
    if not card.range_unit:
        return 0
    grey_level = max(1.0, float(cells.max() - cells.min()) / 255)
    return min(range(len(card.units)), key=lambda i: abs(np.log(card.units[i] / grey_level)))
