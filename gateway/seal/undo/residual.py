"""The change of the pixels, cover minus container, entropy-coded without loss and in integers only.

Most of the change is zero, the rest is small, and it keeps to the 8x8 cells that the codec uses. So a value is written
as flags: whether the cell is touched, whether the pixel is, whether the value is more than 1, more than 2 and so on
(FORMAT.md, "Residual").
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
# Larger than any change of a sample and anything synthesised.
_LARGEST = 1 << 30


def encode(residual: NDArray[Any]) -> bytes:
    """A residual as bytes.

    residual: integers, (frames, rows, columns, samples).
    """
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
    """A residual of this shape.

    Raises ResidualDamaged when the bytes are no such residual.
    """
    bits = CodedReader(data)
    frames, rows, columns, samples = shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    touched = bits.flags(frames * down * across * samples)
    changed = bits.flags(int(np.count_nonzero(touched)) * CELL * CELL)
    nonzero = bits.values(int(np.count_nonzero(changed)), _LARGEST)
    bits.end()
    values = np.zeros(changed.size, np.int32)
    values[changed] = nonzero
    cells = np.zeros((touched.size, CELL * CELL), np.int32)
    cells[touched] = values.reshape(-1, CELL * CELL)
    grid = cells.reshape(frames, samples, down, across, CELL, CELL).transpose(0, 2, 4, 3, 5, 1)
    return grid.reshape(frames, down * CELL, across * CELL, samples)[:, :rows, :columns]


def _cells(residual: NDArray[Any]) -> NDArray[Any]:
    """Cells of 8x8 pixels, (cells, 64), by frame, sample, row and column. Edges are padded with zeros."""
    frames, rows, columns, samples = residual.shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    if rows % CELL or columns % CELL:
        padding = ((0, 0), (0, down * CELL - rows), (0, across * CELL - columns), (0, 0))
        residual = np.pad(residual, padding)
    grid = residual.reshape(frames, down, CELL, across, CELL, samples).transpose(0, 5, 1, 3, 2, 4)
    return grid.reshape(-1, CELL * CELL)
