"""Objects on disk until they are delivered everywhere: written once, durable when named, never changed.

data_dir/spool/tmp        being written; emptied at start
data_dir/spool/<2 hex>/   complete files, named by 32 random hex digits, "-", and the hex BLAKE3 of their bytes
data_dir/quarantine/      copies (hard links) of what a person should look at
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from gateway.errors import FileMissing, SpoolCorrupt, SpoolFull

SHARDS = tuple(f"{number:02x}" for number in range(256))
SUFFIX = ".dcm"
# Files written before digests became part of the name have none, and are read as they are.
_DIGEST = re.compile(r"[0-9a-f]{32}-([0-9a-f]{64})")


class Spool:
    """Safe from several threads and processes; a name belongs to one content for ever."""

    def __init__(self, data_dir: Path, *, free_bytes_min: int = 0) -> None:
        """Makes the folders. Raises SpoolFull when that fails."""
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

    def keep(self, *parts: bytes) -> str:
        """The name under which the joined parts are durable (file and folder entry). Raises SpoolFull."""
        number, digest = os.urandom(16).hex(), blake3()
        temporary = self._temporary / number
        try:
            if self.free_bytes() < self._free_bytes_min:
                raise SpoolFull("the disk of the spool is below its watermark")
            with temporary.open("wb", buffering=0) as file:
                for part in parts:
                    digest.update(part)
                    _write_all(file.fileno(), part)
                os.fsync(file.fileno())
            name = f"{number}-{digest.hexdigest()}"
            final = self.path(name)
            temporary.rename(final)
            _sync_folder(final.parent)
        except OSError as error:
            with suppress(OSError):  # nor removed, where the disk turned read-only
                temporary.unlink(missing_ok=True)
            raise SpoolFull(f"the spool can't be written: {error.strerror}") from error
        return name

    def path(self, name: str) -> Path:
        return self._root / name[:2] / (name + SUFFIX)

    def read(self, name: str) -> bytes:
        """Exactly the bytes that were kept. Raises FileMissing, SpoolCorrupt."""
        return read_checked(self.path(name))

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


def read_checked(path: Path) -> bytes:
    """The bytes of a file, those that were written if it is named as the spool names files.

    Raises FileMissing, and SpoolCorrupt when its BLAKE3 is not the one in its name.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FileMissing("the spool has no file for this job") from error
    named = _DIGEST.fullmatch(path.stem)
    if named and blake3(data).hexdigest() != named[1]:
        raise SpoolCorrupt("the spool file changed since it was written")
    return data


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
