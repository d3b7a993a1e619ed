"""Objects on disk until they are delivered everywhere: written once, durable when named, never changed.

data_dir/spool/tmp        being written; emptied at start
data_dir/spool/<2 hex>/   complete files, named by 32 random hex digits, "-", and the hex BLAKE3 of their bytes
                          as they are on the disk, in clear or ciphered
data_dir/quarantine/      copies (hard links) of what a person should look at
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from gateway.ciphered import Deciphered, Enciphering, SpoolKey, is_ciphered
from gateway.errors import FileMissing, KeyFileError, SpoolCorrupt, SpoolFull
from gateway.seal.octets import Octets, pieces

SHARDS = tuple(f"{number:02x}" for number in range(256))
SUFFIX = ".dcm"
IN_MEMORY_BYTES = 16 << 20  # larger files are read in pieces
READ_BYTES_MAX = 1 << 30
UNSYNCED_BYTES_MAX = 128 << 20  # so that whoever waits for the last sync of a large file does not wait long
# Files written before digests became part of the name have none, and are read as they are.
_DIGEST = re.compile(r"[0-9a-f]{32}-([0-9a-f]{64})")


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

    def keep(self, *parts: Octets) -> str:
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

    def opened(self, name: str) -> AbstractContextManager[Octets]:
        """What `read` gives; not in memory if it is large. Raises FileMissing, SpoolCorrupt."""
        return self.opened_at(self.path(name))

    def opened_at(self, path: Path) -> AbstractContextManager[Octets]:
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
        self._cipher = Enciphering(key) if key is not None else None
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
    def opened(self) -> Iterator[Octets]:
        """What was written; nothing can be written any more. Raises SpoolFull, OSError."""
        self._complete()
        with closing(StoredFile(self.path)) as stored:
            yield stored if self._key is None else Deciphered(stored, self._key)

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


class StoredFile:
    """The bytes of a file, read where a slice is taken (`gateway.seal.octets.Octets`).

    With plain reads and not mapped: a mapped file counts as memory of the process, and a disk error would end it.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._length = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        at, stop, _ = where.indices(self._length)
        found = []
        while at < stop:
            piece = os.pread(self._file.fileno(), min(stop - at, READ_BYTES_MAX), at)
            if not piece:
                raise SpoolCorrupt("the spool file became shorter since it was written")
            found.append(piece)
            at += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def close(self) -> None:
        self._file.close()


@contextmanager
def opened(path: Path, key: SpoolKey | None = None) -> Iterator[Octets]:
    """What `read_checked` gives; not in memory if it is larger than IN_MEMORY_BYTES. Raises the same."""
    with _stored(path) as stored:
        data = _clear(stored, key)
        yield data[:] if len(data) <= IN_MEMORY_BYTES else data


def read_checked(path: Path, key: SpoolKey | None = None) -> bytes:
    """The clear bytes of a file, those that were written if it is named as the spool names files.

    Raises FileMissing; SpoolCorrupt when its BLAKE3 is not the one in its name, or it is ciphered with another key;
    KeyFileError when it is ciphered and there is no key.
    """
    with _stored(path) as stored:
        return _clear(stored, key)[:]


@contextmanager
def _stored(path: Path) -> Iterator[Octets]:
    """The bytes on the disk, checked; those of a small file are read once. Raises FileMissing, SpoolCorrupt."""
    try:
        file = StoredFile(path)
    except FileNotFoundError as error:
        raise FileMissing("the spool has no file for this job") from error
    with closing(file):
        stored: Octets = file[:] if len(file) <= IN_MEMORY_BYTES else file
        _check(path, stored)
        yield stored


def _clear(stored: Octets, key: SpoolKey | None) -> Octets:
    if not is_ciphered(stored):
        return stored
    if key is None:
        raise KeyFileError(
            "the spool file is ciphered", hint="Configure gateway.spool_key, the key it was with."
        )
    clear = Deciphered(stored, key)
    clear.verify_end()
    return clear


def _check(path: Path, data: Octets) -> None:
    """Raises SpoolCorrupt."""
    named = _DIGEST.fullmatch(path.stem)
    if not named:
        return
    digest = blake3()
    for piece in pieces(data):
        digest.update(piece)
    if digest.hexdigest() != named[1]:
        raise SpoolCorrupt("the spool file changed since it was written")


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
