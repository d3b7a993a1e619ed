"""Read what is hidden in a plane: first a few places, then all of them where the few speak for a payload."""

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

# Number of cells up to which reading all of them costs no more than reading a few first.
_AT_ONCE = 1 << 13


def read(
    revealer: Revealer, card: CardV1, plane: Plane, frames: int, hint: dict[str, int], *, deep: bool = False
) -> Iterator[Reading]:
    """Everything that can be read from the leading frames of a plane.

    The unit of a reading is an index among those of the card.

    hint: strength and code length to try; without them all are tried.
    deep: at the likeliest strength, try also without evidence that anything is there.
    """
    cells = plane.cells(frames)
    order = places(len(cells), card.groups)
    known = [rung for rung in RUNGS if (rung.lift, rung.eighths) == (hint.get("lift"), hint.get("eighths"))]
    first = order.written if known or len(cells) <= _AT_ONCE else order.written[:HEAD]
    extremes = float(cells.min()), float(cells.max())
    few = _ChosenPlaces(cells, np.concatenate([first, order.reference[:HEAD]]))
    for number, index in enumerate(_likely_units(card, cells)):
        if hint.get("unit", index) != index:
            continue
        unit = card.units[index]
        all_logits = few.logits(revealer, card, unit, *extremes)
        logits = all_logits[: len(first)]
        for rung in known:
            if rung.length <= len(logits):
                yield from (Reading(*result, index) for result in decoded(logits, rung))
        harder = deep and number == 0
        contrast = Contrast.between(logits[:HEAD], all_logits[len(first) :], deep=harder)
        if contrast is None:
            continue
        if len(first) < len(order.written):
            logits = _ChosenPlaces(cells, order.written).logits(revealer, card, unit, *extremes)
        yield from (Reading(*result, index) for result in contrast.decode(logits, deep=harder))


class _ChosenPlaces:
    """Some places of an image, and the cells that must be read for them."""

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
        """The logits of the places, in their order; 0 in cells that are not usable."""
        usable = card.usable(self._cells, unit, low, high)[:, None]
        logits: NDArray[np.float32] = revealer.reveal(self._cells, unit) * usable
        return logits[self._row, self._pattern]


def _likely_units(card: CardV1, cells: NDArray[np.float32]) -> list[int]:
    """The indices of all strengths, those nearest to what the image suggests first."""
    first = 0
    if card.range_unit:
        grey_level = max(1.0, float(cells.max() - cells.min()) / 255)
        first = int(np.argmin(np.abs(np.log(np.array(card.units) / grey_level))))
    return sorted(range(len(card.units)), key=lambda i: abs(i - first))
