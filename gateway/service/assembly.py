"""The parts of a running gateway, built from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from pynetdicom import evt
from starlette.routing import Route

from gateway.commitment.reporter import Reporter
from gateway.commitment.scp import CommitmentProvider
from gateway.commitment.scu import CommitmentUser
from gateway.commitment.service import CommitmentService
from gateway.config import Config
from gateway.config.http import HttpSettings
from gateway.dimse.association import AssociationState
from gateway.dimse.listener import Listener
from gateway.dimse.services import AssociationService, EchoService
from gateway.dimse.storage import StorageService
from gateway.observe import Log, Metrics
from gateway.observe.access_log import AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import Commitments, Job, Queue, open_admin, open_commitments, open_queue
from gateway.receive.intake import Intake
from gateway.receive.store_scp import StoreScp
from gateway.retrieve.archive import Archive
from gateway.retrieve.extension import Extensions
from gateway.retrieve.fetching import Arrivals
from gateway.retrieve.query import Queries
from gateway.retrieve.retrieval import Retrievals
from gateway.retrieve.service import QueryRetrieveService
from gateway.retrieve.verified import VerifiedObjects
from gateway.retrieve.web_archive import WebArchive
from gateway.runtime.wakeup import Wakeup
from gateway.spool import LocalSpool, Spool
from gateway.spool.quarantine import Quarantine
from gateway.tls import Certificates
from gateway.web.admission import Admission
from gateway.web.dicomweb.reading import DicomWebReading
from gateway.web.dicomweb.visits import Disclosures
from gateway.web.records import Records
from gateway.web.server import WebServer
from gateway.web.viewer import bundle
from gateway.web.viewer.application import viewer_application
from gateway.web.viewer.site import ViewerSite
from gateway.work.context import WorkContext
from gateway.work.keyring import spool_key
from gateway.work.ledger_keeping import LedgerKeeper
from gateway.work.on_demand import OnDemand
from gateway.work.return_pool import ReturnPool


class InForce:
    """The configuration that is in force, and the workers made for it. Only a reload replaces them.

    Other threads read all of it at any time.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.on_demand = OnDemand(config)
        self.return_pool = ReturnPool(config)
        self._is_started = False

    def renew_on_demand(self) -> None:
        """Workers for the configuration that is in force now. The old ones end."""
        self.stop()
        self.on_demand = OnDemand(self.config)
        self.return_pool = ReturnPool(self.config)
        if self._is_started:
            self.start()

    def start(self) -> None:
        """Start the workers that viewers would wait for. Never called in a bypass, which reads no keys."""
        self._is_started = True
        if self.config.retrieve is not None:
            self.return_pool.start()

    def stop(self) -> None:
        """End the workers."""
        self.on_demand.stop()
        self.return_pool.stop()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What lives from the start of the gateway to its end.

    bypass: whether everything is forwarded untouched.
    arrived: notified when there are new prepare jobs.
    prepared: notified when there are new deliver jobs.
    asked: notified when there is news for open requests of storage commitment.
    """

    in_force: InForce
    bypass: bool
    log: Log
    metrics: Metrics
    spool: Spool
    quarantine: Quarantine
    queue: Queue
    commitments: Commitments
    commitment_user: CommitmentUser
    pseudonyms: Pseudonyms
    access_log: AccessLog
    certificates: Certificates
    arrived: Wakeup
    prepared: Wakeup
    asked: Wakeup
    ledger: LedgerKeeper
    archive: Archive
    arrivals: Arrivals
    web_archive: WebArchive
    verified: VerifiedObjects

    @property
    def gateway_id(self) -> str:
        """By which this gateway knows itself in associations."""
        return self.pseudonyms.gateway_id()

    @property
    def config(self) -> Config:
        """The configuration that is in force."""
        return self.in_force.config

    def close(self) -> None:
        self.verified.stop()
        self.ledger.close()
        self.queue.close()
        self.commitments.close()


def build(config: Config, log: Log, *, bypass: bool) -> Parts:
    """Open spool, queue, keys of the spool and certificates. Nothing runs yet.

    Raises ResourceError, KeyFileError (TLS, spool).
    """
    metrics, asked = Metrics(), Wakeup()
    metrics.set("sealgate_bypass", int(bypass))
    key, pseudonyms = spool_key(config), Pseudonyms.load(config.gateway.data_dir)
    spool = LocalSpool(config.gateway.data_dir, free_bytes_min=config.limits.free_bytes_min, key=key)
    queue = open_queue(config, holds_objects=any(spool.names()))
    in_force = InForce(config)
    archive = Archive(lambda: in_force.config, spool=spool, gateway_id=pseudonyms.gateway_id())
    arrivals = Arrivals(lambda: in_force.config)
    web_archive = WebArchive(lambda: in_force.config, spool=spool)
    return Parts(
        in_force=in_force,
        bypass=bypass,
        log=log,
        metrics=metrics,
        spool=spool,
        quarantine=Quarantine(config.gateway.data_dir, key=key),
        queue=queue,
        commitments=open_commitments(config),
        commitment_user=CommitmentUser(
            metrics=metrics, log=log, answered=asked, gateway_id=pseudonyms.gateway_id()
        ),
        pseudonyms=pseudonyms,
        access_log=AccessLog(config.gateway.data_dir),
        certificates=Certificates(config),
        arrived=Wakeup(),
        prepared=Wakeup(),
        asked=asked,
        ledger=LedgerKeeper(
            config.gateway.data_dir,
            queue=queue,
            gateway_id=pseudonyms.gateway_id(),
            metrics=metrics,
            log=log,
        ),
        archive=archive,
        arrivals=arrivals,
        web_archive=web_archive,
        verified=VerifiedObjects(
            archive,
            config=lambda: in_force.config,
            pool=lambda: in_force.return_pool,
            arrivals=arrivals,
            web=web_archive,
            metrics=metrics,
        ),
    )


def listener(parts: Parts) -> Listener:
    """The DICOM services that others may ask for."""
    return Listener(
        lambda: parts.config,
        certificates=parts.certificates,
        spool=parts.spool,
        services=_services(parts),
        metrics=parts.metrics,
        log=parts.log,
        gateway_id=parts.gateway_id,
    )


def _services(parts: Parts) -> list[AssociationService]:
    archive, arrivals, store_scp = parts.archive, parts.arrivals, StoreScp(_intake(parts))

    def on_store(event: evt.Event, state: AssociationState) -> int:
        return (arrivals if arrivals.is_for_us(state) else store_scp).on_store(event, state)

    return [
        EchoService(),
        StorageService(on_store, metrics=parts.metrics, log=parts.log),
        CommitmentService(
            on_action=_commitment_provider(parts).on_action,
            on_event_report=parts.commitment_user.on_event_report,
            log=parts.log,
        ),
        QueryRetrieveService(
            Queries(archive, metrics=parts.metrics, log=parts.log),
            _retrievals(parts, archive, arrivals),
            Extensions(archive, config=lambda: parts.config, log=parts.log),
        ),
    ]


def _retrievals(parts: Parts, archive: Archive, arrivals: Arrivals) -> Retrievals:
    return Retrievals(
        archive,
        config=lambda: parts.config,
        pool=lambda: parts.in_force.return_pool,
        arrivals=arrivals,
        web=parts.web_archive,
        pseudonyms=parts.pseudonyms,
        access_log=parts.access_log,
        metrics=parts.metrics,
        log=parts.log,
        gateway_id=parts.gateway_id,
    )


def _intake(parts: Parts) -> Intake:
    def arrived() -> None:
        parts.arrived.notify()
        # Objects of pass routes can be delivered at once.
        parts.prepared.notify()

    return Intake(
        config=lambda: parts.config,
        spool=parts.spool,
        quarantine=parts.quarantine,
        queue=parts.queue,
        pseudonyms=parts.pseudonyms,
        metrics=parts.metrics,
        log=parts.log,
        arrived=arrived,
        gateway_id=parts.gateway_id,
    )


def _commitment_provider(parts: Parts) -> CommitmentProvider:
    return CommitmentProvider(
        config=lambda: parts.config,
        commitments=parts.commitments,
        pseudonyms=parts.pseudonyms,
        metrics=parts.metrics,
        log=parts.log,
        asked=parts.asked,
    )


def reporter(parts: Parts) -> Reporter:
    return Reporter(
        config=parts.config,
        commitments=parts.commitments,
        user=parts.commitment_user,
        asked=parts.asked,
        metrics=parts.metrics,
        log=parts.log,
        gateway_id=parts.gateway_id,
    )


def work_context(parts: Parts) -> WorkContext:
    """What the worker threads share, with the configuration that is in force now."""
    return WorkContext(
        config=parts.config,
        queue=parts.queue,
        spool=parts.spool,
        metrics=parts.metrics,
        log=parts.log,
        arrived=parts.arrived,
        prepared=parts.prepared,
        gateway_id=parts.gateway_id,
        ledger=parts.ledger,
    )


def records(parts: Parts) -> Records:
    """Opens records for HTTP callers, where the configuration names the recipient's key."""

    def opener() -> OnDemand | None:
        in_force = parts.in_force
        return in_force.on_demand if in_force.config.keys.recipient_key is not None else None

    def amender() -> OnDemand | None:
        in_force = parts.in_force
        return in_force.on_demand if in_force.config.keys.signer is not None else None

    return Records(
        opener=opener,
        amender=amender,
        pseudonyms=parts.pseudonyms,
        log=parts.access_log,
        quarantine=parts.quarantine,
    )


