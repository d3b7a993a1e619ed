"""Read what is hidden in a plane: first a look at a few places, then, where they speak for a mark, at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.layout import BITS, RUNGS
from gateway.seal.codec.networks import Revealer
from gateway.seal.codec.plane import Plane
from gateway.seal.codec.reading import Reading
from gateway.seal.codec.v1.card import CardV1
from gateway.seal.codec.v1.detect import HEAD, Contrast, decoded
from gateway.seal.codec.v1.places import places

_AT_ONCE = 1 << 13  # cells: up to here, reading all of them costs no more than looking first


def read(
    revealer: Revealer, card: CardV1, plane: Plane, frames: int, hint: dict[str, int], *, deep: bool = False
) -> Iterator[Reading]:
    """Everything revealed from the leading frames of a plane, at the hinted strength and code length or at all.

    The unit of a reading is an index among those of the card.
    deep: at the likeliest strength, try also without evidence that anything is there.
    """
    cells = plane.cells(frames)
    order = places(len(cells), card.groups)
    known = [r for r in RUNGS if (r.lift, r.eighths) == (hint.get("lift"), hint.get("eighths"))]
    first = order.written if known or len(cells) <= _AT_ONCE else order.written[:HEAD]
    extremes = float(cells.min()), float(cells.max())
    look = _Look(cells, np.concatenate([first, order.reference[:HEAD]]))
    for number, index in enumerate(_likely_units(card, cells)):
        if hint.get("unit", index) != index:
            continue
        unit = card.units[index]
        seen = look.logits(revealer, card, unit, *extremes)
        logits = seen[: len(first)]
        for rung in known:
            if rung.length <= len(logits):
                yield from (Reading(*found, index) for found in decoded(logits, rung))
        harder = deep and number == 0
        contrast = Contrast.between(logits[:HEAD], seen[len(first) :], deep=harder)
        if contrast is None:
            continue
        if len(first) < len(order.written):
            logits = _Look(cells, order.written).logits(revealer, card, unit, *extremes)
        yield from (Reading(*found, index) for found in contrast.decode(logits, deep=harder))


class _Look:
    """Some places of an image, and the cells it takes to read them."""

    def __init__(self, cells: NDArray[np.float32], chosen: NDArray[np.int64]) -> None:
        self._row = chosen // BITS
        self._cells = cells
        if len(chosen) < len(cells):
            needed, self._row = np.unique(self._row, return_inverse=True)
            self._cells = cells[needed]
        self._pattern = chosen % BITS

    def logits(
        self, revealer: Revealer, card: CardV1, unit: float, low: float, high: float
    ) -> NDArray[np.float32]:
        """Of the places, in their order; 0 in cells that are not usable."""
        usable = card.usable(self._cells, unit, low, high)[:, None]
        found: NDArray[np.float32] = revealer.reveal(self._cells, unit) * usable
        return found[self._row, self._pattern]


def _likely_units(card: CardV1, cells: NDArray[np.float32]) -> list[int]:
    """All strengths by index, those nearest to what the image suggests first."""
    first = 0
    if card.range_unit:
        grey_level = max(1.0, float(cells.max() - cells.min()) / 255)
        first = int(np.argmin(np.abs(np.log(np.array(card.units) / grey_level))))
    return sorted(range(len(card.units)), key=lambda i: abs(i - first))
