"""The Merkle tree of RFC 6962 2.1 with SHA-256: its hashes, and a tree that grows and keeps only its right edge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Self

HASH_BYTES = 32
# Of a tree without leaves.
EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """A growing tree. It keeps the roots of its largest perfect subtrees: one hash for each bit of its size."""

    def __init__(self) -> None:
        self._subtrees: list[tuple[int, bytes]] = []
        self.size = 0

    def add(self, subtree: bytes, *, height: int = 0) -> None:
        """Append a perfect subtree at the right.

        subtree: its root; at height 0 the hash of a leaf.
        height: it has 2^height leaves; the size of the tree must be a multiple of that.
        """
        assert self.size % (1 << height) == 0, "a perfect subtree begins at a multiple of its size"
        self.size += 1 << height
        while self._subtrees and self._subtrees[-1][0] == height:
            subtree = node_hash(self._subtrees.pop()[1], subtree)
            height += 1
        self._subtrees.append((height, subtree))

    def root(self) -> bytes:
        """The Merkle tree hash, 32 bytes."""
        if not self._subtrees:
            return EMPTY_ROOT
        *others, (_, root) = self._subtrees
        for _, subtree in reversed(others):
            root = node_hash(subtree, root)
        return root

    @classmethod
    def of(cls, leaves: Iterable[bytes], *, height: int = 0) -> Self:
        """The tree of these subtrees, all of the same height, in their order."""
        tree = cls()
        for leaf in leaves:
            tree.add(leaf, height=height)
        return tree