def viewer(parts: Parts) -> WebServer | None:
    """OHIF on a port of its own, where the configuration has it. Raises ViewerMissing, KeyFileError."""
    config = parts.config
    if not config.viewer.enabled:
        return None
    site = ViewerSite(
        bundle.folder_of(config.viewer_folder),
        settings=lambda: parts.config.viewer,
        oidc=lambda: parts.config.http.oidc,
    )
    # Its address and its certificate are those of the start.
    first = config.viewer

    def settings() -> HttpSettings:
        return first.served(parts.config.http)

    application = viewer_application(
        site, settings, [dicomweb_reading(parts)], audit=parts.access_log, metrics=parts.metrics
    )
    return WebServer(application, settings(), name="viewer")


def dicomweb_reading(parts: Parts) -> Callable[[Admission], list[Route]]:
    """QIDO-RS and WADO-RS."""

    def routes(admission: Admission) -> list[Route]:
        reading = DicomWebReading(
            admission,
            parts.verified,
            pool=lambda: parts.in_force.return_pool,
            data_dir=parts.config.gateway.data_dir,
            disclosures=Disclosures(parts.access_log, parts.pseudonyms),
            metrics=parts.metrics,
            log=parts.log,
        )
        return reading.routes()

    return routes


def first_jobs(parts: Parts) -> Callable[[int], list[Job]]:
    """Lists at most so many jobs of the queue, on a connection of its own."""

    def jobs(limit: int) -> list[Job]:
        with closing(open_admin(parts.config)) as admin:
            return admin.list(limit=limit)

    return jobs
