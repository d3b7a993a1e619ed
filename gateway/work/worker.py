"""Work on one object in a process of its own: seal, verify, restore, judge.

A hostile object that exhausts memory, hangs or crashes a decoder takes this process with it, not the gateway.
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from gateway.config import Config
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import read
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.dicom.warning import with_warning
from gateway.errors import GatewayError, TooMuchMemory, UnreadableObject
from gateway.observe import where
from gateway.seal import (
    DEFAULT_FIELDS,
    Device,
    SealOptions,
    seal,
)
from gateway.seal.codec import Codec, Frames, Profile
from gateway.seal.examination import Examination
from gateway.seal.restoring import restore, restore_examined
from gateway.seal.verifying import extract, reopen, verify, verify_examined
from gateway.spool import LocalSpool
from gateway.spool.stored import opened, read_checked
from gateway.work.keyring import KeyRing, spool_key

Action = Literal["seal", "verify", "restore", "judge", "mark", "extract", "undo"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """path: the object, a file or a name in the spool.

    action: judge is to verify and only report; mark writes `warning` into it;
    extract reports the hidden record; undo writes the original to `target`, whoever sealed it.

    mark_failing: an object that fails verification is marked and passed on, not kept back.
    """

    action: Action
    path: Path | str
    mark_failing: bool = False
    warning: str = ""
    target: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as it travels between processes; the text names no values of the object."""

    code: str
    text: str
    hint: str
    retry: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """outgoing: spool name of a new file; None: the object is to be sent as it came.

    failure: nothing may be sent. verdict, level, reason: code words. report: the JSON of a task that reports.
    """

    outgoing: str | None = None
    level: str = ""
    reason: str = ""
    verdict: str | None = None
    restored: bool = False
    failure: Failure | None = None
    report: dict[str, Any] | None = None
    seconds: float = 0.0


class Executor:
    """What a worker keeps between tasks: networks, keys, options."""

    def __init__(self, config: Config) -> None:
        """Raises KeyFileError, ResourceError."""
        self._config = config
        self.codec = Codec.load(threads=1)
        self._keys = KeyRing.load(config.keys)
        self._spool_key = spool_key(config)
        self._spool = LocalSpool(config.gateway.data_dir, key=self._spool_key)
        self._options = SealOptions(
            profile=Profile(config.seal.profile),
            fields=config.seal.fields or DEFAULT_FIELDS,
            identity=config.seal.identity,
            device=Device(station_name=config.seal.station_name),
            sealed=config.seal.sealed,
            look=config.seal.look,
            frames=Frames(config.seal.frames),
        )
        self._reopen = (
            partial(
                reopen,
                trusted=self._keys.trusted,
                recipient_key=self._keys.recipient_key,
                codec=self.codec,
            )
            if self._keys.trusted and self._keys.recipient_key
            else None
        )

    def do(self, task: Task) -> Outcome:
        """Raises GatewayError."""
        if task.action == "mark":
            return mark_only(self._config, task)
        if task.action in ("extract", "undo"):
            assert isinstance(task.path, Path)
            return self._open(read_checked(task.path), task)
        source = (
            self._spool.open(task.path) if isinstance(task.path, str) else opened(task.path, self._spool_key)
        )
        with source as data:
            if task.action == "seal":
                return self._seal(data)
            if task.action == "judge":
                report = verify(data, trusted=self._keys.trusted, recipient_key=None, codec=self.codec)
                return Outcome(verdict=str(report.verdict), report=report.to_json())
            return self._verify(data, task)

    def _open(self, data: bytes, task: Task) -> Outcome:
        """What only the holder of the recipient's key can do, for a caller who was let in."""
        key = self._keys.recipient_key
        assert key is not None  # nobody asks without one
        try:
            report: dict[str, Any] = {"sop_instance_uid": read(data).text(SOP_INSTANCE_UID)}
        except UnreadableObject:
            report = {"sop_instance_uid": ""}
        if task.action == "extract":
            return Outcome(report=report | asdict(extract(data, recipient_key=key, codec=self.codec)))
        assert task.target is not None
        original, restoration = restore(data, recipient_key=key, codec=self.codec)
        if original is not None:
            task.target.write_bytes(original)
        return Outcome(restored=original is not None, report=report | asdict(restoration))

    def _seal(self, data: ByteSource) -> Outcome:
        assert (
            self._keys.recipient is not None and self._keys.signer is not None
        )  # the configuration asks for them
        sealed, result = seal(
            data,
            recipient=self._keys.recipient,
            signer=self._keys.signer,
            codec=self.codec,
            options=self._options,
            now=datetime.now(UTC),
            reopen=self._reopen,
        )
        outgoing = None if sealed is data else self._spool.put(sealed)
        return Outcome(outgoing=outgoing, level=result.level, reason=result.reason)

    def _verify(self, data: ByteSource, task: Task) -> Outcome:
        """What verifies goes on, as it is or restored; what does not is a failure, or goes on with a mark."""
        examination = Examination(data, self.codec)
        report = verify_examined(
            examination, trusted=self._keys.trusted, recipient_key=self._keys.recipient_key
        )
        verdict, level = str(report.verdict), str(report.level or "")
        wrong = None if report.ok else verdict
        original = None
        if report.ok and task.action == "restore":
            assert self._keys.recipient_key is not None
            original, restoration = restore_examined(examination, recipient_key=self._keys.recipient_key)
            wrong = None if original is not None else f"not-restored-{restoration.reason}"
        if wrong is None:
            outgoing = self._spool.put(original) if original is not None else None
            restored = original is not None
            return Outcome(outgoing=outgoing, level=level, reason=verdict, verdict=verdict, restored=restored)
        if task.mark_failing and verdict != "unreadable":
            outgoing = self._spool.put(with_warning(data, f"verification failed: {wrong}"))
            return Outcome(outgoing=outgoing, level=level, reason=wrong, verdict=verdict)
        failure = Failure(
            code=wrong, text="verification failed", hint="Look at it in the quarantine folder.", retry=False
        )
        return Outcome(verdict=verdict, reason=wrong, failure=failure)


