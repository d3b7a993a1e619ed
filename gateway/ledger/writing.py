"""The ledger, for the one who adds to it. What is added is durable before anybody signs it.

A crash between any two steps leaves the same entries in the same places: full tiles and bundles are written before the
file of last entries lets go of them, and are the same however often they are written. So no two trees of one size are
ever signed.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import LedgerBroken, ResourceError
from gateway.ledger.checkpoint import ORIGIN_PREFIX, Checkpoint, SignedCheckpoint, public_of
from gateway.ledger.folder import (
    CHECKPOINT,
    HINT,
    KEYS,
    OPEN,
    ORIGIN,
    STAMPS,
    LedgerFolder,
    OpenBundle,
    framed,
)
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.tiles import WIDTH, bundle, bundle_path, tile, tile_path, widths
from gateway.runtime import durable

FILE_MODE, FOLDER_MODE = 0o600, 0o700
# Entries that may be given at once.
BATCH_MAX = WIDTH
# So many of the last ones are known again: more than may come between the two times that one is given.
KNOWN_TILES = 4
_ORIGIN_BYTES = 8


class LedgerWriter:
    """Adds entries. For one thread at a time, in the one process that holds the lock of data_dir.

    After ResourceError it is of no use any more: open another one.
    size: entries that are durable.
    """

    def __init__(self, path: Path, *, gateway_id: str) -> None:
        """Open the ledger, or make it, and mend what a crash left behind.

        path: data_dir/ledger.
        gateway_id: begins the name of a new ledger.
        Raises LedgerBroken when it is not what was signed.
        Raises ResourceError when the disk fails.
        """
        self._folder = LedgerFolder(path)
        self._descriptor = -1
        try:
            if not self._folder.exists:
                self._make()
            durable.remove_unfinished(path)
            self._origin = self._named(gateway_id)
            self._folder.check()
            self._signed = self._folder.checkpoint()
            last = self._folder.open_bundle()
            # What is in the cache of the system only must not pass for durable: it is written anew.
            self._begin(last)
            self._levels = [
                self._folder.hashes(level + 1, count // WIDTH, count % WIDTH)
                for level, count in enumerate(widths(last.base)[1:])
            ]
            self._tree = self._folder.tree(last.base)
            self._last: list[bytes] = []
            self._recent = deque(self._before(last.base), maxlen=KNOWN_TILES * WIDTH)
            for entry in last.entries:
                self._take(entry)
        except OSError as error:
            self.close()
            raise _failed(error) from error
        except ResourceError:
            self.close()
            raise

    @property
    def size(self) -> int:
        return self._tree.size

    @property
    def signed(self) -> SignedCheckpoint | None:
        """The newest checkpoint."""
        return self._signed

    def has(self, entry: bytes) -> bool:
        """Whether it is one of the last 1024 entries."""
        return leaf_hash(entry) in self._recent

    def append(self, entries: Sequence[bytes]) -> None:
        """Add entries; they are durable when this returns.

        Raises ResourceError; some of them may have been added.
        """
        try:
            while entries:
                room = WIDTH - len(self._last)
                part, entries = entries[:room], entries[room:]
                durable.write_all(self._descriptor, b"".join(map(framed, part)))
                os.fdatasync(self._descriptor)
                for entry in part:
                    self._take(entry)
        except OSError as error:
            self.close()
            raise _failed(error) from error

    def due(self) -> Checkpoint | None:
        """The checkpoint to be signed; None while there is no news."""
        now = Checkpoint(self._origin, self.size, self._tree.root())
        return None if self._signed is not None and self._signed.checkpoint == now else now

    def keep(self, note: bytes, verifier_key: str) -> None:
        """Put the signed checkpoint in force that `due` asked for.

        verifier_key: of the signer.
        Raises LedgerBroken when something else was signed.
        Raises ResourceError when the disk fails.
        """
        signed = SignedCheckpoint.parse(note)
        if signed.checkpoint != self.due() or not signed.signed_by(public_of(verifier_key)):
            raise LedgerBroken("another checkpoint was signed than was asked for")
        keys = [line for line in self._folder.verifier_keys() if line != verifier_key]
        try:
            if self._folder.verifier_keys() != [*keys, verifier_key]:
                self._replace(KEYS, "".join(f"{line}\n" for line in [*keys, verifier_key]).encode())
            self._replace(CHECKPOINT, note)
        except OSError as error:
            raise _failed(error) from error
        self._signed = signed

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make(self) -> None:
        """Raises LedgerBroken where there was a ledger, OSError."""
        path = self._folder.path
        if (path / "tile").exists() or (path / CHECKPOINT).exists():
            raise LedgerBroken("the ledger has lost its file of last entries")
        _make_folder(path)
        durable.create_at_once(path / OPEN, [OpenBundle(0, ()).encode()], mode=FILE_MODE)

    def _named(self, gateway_id: str) -> str:
        """The name of the ledger. A copy from a backup has none: it goes on under a new one. Raises OSError."""
        name = self._folder.origin()
        if name is None:
            name = f"{ORIGIN_PREFIX}{gateway_id}/{secrets.token_hex(_ORIGIN_BYTES)}"
            durable.create_at_once(self._folder.path / ORIGIN, [f"{name}\n".encode()], mode=FILE_MODE)
        return name

    def _before(self, base: int) -> list[bytes]:
        """Hashes of the entries before the open bundle, as many as are known again."""
        end = base // WIDTH
        return [
            digest
            for number in range(max(0, end - KNOWN_TILES), end)
            for digest in self._folder.hashes(0, number, WIDTH)
        ]

    def _begin(self, last: OpenBundle) -> None:
        """Write the file of last entries anew, and open it to add to it. Raises OSError."""
        self.close()
        self._replace(OPEN, last.encode())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._folder.path / OPEN, flags)

    def _take(self, entry: bytes) -> None:
        """Note an entry that is durable. Raises OSError."""
        digest = leaf_hash(entry)
        self._last.append(entry)
        self._tree.add(digest)
        self._recent.append(digest)
        if len(self._last) == WIDTH:
            self._fill()

    def _fill(self) -> None:
        """The open bundle is full: it and its tile get their files, and a new one begins. Raises OSError."""
        number = self.size // WIDTH - 1
        hashes = [leaf_hash(entry) for entry in self._last]
        self._replace(bundle_path(number), bundle(self._last))
        self._replace(tile_path(0, number), tile(hashes))
        for level in range(1, len(self._levels) + 2):
            if level > len(self._levels):
                self._levels.append([])
            upper = self._levels[level - 1]
            upper.append(Frontier.of(hashes).root())
            if len(upper) < WIDTH:
                break
            number //= WIDTH
            self._replace(tile_path(level, number), tile(upper))
            hashes, self._levels[level - 1] = upper, []
        self._last = []
        self._begin(OpenBundle(self.size, ()))

    def _replace(self, name: str, content: bytes) -> None:
        """Raises OSError."""
        target = self._folder.path / name
        _make_folder(target.parent)
        durable.replace(target, [content], mode=FILE_MODE)


def keep_stamp(path: Path, signed: SignedCheckpoint, token: bytes) -> None:
    """Keep a time stamp over a checkpoint. The checkpoint lies beside it, as it was stamped.

    path: data_dir/ledger.
    Raises ResourceError.
    """
    folder = path / STAMPS
    try:
        _make_folder(folder)
        durable.replace(folder / f"{signed.checkpoint.size}.checkpoint", [signed.note], mode=FILE_MODE)
        durable.replace(folder / f"{signed.checkpoint.size}.tst", [token], mode=FILE_MODE)
    except OSError as error:
        raise _failed(error) from error


def _make_folder(folder: Path) -> None:
    """Make a folder that survives a power cut, with those that it is in. Raises OSError."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    durable.sync_folder(folder.parent)


def _failed(error: OSError) -> ResourceError:
    return ResourceError(f"the ledger can't be written: {error.strerror or error}", hint=HINT)
