"""The change made to the pixels, cover minus container, entropy-coded exactly and in integers only.

Most of the change is zero and the rest is small, and it keeps to the 8x8 cells the codec uses. So a value is
told by flags - is the cell touched, is the pixel, is it more than 1, more than 2 ... (FORMAT.md, "Residual").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.undo.bitcoding import (
    CodedReader,
    CodedWriter,
    Flags,
    ResidualDamaged,
)

__all__ = ["ResidualDamaged", "decode", "encode"]

CELL = 8
_LARGEST = 1 << 30  # beyond any change of a sample and anything synthesised


def encode(residual: NDArray[Any]) -> bytes:
    """The residual, integers of shape (frames, rows, columns, samples)."""
    out = CodedWriter()
    cells = _cells(residual)
    touched: Flags = np.any(cells, axis=1).astype(bool)
    out.flags(touched)
    values = cells[touched].reshape(-1)
    changed: Flags = values != 0
    out.flags(changed)
    values = values[changed]
    excess = np.abs(values.astype(np.int64)) - 1
    out.values(values, max(int(np.log2(excess.mean() + 1)) - 1, 0) if excess.size else 0)
    return bytes(out.out)


def decode(data: bytes, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The residual of `shape`. Raises ResidualDamaged."""
    bits = CodedReader(data)
    frames, rows, columns, samples = shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    touched = bits.flags(frames * down * across * samples)
    changed = bits.flags(int(np.count_nonzero(touched)) * CELL * CELL)
    found = bits.values(int(np.count_nonzero(changed)), _LARGEST)
    bits.end()
    values = np.zeros(changed.size, np.int32)
    values[changed] = found
    cells = np.zeros((touched.size, CELL * CELL), np.int32)
    cells[touched] = values.reshape(-1, CELL * CELL)
    grid = cells.reshape(frames, samples, down, across, CELL, CELL).transpose(0, 2, 4, 3, 5, 1)
    return grid.reshape(frames, down * CELL, across * CELL, samples)[:, :rows, :columns]


def _cells(residual: NDArray[Any]) -> NDArray[Any]:
    """(cells, 64): cells of 8x8 pixels by frame, sample, row, column; edges padded with zeros."""
    frames, rows, columns, samples = residual.shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    if rows % CELL or columns % CELL:
        padding = ((0, 0), (0, down * CELL - rows), (0, across * CELL - columns), (0, 0))
        residual = np.pad(residual, padding)
    grid = residual.reshape(frames, down, CELL, across, CELL, samples).transpose(0, 5, 1, 3, 2, 4)
    return grid.reshape(-1, CELL * CELL)
