"""Layout of the codec ids of version 1, from the JSON card beside the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.card import within
from gateway.seal.codec.networks import ModelFileError


@dataclass(frozen=True)
class CardV1:
    """Layout of one codec id.

    groups: patterns in the order in which they are filled.
    units: strengths, in stored values of one step unit.
    range_unit: the first unit follows the range of the image; otherwise it is the smallest one.
    luma: in colour the payload is in luma, not in green.
    margin: units by which usable cells keep away from the extremes of the image.
    """

    codec_id: str
    groups: tuple[tuple[int, ...], ...]
    units: tuple[float, ...]
    range_unit: bool
    luma: bool
    margin: float

    @classmethod
    def of(cls, card: dict[str, Any]) -> CardV1:
        """The card from its JSON.

        Raises ModelFileError when an entry is missing.
        """
        try:
            layout = card["layout"]
            return cls(
                codec_id=card["codec_id"],
                groups=tuple(tuple(group) for group in layout["groups"]),
                units=tuple(layout["units"]),
                range_unit=layout["unit_rule"] == "range",
                luma=layout["plane"] == "luma",
                margin=layout["margin"],
            )
        except (KeyError, TypeError) as error:
            raise ModelFileError(f"a card lacks {error}") from error

    def usable(self, cells: NDArray[np.float32], unit: float, low: float, high: float) -> NDArray[np.bool_]:
        """Which cells carry bits, (N,): those that are not flat and keep away from both extremes of the image.

        cells: (N, 64), stored values.
        """
        usable: NDArray[np.bool_] = within(cells, [self.margin * unit], low, high)[0]
        return usable
