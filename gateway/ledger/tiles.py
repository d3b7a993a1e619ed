"""Tiles and entry bundles of C2SP tlog-tiles: how they are named and what is in them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from gateway.errors import LedgerBroken
from gateway.ledger.merkle import HASH_BYTES

# Hashes of a full tile, and entries of a full bundle.
WIDTH = 256
# A tile is so many levels of the tree high: 2^8 hashes.
HEIGHT = 8
_LENGTH = struct.Struct(">H")


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Where a tile is, below the folder of the ledger.

    level: 0 for hashes of leaves; at level n each hash stands for 256^n leaves.
    number: of the tile in its level, from 0.
    width: hashes in it, 1 to 256.
    """
    return f"tile/{level}/{_numbered(number, width)}"


def bundle_path(number: int, width: int = WIDTH) -> str:
    """Where an entry bundle is. number, width: as of a tile of level 0."""
    return f"tile/entries/{_numbered(number, width)}"


def bundle(entries: Iterable[bytes]) -> bytes:
    """Each entry behind its length, two bytes in big endian."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def entries_of(data: bytes, *, where: str) -> list[bytes]:
    """The entries of a bundle.

    where: its name, for the error.
    Raises LedgerBroken when it does not end with an entry.
    """
    entries, at = [], 0
    while at < len(data):
        if len(data) - at < _LENGTH.size:
            raise LedgerBroken(f"{where}: it ends within the length of an entry")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if len(data) - at < length:
            raise LedgerBroken(f"{where}: it ends within an entry")
        entries.append(data[at : at + length])
        at += length
    return entries


def hashes_of(data: bytes, *, where: str) -> list[bytes]:
    """The hashes of a tile.

    where: its name, for the error.
    Raises LedgerBroken when it does not consist of 1 to 256 hashes.
    """
    if not data or len(data) % HASH_BYTES or len(data) > WIDTH * HASH_BYTES:
        raise LedgerBroken(f"{where}: it is no tile")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def tile(hashes: Sequence[bytes]) -> bytes:
    return b"".join(hashes)


def widths(size: int) -> list[int]:
    """For each level of a tree with so many leaves, how many hashes it has. No level for an empty tree."""
    counts = []
    while size:
        counts.append(size)
        size //= WIDTH
    return counts


def _numbered(number: int, width: int) -> str:
    digits = [f"{number % 1000:03d}"]
    while number := number // 1000:
        digits.append(f"x{number % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return "/".join(reversed(digits)) + partial
