"""The card of a pair of networks: what the rest of the codec must know about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.networks import ModelFileError

SPREAD = 1.5
"""A cell is assumed to reach so many standard deviations to both sides of its mean."""


def within(
    cells: NDArray[np.float32], margins: Sequence[float], low: float, high: float
) -> NDArray[np.bool_]:
    """For each margin, (margins, N), which cells are not flat and keep that distance from both limits.

    cells: (N, 64), stored values.
    margins, low, high: in stored values.
    """
    usable: NDArray[np.bool_] = np.any(cells != cells[:, :1], axis=1)[None]
    if not any(margins):
        return np.repeat(usable, len(margins), axis=0)
    mean, reach = cells.mean(axis=1), SPREAD * cells.std(axis=1)
    distance = np.minimum(mean - reach - low, high - mean - reach)
    within: NDArray[np.bool_] = usable & (distance >= np.array(margins)[:, None])
    return within


@dataclass(frozen=True)
class Card:
    """Layout of a codec id of version 2, from the JSON card beside the networks.

    luma: in colour the payload goes into luma, not into green.
    amplitudes: the hider returns amplitudes of patterns, which must be synthesised, and not changes of pixels.
    eight_bit: one unit is a grey level of an 8-bit image, and not a stored value.
    energy_per_bit: mean squared change that a written place costs, in squared units.
    margin, writer_margin: units by which usable cells keep away from the limits of the image, for the reader and for
        the writer, because the change is cut off there by lossy compression. The reader is the stricter one: a place
        that was written and is not read is only lost, but a place that is read and was not written misleads.
    least_deviation: the least deviation of the values of a usable cell, in units.
    """

    codec_id: str
    luma: bool
    amplitudes: bool
    eight_bit: bool
    energy_per_bit: float
    margin: float
    writer_margin: float
    least_deviation: float

    @classmethod
    def of(cls, card: dict[str, Any]) -> Card:
        """The card from its JSON.

        Raises ModelFileError when an entry is missing.
        """
        try:
            layout = card["layout"]
            return cls(
                codec_id=card["codec_id"],
                luma=layout["plane"] == "luma",
                amplitudes=layout["output"] == "amplitudes",
                eight_bit=layout["unit_rule"] == "eight-bit",
                energy_per_bit=card["measured"]["energy_per_bit"],
                margin=layout["margin"],
                writer_margin=layout["writer_margin"],
                least_deviation=layout["least_deviation"],
            )
        except (KeyError, TypeError) as error:
            raise ModelFileError(f"a card lacks {error}") from error

    def readable(
        self, cells: NDArray[np.float32], units: Sequence[float], low: float, high: float
    ) -> NDArray[np.bool_]:
        """Which cells a reader uses at each strength, (units, N).

        cells: (N, 64), stored values.
        """
        usable = within(cells, [self.margin * unit for unit in units], low, high)
        if self.least_deviation:
            usable &= cells.std(axis=1) >= self.least_deviation * np.array(units)[:, None]
        return usable

    def writable(self, cells: NDArray[np.float32], unit: float, low: float, high: float) -> NDArray[np.bool_]:
        """Which cells may carry bits, (N,).

        cells: (N, 64), stored values.
        """
        writable: NDArray[np.bool_] = within(cells, [self.writer_margin * unit], low, high)[0]
        return writable
