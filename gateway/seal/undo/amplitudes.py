"""The amplitudes from which a change was synthesised, entropy-coded without loss (FORMAT.md, "Amplitudes").

The codec fills cells in the order of a public permutation. In that order the touched cells stand at the front, so that
saying which they are costs next to nothing. Values are written pattern by pattern: patterns that were not used cost
nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.layout import BITS, PERMUTATION_KEY, permuted
from gateway.seal.codec.synthesis import AMPLITUDE_MAX
from gateway.seal.undo.bitcoding import (
    CodedReader,
    CodedWriter,
    Flags,
    ResidualDamaged,
)

# An amplitude has no more low bits than these.
_SHIFTS = range(7)


def encode(amplitudes: NDArray[np.int16], frames: int) -> bytes:
    """A map of amplitudes as bytes.

    amplitudes: (frames * cells in a frame, 16) int16, -127 .. 127.
    """
    cells = len(amplitudes) // frames if frames else 0
    ordered = amplitudes[_order(np.arange(len(amplitudes)), frames, cells)]
    touched: Flags = np.any(ordered, axis=1).astype(bool)
    out = CodedWriter()
    _write_front(out, touched)
    patterns = ordered[touched].T
    for pattern in patterns:
        _write_front(out, pattern != 0)
    values = patterns[patterns != 0]
    return bytes(out.out) + min((_values(values, shift) for shift in _SHIFTS), key=len)


def decode(data: bytes, frames: int, cells: int) -> NDArray[np.int16]:
    """A map of amplitudes, (frames * cells, 16).

    cells: in each frame.
    Raises ResidualDamaged when the bytes are no such map.
    """
    bits = CodedReader(data)
    touched = _read_front(bits, frames * cells)
    changed = [_read_front(bits, touched.size) for _ in range(BITS)]
    values = bits.values(sum(cell.size for cell in changed), AMPLITUDE_MAX)
    bits.end()
    patterns = np.zeros((BITS, touched.size), np.int16)
    for pattern, cell in zip(patterns, changed, strict=True):
        pattern[cell], values = values[: cell.size], values[cell.size :]
    amplitudes = np.zeros((frames * cells, BITS), np.int16)
    amplitudes[_order(touched, frames, cells)] = patterns.T
    return amplitudes


def _write_front(out: CodedWriter, flags: Flags) -> None:
    """Write flags that are mostly 1 at the front and 0 behind: the place of the last 1, and the flags up to there."""
    places = np.flatnonzero(flags)
    reach = int(places[-1]) + 1 if places.size else 0
    out.number(reach)
    if reach:
        out.flags(flags[:reach])


def _read_front(bits: CodedReader, length: int) -> NDArray[np.int64]:
    """Where the flags are 1."""
    reach = bits.number()
    if reach > length:
        raise ResidualDamaged("the amplitudes reach beyond the last cell")
    return np.flatnonzero(bits.flags(reach)) if reach else np.empty(0, np.int64)


def _values(values: NDArray[np.int16], shift: int) -> bytes:
    out = CodedWriter()
    out.values(values, shift)
    return bytes(out.out)


def _order(numbers: NDArray[np.int64], frames: int, cells: int) -> NDArray[np.int64]:
    """The cells at these numbers of the order, which has the first cell of every frame, then the second, and so on."""
    if not numbers.size:
        return numbers
    turns, needed = np.unique(numbers // frames, return_inverse=True)
    return numbers % frames * cells + permuted(turns, cells, PERMUTATION_KEY)[needed]
