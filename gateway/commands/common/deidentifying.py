"""The site's own de-identification: an external command, run for one object at a time, without a shell."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import DeidentificationFailed, UsageError
from gateway.runtime import durable

# A file system without a disk, on Linux: the program must get a clear file, and a clear image should reach no disk.
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class DeidentifyCommand:
    """A program and its arguments. `{in}` and `{out}` stand for files in a folder that nobody else can read, in memory
    where the system has such a file system.

    timeout_s: for one object; then the program and what it started are ended.
    """

    arguments: tuple[str, ...]
    timeout_s: float

    def check(self) -> None:
        """Raises UsageError when the program can't be run."""
        program = Path(self.arguments[0])
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise UsageError(f"release.command: {program} is no program", hint="Give its absolute path.")

    def run(self, data: ByteSource) -> bytes:
        """The object as the program wrote it.

        What it prints is thrown away: it may name the patient.

        Raises DeidentificationFailed when it fails, takes too long, writes nothing, or writes what it was given.
        """
        with tempfile.TemporaryDirectory(prefix="sealgate-", dir=_memory()) as folder:
            given, written = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
            durable.create(given, pieces(data), mode=0o600)
            self._run(given, written)
            if written.is_symlink() or not written.is_file():
                raise DeidentificationFailed("the de-identification wrote no file")
            deidentified = written.read_bytes()
        if deidentified == data[:]:
            raise DeidentificationFailed("the de-identification changed nothing")
        return deidentified

    def _run(self, given: Path, written: Path) -> None:
        command = [
            argument.replace("{in}", str(given)).replace("{out}", str(written)) for argument in self.arguments
        ]
        try:
            process = subprocess.Popen(
                command,
                cwd=given.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A group of its own, so that what it starts ends with it.
                start_new_session=True,
            )
        except OSError as error:
            raise DeidentificationFailed(
                f"the de-identification can't be started: {error.strerror}"
            ) from error
        try:
            code = process.wait(self.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DeidentificationFailed(
                f"the de-identification took longer than {self.timeout_s:g} s"
            ) from error
        finally:
            _end(process)
        if code != 0:
            raise DeidentificationFailed(f"the de-identification ended with exit code {code}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, if it still runs, with everything that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _memory() -> Path | None:
    """None where the system's folder for temporary files must do."""
    return MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
