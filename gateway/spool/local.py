"""Objects on disk until they are delivered everywhere: written once, durable when named, never changed.

data_dir/spool/tmp        being written; emptied at start
data_dir/spool/<2 hex>/   complete files, named by 32 random hex digits, "-", and the hex BLAKE3 of their bytes
                          as they are on the disk, in clear or ciphered
data_dir/quarantine/      copies (hard links) of what a person should look at
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import (
    SpoolFull,
)
from gateway.spool.cipher import (
    DecryptedSource,
    EncryptingWriter,
    SpoolKey,
)
from gateway.spool.stored import StoredFile, _stored, opened, read_checked

SHARDS = tuple(f"{number:02x}" for number in range(256))
SUFFIX = ".dcm"
UNSYNCED_BYTES_MAX = 128 << 20  # so that whoever waits for the last sync of a large file does not wait long


class Spool:
    """Safe from several threads and processes; a name belongs to one content for ever."""

    def __init__(self, data_dir: Path, *, free_bytes_min: int = 0, key: SpoolKey | None = None) -> None:
        """Makes the folders. key: what is written is ciphered with it. Raises SpoolFull when that fails."""
        self._key = key
        self._root = data_dir / "spool"
        self._temporary = self._root / "tmp"
        self._quarantine = data_dir / "quarantine"
        self._free_bytes_min = free_bytes_min
        try:
            for folder in (self._temporary, self._quarantine, *(self._root / shard for shard in SHARDS)):
                folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(self._root)
        except OSError as error:
            raise SpoolFull(f"{data_dir}: {error.strerror}") from error

    def keep(self, *parts: ByteSource) -> str:
        """The name under which the joined parts are durable (file and folder entry). Raises SpoolFull."""
        draft = self.draft()
        for part in parts:
            for piece in pieces(part):
                draft.write(piece)
        return draft.keep()

    def draft(self) -> Draft:
        """A file to be written bit by bit. Raises SpoolFull."""
        try:
            if self.free_bytes() < self._free_bytes_min:
                raise SpoolFull("the disk of the spool is below its watermark")
            return Draft(self._temporary / os.urandom(16).hex(), self.path, self._key)
        except OSError as error:
            raise SpoolFull(f"the spool can't be written: {error.strerror}") from error

    def path(self, name: str) -> Path:
        return self._root / name[:2] / (name + SUFFIX)

    def read(self, name: str) -> bytes:
        """Exactly the bytes that were kept. Raises FileMissing, SpoolCorrupt."""
        return read_checked(self.path(name), self._key)

    def opened(self, name: str) -> AbstractContextManager[ByteSource]:
        """What `read` gives; not in memory if it is large. Raises FileMissing, SpoolCorrupt."""
        return self.opened_at(self.path(name))

    def opened_at(self, path: Path) -> AbstractContextManager[ByteSource]:
        """The same for a file of the spool or the quarantine, or any other."""
        return opened(path, self._key)

    def checked(self, name: str) -> int:
        """The bytes it takes on the disk, where they are those that were written. Raises FileMissing, SpoolCorrupt."""
        with _stored(self.path(name)) as stored:
            return len(stored)

    def remove(self, names: Iterable[str]) -> None:
        """What can't be removed now, on a disk that turned read-only, is left to `reconcile.remove_orphans`."""
        for name in names:
            with suppress(OSError):
                self.path(name).unlink(missing_ok=True)

    def quarantine(self, name: str) -> Path:
        """A second name for the bytes, which stays when the first is removed. Repeats change nothing."""
        target = self._quarantine / (name + SUFFIX)
        try:
            os.link(self.path(name), target)
        except FileExistsError:
            return target
        except OSError as error:
            raise SpoolFull(f"the quarantine can't be written: {error.strerror}") from error
        _sync_folder(self._quarantine)
        return target

    def names(self, *, older_than_s: float = 0.0) -> Iterator[str]:
        """All complete files whose last change is at least that long ago."""
        latest = time.time() - older_than_s
        for shard in SHARDS:
            for path in (self._root / shard).glob("*" + SUFFIX):
                try:
                    if path.stat().st_mtime <= latest:
                        yield path.stem
                except FileNotFoundError:  # removed by another thread since it was listed
                    continue

    def clear_temporary(self) -> int:
        """At start: what was being written when the last run ended. How many files."""
        leftovers = list(self._temporary.iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def has_room(self) -> bool:
        return self.free_bytes() >= self._free_bytes_min

    def writable(self) -> bool:
        """Whether a file can be made and written; a disk that turned read-only after an error still has room."""
        probe = self._temporary / f"probe-{os.urandom(8).hex()}"
        try:
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError:
            return False
        return True


class Draft:
    """A file of the spool that is being written; gone without a trace unless it is kept. For one thread at a time."""

    def __init__(self, path: Path, final: Callable[[str], Path], key: SpoolKey | None = None) -> None:
        """final: where the file of a name belongs. Raises OSError."""
        self._key = key
        self._cipher = EncryptingWriter(key) if key is not None else None
        self.path = path
        self._final = final
        self._digest = blake3()
        self._unsynced = 0
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Raises SpoolFull; then there is no file any more."""
        self._put(data if self._cipher is None else self._cipher.update(data))

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        try:
            _write_all(self._file.fileno(), data)
            self._unsynced += len(data)
            if self._unsynced > UNSYNCED_BYTES_MAX:
                os.fdatasync(self._file.fileno())
                self._unsynced = 0
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    @contextmanager
    def opened(self) -> Iterator[ByteSource]:
        """What was written; nothing can be written any more. Raises SpoolFull, OSError."""
        self._complete()
        with closing(StoredFile(self.path)) as stored:
            yield stored if self._key is None else DecryptedSource(stored, self._key)

    def _complete(self) -> None:
        """Raises SpoolFull."""
        cipher, self._cipher = self._cipher, None
        if cipher is not None:
            self._put(cipher.final())

    def keep(self) -> str:
        """The name under which it is durable. Raises SpoolFull; then there is no file any more."""
        self._complete()
        name = f"{self.path.name}-{self._digest.hexdigest()}"
        final = self._final(name)
        try:
            with self._file:
                os.fsync(self._file.fileno())
            self.path.rename(final)
            _sync_folder(final.parent)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        return name

    def discard(self) -> None:
        """Nothing happens after `keep`."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _failed(self, error: OSError | ValueError) -> SpoolFull:
        """ValueError: it was discarded by another thread."""
        self.discard()
        return SpoolFull(f"the spool can't be written: {getattr(error, 'strerror', 'file discarded')}")


def _write_all(descriptor: int, data: bytes) -> None:
    """os.write takes at most 2 GiB at once and may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[: 1 << 30]) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
