"""The running gateway: its parts started, watched, reloaded and stopped in the right order."""

from __future__ import annotations

import fcntl
import os
import queue as queues
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from gateway.commitment.reporter import Reporter
from gateway.commitment.scp import CommitmentProvider
from gateway.commitment.scu import CommitmentUser
from gateway.commitment.service import CommitmentService
from gateway.config import (
    Config,
    Destination,
    Limits,
    load,
)
from gateway.dimse.listener import Listener
from gateway.dimse.requestor import Requestor
from gateway.dimse.services import AssociationService, EchoService
from gateway.dimse.storage import StorageService
from gateway.errors import (
    AlreadyRunning,
    ConfigurationError,
    GatewayError,
    KeyFileError,
    ResourceError,
)
from gateway.observe import (
    Log,
    Metrics,
    configure_logging,
    logger,
)
from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import JobCount
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import (
    Job,
    open_admin,
    open_commitments,
    open_queue,
)
from gateway.receive.intake import Intake
from gateway.receive.store_scp import StoreScp
from gateway.runtime import malloc
from gateway.runtime.wakeup import Wakeup
from gateway.service import reconcile
from gateway.spool import LocalSpool
from gateway.spool.quarantine import Quarantine
from gateway.tls import Certificates
from gateway.web.api import Backend, application
from gateway.web.records import Records
from gateway.web.server import WebServer
from gateway.work.bypass import NOTICE, Bypass
from gateway.work.deliverer import Deliverer, deliverers
from gateway.work.failover import fail_over
from gateway.work.keyring import spool_key
from gateway.work.on_demand import OnDemand
from gateway.work.preparer import Preparer, WorkContext, start_processes

EXPIRE_INTERVAL_S = 2.0
RETAIN_INTERVAL_S = 30.0
CLEAN_INTERVAL_S = 600.0
CUT_OFF_S = 5.0  # for a thread to notice that its process was killed
# Libraries with thread pools of their own would make every worker fight for every CPU.
ONE_THREAD_EACH = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(config: Config, *, bypass: bool = False) -> int:
    """Run until SIGTERM or SIGINT; the exit code. SIGHUP reads the configuration again.

    bypass: forward everything untouched; neither keys nor networks are read.
    Keys or networks that can't be read do not stop it: objects wait, or go on marked (`seal.impossible`).
    Call from the main thread. Raises AlreadyRunning, ResourceError when it can't start.
    """
    configure_logging()
    for variable in ONE_THREAD_EACH:
        os.environ.setdefault(variable, "1")
    os.umask(0o077)  # the spool holds clear images: what is made from here on is the owner's alone
    malloc.limit_arenas()
    with only_one(config.gateway.data_dir):
        return Service(config, logger(), bypass=bypass).run()


