"""Where an image differs from the sealed one: its tiles, compared with the digests in the private block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gateway.dicom.image import PixelFormat
from gateway.seal.block import digest
from gateway.seal.block.digest import Tile


@dataclass(frozen=True)
class Tampering:
    """The tiles that changed.

    changed: in the order of the image.
    total: number of all tiles.
    with_content: number of tiles whose samples are not all the same.
    """

    changed: tuple[Tile, ...]
    total: int
    with_content: int

    @property
    def spread(self) -> float:
        """Share of the tiles with content that changed; 0 for a single tile, which can't be a change all over."""
        return len(self.changed) / max(self.with_content, 1) if len(self.changed) > 1 else 0.0


def tampering(
    pieces: Iterable[NDArray[Any]], shape: PixelFormat, tile_digests: bytes, edge: int
) -> Tampering | None:
    """The tiles of an image that differ from the sealed ones; None when the sealed image had another size.

    pieces: the samples, some frames at a time, in order.
    tile_digests: of the sealed image.
    edge: of a tile, in pixels.
    """
    places = digest.tiles(shape.frames, shape.rows, shape.columns, edge)
    size = digest.TILE_DIGEST_BYTES
    if len(places) * size != len(tile_digests):
        return None
    changed: list[Tile] = []
    with_content = first = at = 0
    for samples in pieces:
        present = digest.of_tiles(samples, shape, edge, first=first)
        for number in range(len(present) // size):
            frame, row, column, height, width = tile = places[at + number]
            part = samples[frame - first, row : row + height, column : column + width]
            with_content += bool(part.min() != part.max())
            sealed = tile_digests[(at + number) * size : (at + number + 1) * size]
            if present[number * size : (number + 1) * size] != sealed:
                changed.append(tile)
        first, at = first + len(samples), at + len(present) // size
    return Tampering(tuple(changed), len(places), with_content)
