"""A cover, ready to be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import BITS, Rung, frame, gather, places, rungs_for, spread
from gateway.seal.codec.networks import Networks
from gateway.seal.codec.plane import Plane

_LONGER = 3  # code lengths offered
_BUDGET_DB = 50.5  # a robust mark is repeated until it costs this
_SPARE = 20  # one place in so many may be lost without harm when a code length is chosen


class HideFailed(GatewayError):
    """The payload can't be hidden in these pixels so that it comes back; `code` says why."""

    hint = "Shorten the record, or accept level digest for such images."

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code  # "too-small" | "too-flat" | "not-recovered"


class CoverCells:
    """The leading frames of a cover, cut into cells, ready to be written."""

    def __init__(self, networks: Networks, plane: Plane, frames: int, padding: tuple[int, ...]) -> None:
        self._networks = networks
        self.cells = plane.cells(frames)
        self._order = places(len(self.cells), networks.card.groups).written
        self._low, self._high = float(self.cells.min()), float(self.cells.max())
        self._plane, self._frames, self._padding = plane, frames, padding
        self._usable_at: dict[float, NDArray[np.bool_]] = {}

    def rungs(self, payload: bytes, *, unit: float, spend: bool) -> list[Rung]:
        """Rungs that have enough usable places, best first.

        The shortest is least seen. `spend`: rather the longest that keeps the distortion below `_BUDGET_DB`, and all
        parity sent, because every repeat makes the mark more robust.
        """
        offered = [rung for rung in rungs_for(len(payload)) if rung.length <= len(self._order)]
        if spend:
            offered = [r for r in offered if r.eighths >= 8] + [r for r in offered if r.eighths < 8]
        usable = self._usable(unit)
        first = next(
            (i for i, rung in enumerate(offered) if self._holds(payload, rung, usable)), len(offered)
        )
        if spend:
            while first + 1 < len(offered) and self._affordable(offered[first + 1], unit, usable):
                first += 1
        return offered[first : first + _LONGER]

    def _affordable(self, rung: Rung, unit: float, usable: NDArray[np.bool_]) -> bool:
        """Is the expected squared change within the budget, with the range of the plane as peak?"""
        written = int(usable[self._order[: rung.length] // BITS].sum())
        error = written * self._networks.card.energy_per_bit * unit**2 / self.cells.size
        peak = float(np.ptp(self.cells))
        return rung.eighths >= 8 and error <= peak**2 / 10 ** (_BUDGET_DB / 10)

    def _holds(self, payload: bytes, rung: Rung, usable: NDArray[np.bool_]) -> bool:
        """Would the payload survive the unusable places, and every `_SPARE`th place besides?"""
        held = usable[self._order[: rung.length] // BITS]
        if held.all():
            return True
        llr = np.where(held, _signs(payload, rung), 0)
        llr[::_SPARE] = 0
        message = ldpc.decode(gather(llr, rung), rung.lift)
        return message is not None and np.array_equal(message, frame(payload, rung.lift))

    def _usable(self, unit: float) -> NDArray[np.bool_]:
        """Which cells may carry bits at this strength; asked for the choice of a code length and for every writing."""
        if unit not in self._usable_at:
            self._usable_at[unit] = self._networks.card.usable(self.cells, unit, self._low, self._high)
        return self._usable_at[unit]

    def failure(self, payload: bytes) -> HideFailed:
        """Why `rungs` is empty."""
        if rungs_for(len(payload))[0].length > len(self._order):
            return HideFailed("the image has too few places for the payload", code="too-small")
        return HideFailed("too much of the image is flat", code="too-flat")

    def write(self, payload: bytes, rung: Rung, unit: float) -> NDArray[np.int32]:
        """(cells, 64) changes that write the payload; only cells with a written place are touched."""
        plan = np.zeros(len(self.cells) * BITS, np.float32)
        plan[self._order[: rung.length]] = _signs(payload, rung)
        secret = plan.reshape(-1, BITS) * self._usable(unit)[:, None]
        touched: NDArray[np.bool_] = np.asarray(secret.any(axis=1))
        change = np.zeros(self.cells.shape, np.int32)
        up, down = self._plane.room(self._frames, touched, self._padding)
        change[touched] = self._networks.hide(self.cells[touched], secret[touched], up, down, unit)
        return change


def _signs(payload: bytes, rung: Rung) -> NDArray[np.float32]:
    """What every place of the rung carries: +1 for bit 0, -1 for bit 1."""
    bits = spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)
    return (1.0 - 2.0 * bits).astype(np.float32)