def echo(destination: Destination) -> float:
    """Milliseconds of a C-ECHO. Raises PeerUnreachable, PeerFailed."""
    return Requestor(destination, Limits(), calling="SEALGATE").echo()


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Holds the lock of a data folder; the system frees it however the process ends. Raises AlreadyRunning."""
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
        """Opens spool and queue and makes them agree. Raises ResourceError, KeyFileError (TLS, spool)."""
        self._config = config
        self._log = log
        self._metrics = Metrics()
        key = spool_key(config)
        self._spool = LocalSpool(
            config.gateway.data_dir, free_bytes_min=config.limits.free_bytes_min, key=key
        )
        self._quarantine = Quarantine(config.gateway.data_dir, key=key)
        self._queue = open_queue(config, holds_objects=any(self._spool.names()))
        self._commitments = open_commitments(config)
        self._arrived, self._prepared, self._asked = Wakeup(), Wakeup(), Wakeup()
        self._commitment_user = CommitmentUser(metrics=self._metrics, log=self._log, answered=self._asked)
        self._bypass = bypass
        self._metrics.set("sealgate_bypass", int(bypass))
        self._bypasses: list[Bypass] = []
        self._preparers: list[Preparer] = []
        self._deliverers: list[Deliverer] = []
        self._reporters: list[Reporter] = []
        self._judge = OnDemand(config)
        self._certificates = Certificates(config)
        self._retained = -RETAIN_INTERVAL_S  # when it was last looked for what is kept too long
        self._signals: queues.SimpleQueue[int] = queues.SimpleQueue()
        self._web = WebServer(application(lambda: self._config.http, self._backend()), config.http)
        reconcile.at_start(self._queue, self._spool, log)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        listener = Listener(
            lambda: self._config,
            certificates=self._certificates,
            spool=self._spool,
            services=self._services(),
            metrics=self._metrics,
            log=self._log,
        )
        web = self._web
        try:  # whatever happens from here on, no worker process is left behind
            self._start_processes()
            self._start_threads()
            ports, http_port = _listening(listener, web, self._config)
            if self._config.listener.accept == "nodes" and not self._config.node:
                self._log.warning("no node may associate", hint="Add a [[node]] for each sender.")
            self._log.info("started", **ports, http_port=http_port, pid=os.getpid())
            self._wait_for_the_end()
        finally:
            self._log.info("stopping")
            listener.stop(drain_s=self._config.limits.drain_s)
            self._stop_workers()
            self._judge.stop()
            web.stop()
            self._queue.close()
            self._commitments.close()
        self._log.info("stopped")
        return 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)  # SimpleQueue is reentrant, which signal handlers need

    def _wait_for_the_end(self) -> None:
        """Housekeeping, and reloads, until a signal says stop."""
        cleaned = time.monotonic()
        while True:
            try:
                number = self._signals.get(timeout=EXPIRE_INTERVAL_S)
            except queues.Empty:
                number = 0
            if number in (signal.SIGTERM, signal.SIGINT):
                return
            if number == signal.SIGHUP:
                self._reload()
            try:
                self._keep_house(clean=time.monotonic() - cleaned > CLEAN_INTERVAL_S)
            except GatewayError as error:
                self._log.error("housekeeping failed", code=error.code, problem=str(error))
            if time.monotonic() - cleaned > CLEAN_INTERVAL_S:
                cleaned = time.monotonic()

    def _keep_house(self, *, clean: bool) -> None:
        expired = self._queue.expire()
        if expired:
            self._log.warning("leases expired", jobs=expired)
        if fail_over(self._config, self._queue, self._metrics, self._log):
            self._prepared.notify()
        if time.monotonic() - self._retained > RETAIN_INTERVAL_S or not self._spool.has_room():
            terms = self._config.queue
            left = reconcile.retain(
                self._queue, self._spool, keep_hours=terms.keep_hours, keep_bytes=terms.keep_bytes
            )
            self._metrics.set("sealgate_spool_kept_bytes", left)
            self._retained = time.monotonic()
        if clean:
            reconcile.forget(self._queue, remember_hours=self._config.queue.remember_hours)
            self._commitments.forget(ended_before=time.time() - self._config.queue.remember_hours * 3600)
            reconcile.remove_orphans(self._queue, self._spool)
            malloc.trim()

    # -- workers

    def _start_processes(self) -> GatewayError | None:
        """The trouble of a worker process that could not be started; its thread goes on trying."""
        self._preparers = []
        if not self._bypass and any(route.action != "pass" for route in self._config.route):
            count = self._config.gateway.workers or os.cpu_count() or 1
            self._preparers = [Preparer(number, self._work_context()) for number in range(count)]
        return start_processes(self._preparers)

    def _work_context(self) -> WorkContext:
        return WorkContext(
            config=self._config,
            queue=self._queue,
            spool=self._spool,
            metrics=self._metrics,
            log=self._log,
            arrived=self._arrived,
            prepared=self._prepared,
        )

    def _start_threads(self) -> None:
        self._bypasses = [Bypass(self._work_context())] if self._bypass else []
        self._deliverers = deliverers(self._work_context())
        self._reporters = [
            Reporter(
                config=self._config,
                commitments=self._commitments,
                user=self._commitment_user,
                asked=self._asked,
                metrics=self._metrics,
                log=self._log,
            )
        ]
        for thread in self._threads():
            thread.start()
        gone = {depth.destination for depth in self._queue.depth()} - {""}
        gone -= {destination.name for destination in self._config.destination}
        if gone:
            self._log.warning(
                "jobs for destinations that are not configured any more", destinations=sorted(gone)
            )

    def _threads(self) -> list[Preparer | Bypass | Deliverer | Reporter]:
        return [*self._preparers, *self._bypasses, *self._deliverers, *self._reporters]

    def _stop_workers(self) -> None:
        """Each finishes the object in hand, as long as `drain_s` allows; what is cut off goes back to the queue."""
        threads = self._threads()
        for thread in threads:
            thread.stop()
        self._arrived.notify()
        self._prepared.notify()
        self._asked.notify()
        deadline = time.monotonic() + self._config.limits.drain_s
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.1, deadline - time.monotonic()))
        for preparer in self._preparers:
            if preparer.is_alive():
                preparer.cut_off()
                preparer.join(CUT_OFF_S)
        self._preparers, self._bypasses, self._deliverers, self._reporters = [], [], [], []

    def _reload(self) -> None:
        """A wrong file changes nothing, nor does one with which no worker starts while those of the old one run.

        Addresses, data_dir and the listener's limits wait for a restart.
        """
        source = self._config.source
        if source is None:
            self._log.error("not reloaded", problem="the configuration did not come from a file")
            return
        try:
            fresh = load(source)
            self._certificates.reload(fresh)
            self._web.renew()
        except (ConfigurationError, KeyFileError) as error:
            self._log.error("not reloaded", code=error.code, problem=str(error), hint=error.hint)
            return
        fixed = ("gateway", "listener")
        http = fresh.http.kept_open(self._config.http)
        ignored = [table for table in fixed if getattr(fresh, table) != getattr(self._config, table)]
        if (fresh.tls.port, fresh.tls.plain) != (self._config.tls.port, self._config.tls.plain):
            ignored.append("tls")
        if http != fresh.http:
            ignored.append("http")
        kept = {table: getattr(self._config, table) for table in fixed} | {"http": http}
        worked = all(preparer.trouble is None for preparer in self._preparers)
        previous, self._config = self._config, fresh.model_copy(update=kept)
        self._stop_workers()
        trouble = self._start_processes()
        if trouble is not None and worked:
            self._log.error("not reloaded", code=trouble.code, problem=str(trouble), hint=trouble.hint)
            self._config = previous
            for preparer in self._preparers:
                preparer.abandon()
            self._start_processes()
            self._start_threads()
            return
        self._start_threads()
        self._judge.stop()
        self._judge = OnDemand(self._config)
        self._log.info("reloaded", needs_restart=ignored)

    # -- what the other parts ask of the service

    def _services(self) -> list[AssociationService]:
        return [
            EchoService(),
            StorageService(StoreScp(self._intake()).on_store, metrics=self._metrics, log=self._log),
            CommitmentService(
                on_action=self._commitment_provider().on_action,
                on_event_report=self._commitment_user.on_event_report,
                log=self._log,
            ),
        ]

    def _intake(self) -> Intake:
        def arrived() -> None:
            self._arrived.notify()
            self._prepared.notify()  # objects of pass routes are ready to be delivered at once

        return Intake(
            config=lambda: self._config,
            spool=self._spool,
            quarantine=self._quarantine,
            queue=self._queue,
            pseudonyms=Pseudonyms.load(self._config.gateway.data_dir),
            metrics=self._metrics,
            log=self._log,
            arrived=arrived,
        )

    def _commitment_provider(self) -> CommitmentProvider:
        return CommitmentProvider(
            config=lambda: self._config,
            commitments=self._commitments,
            pseudonyms=Pseudonyms.load(self._config.gateway.data_dir),
            metrics=self._metrics,
            log=self._log,
            asked=self._asked,
        )

    def _backend(self) -> Backend:
        return Backend(
            judge=lambda data: self._judge(data),
            problems=self._problems,
            exposition=self._exposition,
            notices=lambda: [NOTICE] if self._bypass else [],
            records=Records(
                opener=lambda: self._judge if self._config.keys.recipient_key is not None else None,
                pseudonyms=Pseudonyms.load(self._config.gateway.data_dir),
                log=AccessLog(self._config.gateway.data_dir),
                quarantine=self._quarantine,
            ),
            jobs=self._jobs,
            reload=lambda: self._signals.put(signal.SIGHUP),
            metrics=self._metrics,
        )

    def _jobs(self, limit: int) -> list[Job]:
        with closing(open_admin(self._config)) as desk:
            return desk.list(limit=limit)

    def _problems(self) -> list[str]:
        problems = []
        try:
            self._queue.check()
        except GatewayError as error:
            problems.append(f"queue: {error.code}")
        if not self._spool.has_room():
            problems.append("the disk of the spool is below its watermark")
        elif not self._spool.writable():
            problems.append("the spool can't be written")
        missing = [preparer.trouble for preparer in self._preparers if preparer.trouble is not None]
        if missing:
            problems.append(f"{len(missing)} of {len(self._preparers)} worker processes: {missing[0].code}")
        if not all(thread.is_alive() for thread in self._threads()):
            problems.append("a worker thread ended")
        return problems

    def _exposition(self) -> bytes:
        now = time.time()
        self._metrics.set_jobs(
            JobCount(
                step=depth.step.value,
                destination=depth.destination,
                state=depth.state.value,
                jobs=depth.jobs,
                age_s=max(0.0, now - depth.oldest),
            )
            for depth in self._queue.depth()
        )
        self._metrics.set("sealgate_commitments_open", self._commitments.open_requests())
        objects, held = self._quarantine.size()
        self._metrics.set("sealgate_quarantine_objects", objects)
        self._metrics.set("sealgate_quarantine_bytes", held)
        missing = sum(preparer.trouble is not None for preparer in self._preparers)
        self._metrics.set("sealgate_workers_missing", missing)
        self._metrics.set("sealgate_spool_free_bytes", self._spool.free_bytes())
        for name, seconds in self._certificates.seconds_left().items():
            self._metrics.set("sealgate_certificate_expiry_seconds", seconds, certificate=name)
        return self._metrics.exposition()


def _listening(listener: Listener, web: WebServer, config: Config) -> tuple[dict[str, int], int]:
    """The ports. Raises ResourceError naming the key of an address that can't be used."""
    ports = listener.start()
    try:
        return ports, web.start()
    except OSError as error:
        where = f"http: {config.http.host}:{config.http.port}"
        raise ResourceError(f"{where}: {error.strerror}", hint="Change http.host or http.port.") from error
