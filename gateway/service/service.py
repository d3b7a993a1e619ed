"""The running gateway: its parts are started and stopped in the right order, and signals are heard."""

from __future__ import annotations

import fcntl
import os
import queue as queues
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gateway.config import Config
from gateway.errors import AlreadyRunning, AuditFailed, ResourceError
from gateway.observe import Log, configure_logging, logger
from gateway.runtime import malloc, rights
from gateway.runtime.core_dumps import empty_dumps
from gateway.service import assembly, reconcile
from gateway.service.health import Health
from gateway.service.housekeeping import Housekeeping
from gateway.service.reload import reload
from gateway.service.threads import WorkerThreads
from gateway.web.api import application
from gateway.web.backend import Backend
from gateway.web.server import WebServer
from gateway.work import handover
from gateway.work.bypass import NOTICE

HOUSEKEEPING_INTERVAL_S = 2.0
# Libraries with thread pools of their own would make every worker fight for every CPU.
ONE_THREAD_EACH = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(config: Config, *, bypass: bool = False) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code. SIGHUP reads the configuration again.

    Keys or networks that can't be read do not stop it: objects wait, or go on marked (`seal.impossible`).
    Call from the main thread.

    bypass: forward everything untouched; neither keys nor networks are read.
    Raises AlreadyRunning, ResourceError when it can't start.
    """
    configure_logging()
    for variable in ONE_THREAD_EACH:
        os.environ.setdefault(variable, "1")
    # A core dump would hold images, the key of the spool and tokens.
    empty_dumps()
    # The spool holds clear images: what is made from here on is the owner's alone.
    os.umask(0o077)
    malloc.keep_little()
    _check_rights(config.gateway.data_dir)
    with only_one(config.gateway.data_dir):
        return _opened(config, bypass=bypass).run()


def _check_rights(data_dir: Path) -> None:
    """Raises ResourceError that names what this user can't use: a command that was run as root may have made it."""
    problems = rights.unusable(data_dir)
    if problems:
        raise ResourceError(
            "\n  ".join(problems), hint=f"Give it to the user that runs the gateway: chown -R USER {data_dir}"
        )


def _opened(config: Config, *, bypass: bool) -> Service:
    """Raises ResourceError, KeyFileError."""
    try:
        return Service(config, logger(), bypass=bypass)
    except OSError as error:
        raise ResourceError(
            f"{error.filename or config.gateway.data_dir}: {error.strerror}",
            hint="Check the disk, and owner and rights of gateway.data_dir.",
        ) from error


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the lock of a data folder. The system frees it however the process ends.

    Raises AlreadyRunning when another process holds it, ResourceError when the folder can't be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ResourceError(f"{data_dir}: {error.strerror}", hint="Check gateway.data_dir.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"another gateway uses {data_dir}") from error
        yield


class Service:
    def __init__(self, config: Config, log: Log, *, bypass: bool = False) -> None:
        """Open the parts, and make spool and queue agree. Raises ResourceError, KeyFileError (TLS, spool)."""
        self._log = log
        self._parts = assembly.build(config, log, bypass=bypass)
        self._threads = WorkerThreads(self._parts)
        # SimpleQueue is reentrant, which signal handlers need.
        self._signals: queues.SimpleQueue[int] = queues.SimpleQueue()
        self._web = [WebServer(application(lambda: self._parts.config.http, self._backend()), config.http)]
        viewer = None if bypass else assembly.viewer(self._parts)
        if viewer is not None:
            self._web.append(viewer)
        reconcile.at_start(self._parts.queue, self._parts.spool, log)
        handover.clear(config.gateway.data_dir)

    def run(self) -> int:
        """Run until a signal says stop, and return the exit code. Raises ResourceError when it can't start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        parts, config = self._parts, self._parts.config
        listener = assembly.listener(parts)
        try:  # whatever happens from here on, no worker process is left behind
            self._threads.start_processes()
            self._threads.start()
            if not parts.bypass:
                parts.in_force.start()
            ports = listener.start()
            web_ports = dict(
                zip(("http_port", "viewer_port"), [web.start() for web in self._web], strict=False)
            )
            if config.listener.accept == "nodes" and not config.node:
                self._log.warning("no node may associate", hint="Add a [[node]] for each sender.")
            self._log.info("started", **ports, **web_ports, pid=os.getpid())
            self._wait_for_the_end()
        finally:
            self._log.info("stopping")
            listener.stop(drain_s=parts.config.limits.drain_s)
            self._threads.stop()
            parts.in_force.stop()
            for web in self._web:
                web.stop()
            self._write_counted_denials()
            parts.close()
        self._log.info("stopped")
        return 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)

    def _wait_for_the_end(self) -> None:
        """Keep house, and reload, until a signal says stop."""
        housekeeping = Housekeeping(self._parts)
        while True:
            try:
                number = self._signals.get(timeout=HOUSEKEEPING_INTERVAL_S)
            except queues.Empty:
                number = 0
            if number in (signal.SIGTERM, signal.SIGINT):
                return
            if number == signal.SIGHUP:
                reload(self._parts, self._threads, self._web)
            housekeeping.keep()

    def _write_counted_denials(self) -> None:
        try:
            self._parts.access_log.flush(everything=True)
        except AuditFailed as error:
            self._log.error("denials not written down", code=error.code, problem=str(error))

    def _backend(self) -> Backend:
        parts, health = self._parts, Health(self._parts, self._threads)
        return Backend(
            verify=lambda data: parts.in_force.on_demand.verify(data),
            problems=health.problems,
            exposition=health.exposition,
            notices=lambda: [NOTICE] if parts.bypass else [],
            records=assembly.records(parts),
            jobs=assembly.first_jobs(parts),
            reload=lambda: self._signals.put(signal.SIGHUP),
            metrics=parts.metrics,
            parts=[assembly.dicomweb_reading(parts)],
        )
