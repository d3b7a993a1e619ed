"""The change of `robust-v2`, synthesised from amplitudes of cosine patterns in integers only.

CODEC.md says how the hiding network chooses the amplitudes. FORMAT.md, "Synthesis", says how a change follows from
them. Writing and undoing share this code. No value here depends on a platform's cosine, rounding or order of addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.layout import BITS, CELL, PIXELS

AMPLITUDE_MAX = 127
"""Largest amplitude, in half units."""

SCALE_MAX = (1 << 24) - 1
"""Largest scale: with it the change of any map of amplitudes still fits 32 bits."""

FREQUENCIES = (
    (0, 2),
    (0, 1),
    (1, 0),
    (1, 1),
    (2, 1),
    (2, 0),
    (1, 2),
    (3, 0),
    (0, 3),
    (2, 2),
    (3, 1),
    (4, 0),
    (1, 3),
    (3, 2),
    (4, 1),
    (0, 4),
)
"""(vertical, horizontal) frequency of each pattern, coarsest steps of JPEG's luminance table (T.81 K.1) last."""

# Rows k = 0..4, columns n = 0..7: rint(2^14 c cos((2 n + 1) k pi / 16)), c = sqrt(1/8) for k = 0, else 1/2.
_COSINES = (
    (5793, 5793, 5793, 5793, 5793, 5793, 5793, 5793),
    (8035, 6811, 4551, 1598, -1598, -4551, -6811, -8035),
    (7568, 3135, -3135, -7568, -7568, -3135, 3135, 7568),
    (6811, -1598, -8035, -4551, 4551, 8035, 1598, -6811),
    (5793, -5793, -5793, 5793, 5793, -5793, -5793, 5793),
)
# From the 28 bits of a product of two cosines to the 12 bits of a pattern.
_COSINE_SHIFT = 16
# The 12 bits of a pattern and the 8 bits of the scale.
_SHIFT = 20


def _tabulated() -> NDArray[np.int32]:
    cosines = np.array(_COSINES, np.int32)
    rows = np.array([cosines[vertical] for vertical, _ in FREQUENCIES])
    columns = np.array([cosines[horizontal] for _, horizontal in FREQUENCIES])
    product = rows[:, :, np.newaxis] * columns[:, np.newaxis, :]
    table: NDArray[np.int32] = ((product + (1 << _COSINE_SHIFT - 1)) >> _COSINE_SHIFT).reshape(BITS, PIXELS)
    table.setflags(write=False)
    return table


PATTERNS = _tabulated()
"""(16, 64) int32: the patterns of a cell, pixels by rows, times 2^12; the table T of FORMAT.md."""


