"""The ledger on disk, for those who read it, also while the service adds to it. LEDGER.md has the files.

Full tiles and bundles never change. What is not a full bundle yet is in the file `open`, each entry with a check.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import LedgerBroken, ResourceError
from gateway.ledger.checkpoint import NOTE_BYTES_MAX, SignedCheckpoint
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.tiles import HEIGHT, WIDTH, bundle_path, entries_of, hashes_of, tile_path, widths

# In data_dir.
FOLDER = "ledger"
ORIGIN, OPEN, CHECKPOINT, KEYS, STAMPS, TILES = "origin", "open", "checkpoint", "keys", "stamps", "tile"
_OPEN_HEADER = struct.Struct(">8sQ")
_MAGIC = b"sgledger"
_LENGTH = struct.Struct(">H")
# Of the hash of an entry, behind it: what a power cut left half written is told by that.
_CHECK_BYTES = 8
HINT = "Check the disk and the rights of gateway.data_dir."


@dataclass(frozen=True)
class LedgerStamp:
    """A time stamp of a checkpoint.

    size: of the checkpoint.
    made_at: when it was written here, Unix seconds.
    """

    size: int
    made_at: float


@dataclass(frozen=True)
class OpenBundle:
    """The last entries, which do not fill a bundle yet.

    base: how many entries are before them.
    """

    base: int
    entries: tuple[bytes, ...]

    @property
    def end(self) -> int:
        return self.base + len(self.entries)

    def encode(self) -> bytes:
        return _OPEN_HEADER.pack(_MAGIC, self.base) + b"".join(map(framed, self.entries))

    @classmethod
    def decode(cls, data: bytes) -> OpenBundle:
        """What follows the last whole entry was never promised to anybody, and is left out.

        Raises LedgerBroken when it does not begin as such a file.
        """
        if len(data) < _OPEN_HEADER.size or data[: len(_MAGIC)] != _MAGIC:
            raise LedgerBroken("the ledger's file of last entries is damaged")
        _, base = _OPEN_HEADER.unpack_from(data)
        if base % WIDTH:
            raise LedgerBroken("the ledger's file of last entries is damaged")
        entries, at = [], _OPEN_HEADER.size
        while len(data) - at >= _LENGTH.size:
            begin = at + _LENGTH.size
            end = begin + _LENGTH.unpack_from(data, at)[0]
            entry = data[begin:end]
            if data[end : end + _CHECK_BYTES] != leaf_hash(entry)[:_CHECK_BYTES]:
                break
            entries.append(entry)
            at = end + _CHECK_BYTES
        return cls(base, tuple(entries))


def framed(entry: bytes) -> bytes:
    """An entry as it stands in the file of the open bundle: behind its length, and before its check."""
    return _LENGTH.pack(len(entry)) + entry + leaf_hash(entry)[:_CHECK_BYTES]


class LedgerFolder:
    """Reads. All methods raise ResourceError when the disk fails, LedgerBroken when files are missing or damaged."""

    def __init__(self, path: Path) -> None:
        """path: data_dir/ledger."""
        self.path = path

    @property
    def exists(self) -> bool:
        return (self.path / OPEN).exists()

    def origin(self) -> str | None:
        """The name of this ledger; None when it has none yet."""
        content = self._read_if_there(ORIGIN)
        return None if content is None else content.decode("ascii", "replace").strip()

    def checkpoint(self) -> SignedCheckpoint | None:
        """The newest one; None when nothing was signed yet."""
        note = self._read_if_there(CHECKPOINT)
        return None if note is None else SignedCheckpoint.parse(note)

    def verifier_keys(self) -> list[str]:
        """The verifier keys of all who signed checkpoints, the last one last."""
        return (self._read_if_there(KEYS) or b"").decode("utf-8", "replace").splitlines()

    def stamps(self) -> list[int]:
        """The sizes of the checkpoints that have a time stamp, ascending."""
        try:
            return sorted(
                int(path.stem) for path in (self.path / STAMPS).glob("*.tst") if path.stem.isdecimal()
            )
        except OSError as error:
            raise _failed(error) from error

    def last_stamp(self) -> LedgerStamp | None:
        """The newest time stamp; None when there is none."""
        sizes = self.stamps()
        if not sizes:
            return None
        try:
            return LedgerStamp(sizes[-1], (self.path / STAMPS / f"{sizes[-1]}.tst").stat().st_mtime)
        except OSError as error:
            raise _failed(error) from error

    def open_bundle(self) -> OpenBundle:
        content = self._read_if_there(OPEN)
        if content is None:
            raise LedgerBroken("the ledger has lost its file of last entries")
        return OpenBundle.decode(content)

    def entries(self, *, stop: int, start: int = 0) -> Iterator[bytes]:
        """The entries from `start` on, before `stop`. They were durable when somebody told that number."""
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            first = number * WIDTH
            entries = self.bundle(number, width=min(WIDTH, stop - first))
            yield from entries[max(0, start - first) :]

    def bundle(self, number: int, *, width: int = WIDTH) -> list[bytes]:
        """The first `width` entries of a bundle, full or not."""
        # It is filled and gets its file between the two looks at most once.
        for _ in range(2):
            content = self._read_if_there(bundle_path(number))
            if content is not None:
                entries = entries_of(content, where=bundle_path(number))
                if len(entries) != WIDTH:
                    raise LedgerBroken(f"{bundle_path(number)}: it has not {WIDTH} entries")
                return entries[:width]
            last = self.open_bundle()
            if last.base == number * WIDTH and len(last.entries) >= width:
                return list(last.entries[:width])
        raise LedgerBroken(f"{bundle_path(number)}: missing")

    def hashes(self, level: int, number: int, width: int) -> list[bytes]:
        """The first `width` hashes of a tile, full or not."""
        if not width:
            return []
        content = self._read_if_there(tile_path(level, number))
        if content is not None:
            hashes = hashes_of(content, where=tile_path(level, number))
            if len(hashes) < WIDTH:
                raise LedgerBroken(f"{tile_path(level, number)}: it has not {WIDTH} hashes")
            return hashes[:width]
        if not level:
            return [leaf_hash(entry) for entry in self.bundle(number, width=width)]
        first = number * WIDTH
        return [
            Frontier.of(self.hashes(level - 1, first + place, WIDTH), height=0).root()
            for place in range(width)
        ]

    def tree(self, size: int) -> Frontier:
        """The tree of the first `size` entries, from few tiles."""
        tree = Frontier()
        for level, count in reversed(list(enumerate(widths(size)))):
            for subtree in self.hashes(level, count // WIDTH, count % WIDTH):
                tree.add(subtree, height=HEIGHT * level)
        return tree

    def check(self) -> None:
        """Raises LedgerBroken when it is not the ledger that was signed last, or is shorter."""
        last, signed = self.open_bundle(), self.checkpoint()
        if signed is None:
            return
        if last.end < signed.checkpoint.size:
            raise LedgerBroken(f"the ledger has {last.end} entries, and {signed.checkpoint.size} were signed")
        if self.tree(signed.checkpoint.size).root() != signed.checkpoint.root:
            raise LedgerBroken("the entries of the ledger are not those that were signed")

    def _read_if_there(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(error) from error


def read_note(path: Path) -> SignedCheckpoint:
    """A checkpoint in a file.

    Raises LedgerBroken when it is none, OSError when it can't be read.
    """
    with path.open("rb") as file:
        return SignedCheckpoint.parse(file.read(NOTE_BYTES_MAX + 1))


def _failed(error: OSError) -> ResourceError:
    return ResourceError(f"the ledger can't be read: {error.strerror or error}", hint=HINT)
