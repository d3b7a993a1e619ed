"""The plane of an image that carries the mark: a sample, or luma."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.layout import CELL, from_cells, to_cells

GREEN = 1
LUMA = 3
"""Name of the luma plane; 0, 1, 2 are samples."""

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG uses it


class Plane:
    """One plane of `pixels`, (frames, rows, columns, samples) of stored values."""

    def __init__(self, name: int, pixels: NDArray[Any]) -> None:
        self.name = name
        self.pixels = pixels
        self._samples = pixels if name == LUMA else pixels[..., name : name + 1]

    def cells(self, frames: int) -> NDArray[np.float32]:
        """(cells, 64) values of the leading frames."""
        shown = self._samples[:frames]
        return to_cells(shown @ _WEIGHTS if self.name == LUMA else shown[..., 0]).astype(np.float32)

    def room(
        self, frames: int, touched: NDArray[np.bool_], padding: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How far each pixel of the touched cells may go up and down, (touched cells, 64) each.

        To the image's own extremes; not at all where a stored value is padding, nor onto padding.
        """
        low, high = int(self._samples.min()), int(self._samples.max())
        samples = range(self._samples.shape[3])
        shown = np.stack([to_cells(self._samples[:frames, ..., n])[touched] for n in samples], axis=-1)
        shown = shown.astype(np.int32)
        up, down = high - shown, shown - low
        for first, last in _intervals(padding):
            up = np.where(shown < first, np.minimum(up, first - 1 - shown), up)
            down = np.where(shown > last, np.minimum(down, shown - last - 1), down)
            fixed = ((first <= shown) & (shown <= last)).any(axis=-1, keepdims=True)
            up, down = np.where(fixed, 0, up), np.where(fixed, 0, down)
        return up.min(axis=-1).astype(np.float32), down.min(axis=-1).astype(np.float32)

    def changed(self, change: NDArray[np.int32]) -> NDArray[Any]:
        """All pixels, with `change`, (cells, 64), added to the plane in the leading frames it covers."""
        _, rows, columns = self.pixels.shape[:3]
        frames = len(change) // ((rows // CELL) * (columns // CELL))
        added = from_cells(change, (frames, rows, columns)).astype(self.pixels.dtype)
        container = self.pixels.copy()
        marked = container if self.name == LUMA else container[..., self.name : self.name + 1]
        marked[:frames] += added[..., None]  # wraps for unsigned types, and comes out right
        return container


def _intervals(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive values, as (first, last): a padding range may have thousands."""
    ordered = np.unique(values)
    for run in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
        if run.size:
            yield int(run[0]), int(run[-1])
