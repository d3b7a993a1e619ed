"""The plane of an image that carries the payload: a sample, or luma."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.layout import CELL, PIXELS

GREEN = 1
LUMA = 3
"""Name of the luma plane. The names 0, 1 and 2 stand for samples."""

# ITU-R BT.601, as JPEG uses it.
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


class Plane:
    """One plane of an image.

    name: number of a sample, or LUMA.
    pixels: (frames, rows, columns, samples), stored values.
    carriers: the samples to which a change of the plane is added.
    share: by how much the plane changes when all carriers change by 1.
    """

    def __init__(self, name: int, pixels: NDArray[Any]) -> None:
        self.name = name
        self.pixels = pixels
        self.carriers: tuple[int, ...] = (name,)
        self.share = 1.0
        self._shown = (name,) if name != LUMA else (0, 1, 2)

    def carried(self) -> Plane:
        """This plane, ready to be written.

        Luma is written through green alone, whose middle values leave room. In a grey image it is written through all
        samples, so that the image stays grey.
        """
        if self.name == LUMA:
            red, green, blue = (self.pixels[..., sample] for sample in range(3))
            grey = np.array_equal(red, green) and np.array_equal(green, blue)
            self.carriers = (0, 1, 2) if grey else (GREEN,)
            self.share = 1.0 if grey else float(_WEIGHTS[GREEN])
        return self

    def count(self, frames: int) -> int:
        """Number of whole cells in the leading frames."""
        _, rows, columns = self.pixels.shape[:3]
        return int(frames * (rows // CELL) * (columns // CELL))

    def cells(self, frames: int, chosen: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Values of the plane in the leading frames, (cells, 64).

        chosen: numbers of cells; None: all of them.
        """
        if self.name != LUMA:
            values: NDArray[np.float32] = self._samples(self.name, frames, chosen).astype(np.float32)
            return values
        parts = [self._samples(sample, frames, chosen) * _WEIGHTS[sample] for sample in self._shown]
        luma: NDArray[np.float32] = parts[0] + parts[1] + parts[2]
        return luma

    def limits(self) -> tuple[float, float]:
        """Least and greatest value of the plane over all frames: values are cut off there, or it is the background."""
        shown = self.pixels[..., list(self._shown)] if self.name == LUMA else self.pixels[..., self.name]
        return float(shown.min()), float(shown.max())

    def room(
        self, frames: int, chosen: NDArray[np.int64], padding: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """By how much the carriers may rise and fall in each pixel of the chosen cells, (chosen, 64) each.

        They stay within the extremes of the image. A stored value that is padding does not change, and no other value
        becomes padding.

        padding: stored values.
        """
        carried = self.pixels[..., min(self.carriers) : max(self.carriers) + 1]
        low, high = int(carried.min()), int(carried.max())
        values = np.stack([self._samples(sample, frames, chosen) for sample in self.carriers]).astype(
            np.int32
        )
        up, down = high - values, values - low
        for first, last in _intervals(padding):
            up = np.where(values < first, np.minimum(up, first - 1 - values), up)
            down = np.where(values > last, np.minimum(down, values - last - 1), down)
            fixed = ((first <= values) & (values <= last)).any(axis=0, keepdims=True)
            up, down = np.where(fixed, 0, up), np.where(fixed, 0, down)
        return up.min(axis=0).astype(np.float32), down.min(axis=0).astype(np.float32)

    def changed(self, frames: int, chosen: NDArray[np.int64], change: NDArray[np.int32]) -> NDArray[Any]:
        """All pixels, with a change added to the carriers in the chosen cells.

        change: (chosen, 64), stored values.
        """
        container = self.pixels.copy()
        for sample in self.carriers:
            grid, where = _grid(container, sample, frames), _where(container, chosen)
            # A negative change of unsigned samples wraps, and so does the sum, which is right again.
            grid[where] += change.reshape(-1, CELL, CELL).astype(container.dtype)
        return container

    def _samples(self, sample: int, frames: int, chosen: NDArray[np.int64] | None) -> NDArray[Any]:
        """Stored values of one sample, (cells, 64)."""
        grid = _grid(self.pixels, sample, frames)
        return (grid if chosen is None else grid[_where(self.pixels, chosen)]).reshape(-1, PIXELS)


def _grid(pixels: NDArray[Any], sample: int, frames: int) -> NDArray[Any]:
    """A view, (frames, rows / 8, columns / 8, 8, 8). Rows and columns beyond the last whole cell are left out."""
    _, rows, columns = pixels.shape[:3]
    down, across = rows // CELL, columns // CELL
    whole = pixels[:frames, : down * CELL, : across * CELL, sample]
    frame, row, column = whole.strides
    return np.lib.stride_tricks.as_strided(
        whole,
        (frames, down, across, CELL, CELL),
        (frame, row * CELL, column * CELL, row, column),
    )


def _where(pixels: NDArray[Any], cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Frame, row and column of cells in the grid, from their numbers."""
    _, rows, columns = pixels.shape[:3]
    return np.unravel_index(cells, (pixels.shape[0], rows // CELL, columns // CELL))


def _intervals(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive values as (first, last), because a padding range may have thousands of values."""
    ordered = np.unique(values)
    for run in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
        if run.size:
            yield int(run[0]), int(run[-1])