@dataclass(frozen=True, eq=False)
class Synthesis:
    """What a change was synthesised from.

    amplitudes: (cells, 16) int16, -127 .. 127 half units; cells of the leading frames as `layout.to_cells` orders them.
    scale: stored values of a half unit, times 2^8, 1 .. SCALE_MAX.
    samples: numbers of the samples to which the change is added, rising, out of 0, 1, 2.
    Raises ValueError when anything is of another form.
    """

    amplitudes: NDArray[np.int16]
    scale: int
    samples: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.amplitudes.dtype != np.int16 or self.amplitudes.shape[1:] != (BITS,):
            raise ValueError("amplitudes are 16-bit integers, 16 a cell")
        if self.amplitudes.size and max(self.amplitudes.max(), -int(self.amplitudes.min())) > AMPLITUDE_MAX:
            raise ValueError(f"an amplitude is beyond {AMPLITUDE_MAX}")
        if type(self.scale) is not int or not 1 <= self.scale <= SCALE_MAX:
            raise ValueError(f"the scale is not within 1 .. {SCALE_MAX}")
        if self.samples not in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
            raise ValueError("the samples are not rising numbers of 0, 1, 2")

    @classmethod
    def together(cls, frames: Sequence[Synthesis | None]) -> Synthesis | None:
        """The synthesis of frames that were written one by one; None where no frame was synthesised.

        Where frames differ in scale or samples, those with most amplitudes are taken. The others are left to the
        correction.

        frames: for each leading frame the synthesis of its cells; None for a frame that stays as it is.
        Raises ValueError when the frames have different numbers of cells.
        """
        present = [frame for frame in frames if frame is not None]
        if not present:
            return None
        cells = len(present[0].amplitudes)
        if any(len(frame.amplitudes) != cells for frame in present):
            raise ValueError("the frames have different numbers of cells")
        explained: dict[tuple[int, tuple[int, ...]], int] = {}
        for frame in present:
            kind = frame.scale, frame.samples
            explained[kind] = explained.get(kind, 0) + int(np.count_nonzero(frame.amplitudes))
        scale, samples = max(explained, key=lambda kind: explained[kind])
        amplitudes = np.zeros((len(frames), cells, BITS), np.int16)
        for number, synthesis in enumerate(frames):
            if synthesis is not None and (synthesis.scale, synthesis.samples) == (scale, samples):
                amplitudes[number] = synthesis.amplitudes
        return cls(amplitudes.reshape(-1, BITS), scale, samples)

    def frames(self, rows: int, columns: int) -> int:
        """How many leading frames of this size the amplitudes cover.

        Raises ValueError when they do not cover whole frames.
        """
        cells = cells_of(1, rows, columns)
        if len(self.amplitudes) % max(cells, 1) or (len(self.amplitudes) and not cells):
            raise ValueError("the amplitudes do not cover whole frames")
        return len(self.amplitudes) // cells if cells else 0

    def change(self, shape: tuple[int, int, int, int]) -> NDArray[np.int32]:
        """The change of an image, container minus cover, in stored values.

        shape: (frames, rows, columns, samples) of the image.
        Returns (covered frames, rows, columns, samples), with zeros beyond the last whole cell and in other samples.
        Raises ValueError when the image has fewer frames or samples.
        """
        frames, rows, columns, samples = shape
        covered = self.frames(rows, columns)
        if covered > frames or self.samples[-1] >= samples:
            raise ValueError("the image is smaller than what was synthesised")
        down, across = rows // CELL, columns // CELL
        change = np.zeros((covered, rows, columns, samples), np.int32)
        touched = np.flatnonzero(self.amplitudes.any(axis=1))
        added = synthesised(self.amplitudes[touched], self.scale).reshape(-1, CELL, CELL)
        # Splitting axes makes a view of any array, so the cells are written in place.
        whole = change[:, : down * CELL, : across * CELL]
        cells = whole.reshape(covered, down, CELL, across, CELL, samples).transpose(5, 0, 1, 3, 2, 4)
        if touched.size:
            frame, row, column = np.unravel_index(touched, (covered, down, across))
            for sample in self.samples:
                cells[sample][frame, row, column] = added
        return change


def cells_of(frames: int, rows: int, columns: int) -> int:
    """Number of whole cells in so many frames."""
    return frames * (rows // CELL) * (columns // CELL)


def scale_of(unit: float) -> int:
    """The scale for a strength of `unit` stored values: half of it, times 2^8, rounded half to even."""
    return round(unit * 128)


def synthesised(amplitudes: NDArray[np.int16] | NDArray[np.int32], scale: int) -> NDArray[np.int32]:
    """The change of each cell, (cells, 64) int32 stored values, before it is limited to the room of its pixels.

    amplitudes: (cells, 16), -127 .. 127.
    scale: 1 .. SCALE_MAX.
    """
    # Patterns that were not written cost nothing. No sum of 16 products reaches 2^31, whatever the 16-bit values are.
    total = np.zeros((len(amplitudes), PIXELS), np.int32)
    for pattern in np.flatnonzero(amplitudes.any(axis=0)):
        total += amplitudes[:, pattern, np.newaxis].astype(np.int32) * PATTERNS[pattern]
    scaled = total.astype(np.int64)
    scaled *= scale
    scaled += 1 << _SHIFT - 1
    scaled >>= _SHIFT
    return scaled.astype(np.int32)