def mark_only(config: Config, task: Task) -> Outcome:
    """The task of marking, which needs neither networks nor keys. Raises GatewayError."""
    assert task.action == "mark"
    assert isinstance(task.path, str)
    spool = LocalSpool(config.gateway.data_dir, key=spool_key(config))
    with spool.open(task.path) as data:
        outgoing = spool.put(with_warning(data, task.warning))
    return Outcome(outgoing=outgoing, level="pass", reason=task.warning)


def main(connection: Connection, config: Config, marks_only: bool = False) -> None:
    """The process: one task after the other, until the other end of the pipe is gone.

    marks_only: loads neither networks nor keys, and takes no other task than marking.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches us too; the service drains us
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    limit_memory(config.limits.worker_memory_bytes)
    try:
        bench = None if marks_only else Executor(config)
    except GatewayError as error:
        connection.send(_failure(error))
        return
    connection.send(bench.codec.provider if bench is not None else "")
    do = bench.do if bench is not None else partial(mark_only, config)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):  # the service ended, gracefully or not
            return
        started = time.monotonic()
        outcome = guarded(do, task)
        try:
            connection.send((outcome, time.monotonic() - started))
        except OSError:
            return


def limit_memory(data_bytes: int) -> None:
    """What this process may allocate (RLIMIT_DATA, setrlimit(2); mapped files do not count on Linux).

    An object that claims to be huge then fails alone, before the system looks for a victim.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def guarded(do: Callable[[Task], Outcome], task: Task) -> Outcome:
    """The outcome, or the error as one: whatever an object provokes must not end the worker.

    Also BaseException: decoders written in Rust raise a PanicException that is no Exception.
    """
    try:
        return do(task)
    except GatewayError as error:
        return Outcome(reason=error.code, failure=_failure(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        excess = TooMuchMemory("the object needs more memory than a worker may have")
        return Outcome(reason=excess.code, failure=_failure(excess))
    except BaseException as error:  # noqa: BLE001 - see above; reported as a failure of this object
        hint = "Report it with this line of the log."
        return Outcome(
            reason="internal",
            failure=Failure(code="internal", text=where(error), hint=hint, retry=isinstance(error, OSError)),
        )


def _failure(error: GatewayError) -> Failure:
    return Failure(code=error.code, text=str(error), hint=error.hint, retry=error.retry)
