"""The audit log of access to records: one JSON object a line, on the disk before the answer goes out."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from gateway.errors import AuditFailed
from gateway.runtime.durable import sync_folder

FILE_NAME = "audit.log"


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
    """

    caller: str | None
    address: str
    role: str
    action: str
    outcome: str
    reason: str
    instance: str | None = None
    record_instance: str | None = None


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

    def write(self, access: AccessRecord) -> None:
        """Durable when it returns. Raises AuditFailed, and then the file is as before."""
        try:
            fields = asdict(access)
            self._log.msg(fields.pop("action"), **fields)
        except OSError as error:
            raise AuditFailed(f"the audit log can't be written: {error.strerror}") from error


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
