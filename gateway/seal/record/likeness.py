"""The likeness: 64 keyed bits about what an image shows.

They stay the same under compression and noise, and differ for another image. They bind a record to its image where the
digest can't: when the private block is gone, or the pixels were compressed. Without the restore key nobody can compute
them (FORMAT.md, "Likeness"). All arithmetic is in integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from gateway.dicom.image import PixelFormat

LIKENESS_BYTES = 8
_KEY_CONTEXT = "sealgate likeness key v1"
# Number of blocks in each direction.
_GRID = 16
# Largest distance between the two blocks of a pair, in blocks.
_REACH = 3
_FRAMES_MAX = 8
_PAIRS = 8 * LIKENESS_BYTES
# A pair decides when its blocks differ by more than the 64th part of the range of all blocks.
_DECIDING = 64
# Fewer decided pairs say nothing about an image.
_DECIDED_MIN = 16
# At most every eighth decided pair may disagree.
_LIKE = 8


@dataclass(frozen=True)
class Comparison:
    """How an image agrees with a stored likeness.

    decided: number of pairs whose blocks differ clearly in the image at hand.
    disagreeing: number of those in which the other block was the brighter one when the image was sealed.
    """

    decided: int
    disagreeing: int

    @property
    def alike(self) -> bool:
        """Whether the image shows what the sealed one showed."""
        return self.decided >= _DECIDED_MIN // 2 and self.disagreeing * _LIKE <= self.decided


def frames_shown(frames: int) -> list[int]:
    """The numbers of the frames that a likeness is taken from."""
    count = min(frames, _FRAMES_MAX)
    return [number * frames // count for number in range(count)]


def shown(samples: NDArray[Any]) -> NDArray[Any]:
    """These frames, (frames, rows, columns, samples). Their likeness is that of the whole image."""
    return samples[frames_shown(len(samples))]


def of_image(samples: NDArray[Any], shape: PixelFormat, restore_key: bytes) -> bytes:
    """8 bytes, or b"" when the image is too small or too even to have a likeness.

    samples: (frames, rows, columns, samples), stored values.
    """
    signs, decided = _signs(samples, shape, restore_key)
    if np.count_nonzero(decided) < _DECIDED_MIN:
        return b""
    return np.packbits(signs).tobytes()


def compare(stored: bytes, samples: NDArray[Any], shape: PixelFormat, restore_key: bytes) -> Comparison:
    """How an image agrees with the likeness that was taken when it was sealed.

    Compression turns RGB into YBR and back, and decoders give RGB whatever the label says: an image in colour is taken
    in both ways, and the better one counts.
    """
    if shape.samples != 3:
        return _compared(stored, samples, shape, restore_key)
    ways = [replace(shape, photometric=photometric) for photometric in ("RGB", "YBR_FULL")]
    return min(
        (_compared(stored, samples, way, restore_key) for way in ways),
        key=lambda comparison: (not comparison.alike, comparison.disagreeing),
    )


def _compared(stored: bytes, samples: NDArray[Any], shape: PixelFormat, restore_key: bytes) -> Comparison:
    signs, decided = _signs(samples, shape, restore_key)
    sealed_signs = np.unpackbits(np.frombuffer(stored, np.uint8)).astype(bool)
    disagreeing = decided & (signs != sealed_signs)
    return Comparison(int(np.count_nonzero(decided)), int(np.count_nonzero(disagreeing)))


def _signs(
    samples: NDArray[Any], shape: PixelFormat, restore_key: bytes
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each pair: whether its first block is the brighter one, and whether they differ enough to decide."""
    if min(samples.shape[1:3]) < _GRID:
        return np.zeros(_PAIRS, bool), np.zeros(_PAIRS, bool)
    means = _block_means(samples, shape)
    first, second = _pairs(restore_key)
    difference = means[first] - means[second]
    margin = max(int(means.max() - means.min()) // _DECIDING, 1)
    return difference > 0, np.abs(difference) > margin


def _block_means(samples: NDArray[Any], shape: PixelFormat) -> NDArray[np.int64]:
    """256 times the mean of each block, row by row. Brighter is larger, whatever the photometric interpretation."""
    chosen = shown(samples)
    if shape.photometric.startswith("YBR"):
        # Only Y tells the brightness that a copy of the image in RGB has.
        chosen = chosen[..., :1]
    brightness = chosen.sum(axis=(0, 3), dtype=np.int64)
    rows, columns = (np.arange(_GRID) * edge // _GRID for edge in brightness.shape)
    sums = np.add.reduceat(np.add.reduceat(brightness, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(starts, append=edge) for starts, edge in zip((rows, columns), brightness.shape, strict=True)
    )
    means: NDArray[np.int64] = (sums * 256 // np.outer(heights, widths)).ravel()
    return -means if shape.photometric == "MONOCHROME1" else means


def _pairs(restore_key: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two blocks for each bit: any block, and one of its 48 neighbours, mirrored where it lies outside the image."""
    key = blake3(restore_key, derive_key_context=_KEY_CONTEXT)
    drawn = np.frombuffer(key.digest(length=2 * _PAIRS), np.uint8).astype(np.int64).reshape(_PAIRS, 2)
    width = 2 * _REACH + 1
    neighbour = drawn[:, 1] % (width * width - 1)
    # The middle is the block itself.
    neighbour += neighbour >= width * width // 2
    row, column = (
        _inside(drawn[:, 0] // _GRID, neighbour // width),
        _inside(drawn[:, 0] % _GRID, neighbour % width),
    )
    return drawn[:, 0], row * _GRID + column


def _inside(at: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
    moved = at + step - _REACH
    mirrored: NDArray[np.int64] = np.where((moved < 0) | (moved >= _GRID), at - step + _REACH, moved)
    return mirrored
