"""The spool on a local disk.

data_dir/spool/tmp        being written; emptied at start
data_dir/spool/<2 hex>/   complete objects, named by 32 random hex digits, "-", and the hex BLAKE3 of their bytes
                          as they are on the disk, in clear or encrypted
data_dir/quarantine/      objects that a person should look at (hard links)

Users name objects. Where an object lies is known to this module and to `quarantine`.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import FileMissing, ResourceError, SpoolFull
from gateway.runtime import durable
from gateway.spool.cipher import DecryptedSource, EncryptingWriter, SpoolKey
from gateway.spool.contract import Draft
from gateway.spool.stored import StoredFile, opened, read_checked, stored_bytes

SHARDS = tuple(f"{number:02x}" for number in range(256))
SUFFIX = ".dcm"
# More is synced while a large file is written, so that nobody waits long for its last sync.
UNSYNCED_BYTES_MAX = 128 << 20
# Why a hard link cannot be made where a copy can.
NOT_LINKED = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


class LocalSpool:
    """See gateway.spool.contract.Spool."""

    def __init__(
        self, data_dir: Path, *, free_bytes_min: int = 0, key: SpoolKey | None = None, makes: bool = True
    ) -> None:
        """data_dir: the gateway's data folder.
        free_bytes_min: free bytes of the disk below which nothing is put.
        key: encrypts what is put, and opens what was encrypted; None: what is put lies in clear.
        makes: whether the folders are made; one that only reads leaves that to the service.

        Raises SpoolFull when the folders cannot be made.
        """
        self._key = key
        self._root = data_dir / "spool"
        self._drafts = self._root / "tmp"
        self._quarantine = data_dir / "quarantine"
        self._free_bytes_min = free_bytes_min
        if not makes:
            return
        try:
            for folder in (self._drafts, self._quarantine, *(self._root / shard for shard in SHARDS)):
                folder.mkdir(parents=True, exist_ok=True)
            durable.sync_folder(self._root)
        except OSError as error:
            raise SpoolFull(f"{data_dir}: {error.strerror}") from error

    def put(self, *parts: ByteSource) -> str:
        draft = self.draft()
        for part in parts:
            for piece in pieces(part):
                draft.write(piece)
        return draft.keep()

    def draft(self) -> Draft:
        try:
            self._check_room()
            return LocalDraft(self._drafts / os.urandom(16).hex(), self._path, self._key, self._check_room)
        except OSError as error:
            raise SpoolFull(f"the spool can't be written: {error.strerror}") from error

    def _check_room(self) -> None:
        """Raises SpoolFull when the disk is below its watermark, OSError when nobody knows."""
        if self.free_bytes() < self._free_bytes_min:
            raise SpoolFull("the disk of the spool is below its watermark")

    def open(self, name: str) -> AbstractContextManager[ByteSource]:
        return opened(self._path(name), self._key)

    def read(self, name: str) -> bytes:
        return read_checked(self._path(name), self._key)

    def size(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError as error:
            raise FileMissing("the spool has no such object") from error
        except OSError as error:
            raise ResourceError(f"the spool can't be read: {error.strerror}") from error

    def check(self, name: str) -> int:
        with stored_bytes(self._path(name)) as stored:
            return len(stored)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError):
                self._path(name).unlink(missing_ok=True)

    def quarantine(self, name: str) -> None:
        try:
            durable.link(self._path(name), self._quarantine / (name + SUFFIX))
        except OSError as error:
            raise SpoolFull(f"the quarantine can't be written: {error.strerror}") from error

    def copy_to(self, other: LocalSpool, names: Iterable[str]) -> None:
        """Place objects in another spool under the same names, as hard links, or as copies on another disk.

        They are not synced yet. Names of no object are passed over: it was delivered meanwhile.

        Raises OSError.
        """
        for name in names:
            link_or_copy(self._path(name), other._path(name))

    def names(self, *, older_than_s: float | None = None) -> Iterator[str]:
        latest = None if older_than_s is None else time.time() - older_than_s
        for shard in SHARDS:
            for path in (self._root / shard).glob("*" + SUFFIX):
                try:
                    if latest is None or path.stat().st_mtime <= latest:
                        yield path.stem
                except FileNotFoundError:
                    # Another thread removed it since the folder was listed.
                    continue

    def clear_drafts(self) -> int:
        leftovers = list(self._drafts.iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def has_room(self) -> bool:
        return self.free_bytes() >= self._free_bytes_min

    def writable(self) -> bool:
        probe = self._drafts / f"probe-{os.urandom(8).hex()}"
        try:
            probe.write_bytes(b"\0")
            probe.unlink()
        except OSError:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / (name + SUFFIX)


class LocalDraft:
    """See gateway.spool.contract.Draft."""

    def __init__(
        self,
        path: Path,
        final: Callable[[str], Path],
        key: SpoolKey | None,
        check_room: Callable[[], None],
    ) -> None:
        """path: the file while it is written; its name begins the name of the object.
        final: where the file of a name belongs.
        key: encrypts what is written.
        check_room: raises SpoolFull when the disk is below its watermark.

        Raises OSError.
        """
        self._path, self._final, self._key, self._check_room = path, final, key, check_room
        self._encrypting = EncryptingWriter(key) if key is not None else None
        self._digest = blake3()
        self._unsynced = 0
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        self._append(data if self._encrypting is None else self._encrypting.update(data))

    @contextmanager
    def open(self) -> Iterator[ByteSource]:
        self._complete()
        with closing(StoredFile(self._path)) as stored:
            yield stored if self._key is None else DecryptedSource(stored, self._key)

    def keep(self) -> str:
        self._complete()
        name = f"{self._path.name}-{self._digest.hexdigest()}"
        try:
            with self._file:
                os.fsync(self._file.fileno())
            durable.rename(self._path, self._final(name))
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        return name

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> None:
        """Raises SpoolFull."""
        self._digest.update(data)
        try:
            durable.write_all(self._file.fileno(), data)
            self._unsynced += len(data)
            if self._unsynced > UNSYNCED_BYTES_MAX:
                os.fdatasync(self._file.fileno())
                self._unsynced = 0
                # An object without an end must not take what the database and other writers need.
                self._check_room()
        except SpoolFull:
            self.discard()
            raise
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def _complete(self) -> None:
        """Write the last encrypted bytes, once. Raises SpoolFull."""
        encrypting, self._encrypting = self._encrypting, None
        if encrypting is not None:
            self._append(encrypting.final())

    def _failed(self, error: OSError | ValueError) -> SpoolFull:
        """error: a ValueError says that another thread discarded the draft."""
        self.discard()
        return SpoolFull(f"the spool can't be written: {getattr(error, 'strerror', 'file discarded')}")


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy on another disk. Nothing happens when `source` is gone.

    Raises OSError.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in NOT_LINKED:
            raise
        try:
            shutil.copy2(source, target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
