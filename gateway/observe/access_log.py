"""The audit log of access to records: one JSON object a line, on the disk before the answer goes out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from gateway.errors import AuditFailed
from gateway.runtime.durable import sync_folder

FILE_NAME = "audit.log"
# For so long denials of one kind are counted.
COUNTED_S = 60.0
# Kinds that are counted at once.
KINDS_MAX = 100
# In place of the address of a denial above that.
VARIOUS = "various"


@dataclass(frozen=True, kw_only=True)
class AccessRecord:
    """One access, allowed or not. No patient data: instances are named by their pseudonyms.

    caller: the name of the caller, None when nobody knows it.
    address: where the request came from.
    role: the role that the access needs.
    action: what was done, or would have been done.
    outcome: `allowed`, `denied` (this caller may not), or `failed` (the work broke off).
    reason: a code word.
    instance: the pseudonym of the object's SOP Instance UID, None when nobody knows the UID.
    record_instance: the pseudonym of the UID in the hidden record, which tells whose record was read.
    times: of a line that stands for several denials, how many. None for one access.
    """

    caller: str | None
    address: str
    role: str
    action: str
    outcome: str
    reason: str
    instance: str | None = None
    record_instance: str | None = None
    times: int | None = None


@dataclass
class _CountedDenials:
    """The denials of one kind since their first line.

    until: when they are written down, seconds of the clock.
    times: those after the first one.
    """

    first: AccessRecord
    until: float
    times: int = 0


class Denials:
    """Denials of the same kind are one line at once, and a minute later one with the number of those that followed.

    So nothing is lost, and nobody can fill the disk with denials: in a minute there are at most two lines for each of
    KINDS_MAX kinds; whatever else is denied is of the kind "various callers". For several threads.
    """

    def __init__(
        self, write: Callable[[AccessRecord], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """write: durable when it returns. Raises AuditFailed.
        clock: seconds.
        """
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[AccessRecord, _CountedDenials] = {}

    def note(self, access: AccessRecord) -> None:
        """Raises AuditFailed, and then the denial is not noted."""
        with self._lock:
            self._flush(everything=False)
            if access not in self._counted and len(self._counted) >= KINDS_MAX:
                access = replace(access, caller=None, address=VARIOUS)
            counted = self._counted.get(access)
            if counted is None:
                self._write(access)
                self._counted[access] = _CountedDenials(access, self._clock() + COUNTED_S)
            else:
                counted.times += 1

    def flush(self, *, everything: bool) -> None:
        """Raises AuditFailed."""
        with self._lock:
            self._flush(everything=everything)

    def _flush(self, *, everything: bool) -> None:
        now = self._clock()
        for kind, counted in list(self._counted.items()):
            if everything or counted.until <= now:
                if counted.times:
                    self._write(replace(counted.first, times=counted.times))
                del self._counted[kind]


class AccessLog:
    """Appends to `audit.log` (mode 0600) in the data folder. For several threads.

    The file is opened for each line, so that it can be moved away at any time.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = _DurableLines(data_dir / FILE_NAME)
        self._log = structlog.wrap_logger(
            self._file,
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.EventRenamer("action"),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.BoundLogger,
        )
        self._denials = Denials(self.write)

    def write(self, access: AccessRecord) -> None:
        """Durable when it returns. Raises AuditFailed, and then the file is as before."""
        try:
            fields = asdict(access)
            if access.times is None:
                del fields["times"]
            self._log.msg(fields.pop("action"), **fields)
        except OSError as error:
            raise AuditFailed(f"the audit log can't be written: {error.strerror}") from error

    def deny(self, access: AccessRecord) -> None:
        """Write a denial, or count it among those of its kind. Raises AuditFailed, and then it is not noted."""
        self._denials.note(access)

    def flush(self, *, everything: bool = False) -> None:
        """Write how many denials were counted, of each kind whose time is over.

        everything: of each kind, as at the end of the gateway.
        Raises AuditFailed, and then they are still counted.
        """
        self._denials.flush(everything=everything)


class _DurableLines:
    """A logger that writes each line to the disk. For several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write one line, durable when it returns. Raises OSError, and then the file is as before."""
        data = line.encode() + b"\n"
        with self._lock:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                length = os.fstat(descriptor).st_size
                os.fchmod(descriptor, 0o600)
                try:
                    if os.write(descriptor, data) != len(data):
                        raise OSError(0, "no space for a whole line")
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, length)
                    raise
            finally:
                os.close(descriptor)
            if length == 0:
                sync_folder(self._path.parent)
