"""Objects of HTTP callers on their way to a worker process and back: files that only these two processes can read.

They are large, and read in pieces, so they are files. Each exchange has a key of its own that is never written down.
Whatever becomes of the file (a crash, a stolen disk, swapped memory of a file system), it shows no patient.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import SpoolFull
from gateway.spool.cipher import KEY_BYTES, EncryptingWriter, SpoolKey
from gateway.spool.stored import read_checked

# Below data_dir.
FOLDER = "handover"


@dataclass(frozen=True)
class SecretFile:
    """A file that is encrypted with a key of its own."""

    path: Path
    key: SpoolKey = field(repr=False)

    def write(self, data: ByteSource) -> None:
        """Raises SpoolFull when the disk does not take it."""
        writer = EncryptingWriter(self.key)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self.path, flags, 0o600), "wb") as file:
                for piece in pieces(data):
                    file.write(writer.update(piece))
                file.write(writer.final())
        except OSError as error:
            raise SpoolFull(f"an object can't be handed over: {error.strerror}") from error

    def read(self) -> bytes:
        """Raises FileMissing, SpoolCorrupt."""
        return read_checked(self.path, self.key)

    def beside(self, name: str) -> SecretFile:
        """Another file of the same exchange."""
        return SecretFile(self.path.with_name(name), self.key)


@contextmanager
def handed_over(data_dir: Path, data: ByteSource) -> Iterator[SecretFile]:
    """The data as a file, alone in a folder that goes away with it. Raises SpoolFull."""
    try:
        (data_dir / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=data_dir / FOLDER))
    except OSError as error:
        raise SpoolFull(f"{data_dir / FOLDER}: {error.strerror}") from error
    try:
        file = SecretFile(folder / "object", SpoolKey(os.urandom(KEY_BYTES)))
        file.write(data)
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear(data_dir: Path) -> None:
    """Remove what a gateway left behind that was killed. Only while no other gateway uses the folder."""
    with suppress(OSError):
        shutil.rmtree(data_dir / FOLDER)
