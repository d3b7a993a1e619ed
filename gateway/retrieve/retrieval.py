"""C-GET and C-MOVE as SCP (PS3.4 C.4.2, C.4.3): what the archive holds goes to the viewer verified, or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from gateway.config import Config, Destination
from gateway.config.retrieve import RetrieveSettings, Treatment, VerdictName
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import syntax_of
from gateway.dimse import statuses
from gateway.dimse.association import AssociationState
from gateway.dimse.bandwidth import RateLimit
from gateway.dimse.peer_association import PeerAssociation
from gateway.dimse.peer_request import PeerRequest
from gateway.dimse.requestor import Requestor
from gateway.dimse.store_scu import Originator, StoreScu
from gateway.errors import GatewayError, PeerError, PeerFailed, PeerUnreachable, RefusedByPeer, ResourceError
from gateway.observe import Log, Metrics, where
from gateway.observe.access_log import AccessLog, AccessRecord
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import Priority
from gateway.retrieve import seal_report
from gateway.retrieve.archive import Archive
from gateway.retrieve.fetching import Arrivals, ByGet, ByMove, Fetcher
from gateway.retrieve.findings import ReturnFinding
from gateway.retrieve.identifier import Identifier, QueryLevel, WrongIdentifier, failed_instances
from gateway.retrieve.pipeline import Cancelled, Parcel, Pipeline, converted, handed_out
from gateway.retrieve.plan import Planner, Wanted, study_header
from gateway.retrieve.query import checked_class, outcome_of
from gateway.retrieve.sub_operations import Tally
from gateway.work.return_pool import ReturnPool
from gateway.work.tasks import Returned

PRIORITIES = {1: Priority.URGENT, 2: Priority.LOW}


class DestinationUnknown(WrongIdentifier):
    """A Move Destination that no [[destination]] has, or that nothing may be moved to."""

    code = "move-destination"
    hint = "Add a [[destination]] with this AE title; the archive itself is none."


class TooManyRequests(ResourceError):
    """As many requests to retrieve as are allowed are being served."""

    code = "too-many-requests"
    hint = "Ask again later, or raise retrieve.requests."


@dataclass(kw_only=True)
class Retrieval:
    """One request, while it is served.

    level: None as long as it is not known.
    destination: None for C-GET.
    status: of the last response.
    """

    request: PeerRequest
    state: AssociationState
    service: str
    level: QueryLevel | None = None
    destination: Destination | None = None
    tally: Tally = field(default_factory=lambda: Tally(0))
    findings: list[ReturnFinding] = field(default_factory=list)
    studies: dict[str, None] = field(default_factory=dict)
    status: int = statuses.SUCCESS
    comment: str = ""

    @property
    def caller(self) -> str:
        return self.state.node.name if self.state.node else ""

    @property
    def to(self) -> str:
        """Who gets the objects, for logs."""
        return self.destination.name if self.destination else self.caller


class Retrievals:
    """`on_get` and `on_move` run in association threads, several at a time."""

    def __init__(
        self,
        archive: Archive,
        *,
        config: Callable[[], Config],
        pool: Callable[[], ReturnPool],
        arrivals: Arrivals,
        web: Fetcher,
        pseudonyms: Pseudonyms,
        access_log: AccessLog,
        metrics: Metrics,
        log: Log,
        gateway_id: str = "",
    ) -> None:
        """config, pool: those in force, asked for each request.

        web: fetches over DICOMweb.
        """
        self._archive, self._config, self._pool = archive, config, pool
        self._web = web
        self._arrivals, self._pseudonyms, self._access_log = arrivals, pseudonyms, access_log
        self._metrics, self._log, self._gateway_id = metrics, log, gateway_id
        self._serving, self._lock = 0, threading.Lock()

    def on_get(self, request: PeerRequest, state: AssociationState) -> None:
        """Answer one C-GET."""
        self._answer(Retrieval(request=request, state=state, service="c-get"))

    def on_move(self, request: PeerRequest, state: AssociationState) -> None:
        """Answer one C-MOVE."""
        self._answer(Retrieval(request=request, state=state, service="c-move"))

    def _answer(self, retrieval: Retrieval) -> None:
        started, problem, hint = time.monotonic(), "", ""
        try:
            with self._place():
                self._serve(retrieval)
        except Cancelled:
            retrieval.status = statuses.CANCELLED
        except GatewayError as error:
            problem, hint = str(error), error.hint
            retrieval.status = _status_of(error)
            retrieval.tally.fail_rest()
        # A defect of ours is reported; the viewer must not wait for ever.
        except Exception as error:  # noqa: BLE001
            problem = where(error)
            retrieval.status = statuses.CANNOT_UNDERSTAND
            retrieval.tally.fail_rest()
        try:
            self._respond_last(retrieval)
        except PeerFailed as error:
            problem = problem or str(error)
        self._report(retrieval, time.monotonic() - started, problem, hint)

    def _respond_last(self, retrieval: Retrieval) -> None:
        """Raises PeerFailed."""
        request, tally = retrieval.request, retrieval.tally
        cancelled = retrieval.status == statuses.CANCELLED
        request.respond(
            retrieval.status,
            identifier=failed_instances(tally.failed_instances, syntax_of(request.syntax).encoding),
            counts=tally.counts(last=not cancelled),
            comment=retrieval.comment,
        )

    def _report(self, retrieval: Retrieval, took_s: float, problem: str, hint: str) -> None:
        tally, outcome = retrieval.tally, outcome_of(retrieval.status)
        self._metrics.count("sealgate_retrievals_total", service=retrieval.service, outcome=outcome)
        self._metrics.time("sealgate_retrieval_seconds", took_s)
        report = self._log.warning if problem else self._log.info
        report(
            "retrieval",
            service=retrieval.service,
            node=retrieval.caller,
            to=retrieval.to,
            query_level=str(retrieval.level or ""),
            instances=tally.total,
            completed=tally.completed,
            warning=tally.warning,
            failed=tally.failed,
            status=f"{retrieval.status:04X}",
            duration_s=round(took_s, 3),
            **({"problem": problem, "hint": hint} if problem else {}),
        )

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places of `retrieve.requests`. Raises TooManyRequests, NoWayBack."""
        most = self._archive.settings()[0].requests
        with self._lock:
            if self._serving >= most:
                raise TooManyRequests(f"{self._serving} requests to retrieve are being served")
            self._serving += 1
        try:
            yield
        finally:
            with self._lock:
                self._serving -= 1

    def _serve(self, retrieval: Retrieval) -> None:
        """Raises Cancelled, GatewayError."""
        request = retrieval.request
        settings, archive = self._archive.settings()
        sop_class = checked_class(request)
        identifier = Identifier.read(request.identifier, syntax_of(request.syntax).encoding)
        retrieval.level = identifier.level(sop_class)
        if retrieval.service == "c-move":
            retrieval.destination = self._destination(request.move_destination, archive)
        deadline = time.monotonic() + settings.timeout_s
        planner = Planner(
            self._archive,
            limit=settings.instances,
            deadline=deadline,
            is_cancelled=lambda: request.is_cancelled,
        )
        wanted = planner.plan(retrieval.level, identifier)
        if request.is_cancelled:
            raise Cancelled
        retrieval.tally = Tally.of(instance.sop_instance for instance in wanted)
        if not wanted:
            return
        self._write_down(retrieval, wanted)
        with self._sender(retrieval) as sender:
            self._hand_out(retrieval, wanted, sender, settings=settings, deadline=deadline)
        retrieval.status = retrieval.status or retrieval.tally.status()

    def _destination(self, ae_title: str, archive: Destination) -> Destination:
        """Raises DestinationUnknown."""
        for destination in self._config().destination:
            # Originals in the archive would take the place of what is sealed there.
            if destination.ae_title == ae_title and destination.ae_title != archive.ae_title:
                return destination
        raise DestinationUnknown("the Move Destination is none that objects may be moved to")

    def _write_down(self, retrieval: Retrieval, wanted: list[Wanted]) -> None:
        """Who gets which study, before the first object goes out. Raises AuditFailed."""
        retrieval.studies = dict.fromkeys(instance.study for instance in wanted)
        for study in retrieval.studies:
            reason = retrieval.service
            if retrieval.destination is not None:
                reason += f" to {retrieval.destination.name}"
            self._audit(retrieval, action="retrieve", outcome="allowed", reason=reason, uid=study)

    def _audit(self, retrieval: Retrieval, *, action: str, outcome: str, reason: str, uid: str) -> None:
        """Raises AuditFailed."""
        self._access_log.write(
            AccessRecord(
                caller=retrieval.caller,
                address=retrieval.state.peer,
                role="retrieve",
                action=action,
                outcome=outcome,
                reason=reason,
                instance=self._pseudonyms.of(uid),
            )
        )

    @contextmanager
    def _sender(self, retrieval: Retrieval) -> Iterator[StoreScu]:
        """What sends to the viewer. Raises KeyFileError."""
        config, request = self._config(), retrieval.request
        if retrieval.destination is None:
            name = retrieval.caller or "the viewer"
            yield StoreScu(PeerAssociation(request.association, name=name, limits=config.limits))
            return
        requestor = Requestor(
            retrieval.destination,
            config.limits,
            calling=config.listener.ae_title,
            gateway_id=self._gateway_id,
        )
        try:
            bandwidth = retrieval.destination.bandwidth_bytes_s
            yield StoreScu(
                requestor,
                rate_limit=RateLimit(bandwidth) if bandwidth else None,
                originator=Originator(retrieval.state.calling, request.message_id),
            )
        finally:
            requestor.close()

    def _policy(self, retrieval: Retrieval, settings: RetrieveSettings) -> dict[str, Treatment]:
        """Verdict -> treatment, for the destination; a node that retrieves by C-GET has that of its AE title."""
        override: dict[VerdictName, Treatment] = {}
        for destination in self._config().destination:
            if destination.ae_title == (
                retrieval.destination.ae_title if retrieval.destination else retrieval.state.calling
            ):
                override = destination.policy
                break
        return settings.treatments(override)

    def _hand_out(
        self,
        retrieval: Retrieval,
        wanted: list[Wanted],
        sender: StoreScu,
        *,
        settings: RetrieveSettings,
        deadline: float,
    ) -> None:
        """Raises Cancelled, GatewayError."""
        request, pool = retrieval.request, self._pool()
        pipeline = Pipeline(
            wanted,
            self._fetcher(settings),
            pool=pool,
            data_dir=self._config().gateway.data_dir,
            policy=self._policy(retrieval, settings),
            deadline=deadline,
            is_cancelled=lambda: request.is_cancelled,
        )
        with pipeline:
            for parcel, returned in pipeline.parcels():
                self._settle(retrieval, sender, pool, parcel, returned)
                request.respond(statuses.PENDING, counts=retrieval.tally.counts(last=False))
        self._explain(retrieval, sender, deadline=deadline)
        if pipeline.failure is not None:
            self._log.warning(
                "fetching failed",
                code=pipeline.failure.code,
                problem=str(pipeline.failure),
                hint=pipeline.failure.hint,
            )
            if not retrieval.tally.completed and not retrieval.tally.warning and not retrieval.findings:
                retrieval.status = statuses.NO_SUB_OPERATIONS

    def _fetcher(self, settings: RetrieveSettings) -> Fetcher:
        if settings.fetch == "wado":
            return self._web
        if settings.fetch == "c-move":
            return ByMove(self._archive, self._arrivals)
        return ByGet(self._archive)

    def _settle(
        self,
        retrieval: Retrieval,
        sender: StoreScu,
        pool: ReturnPool,
        parcel: Parcel,
        returned: Returned | GatewayError,
    ) -> None:
        """Send one object, or count why not. Raises PeerUnreachable, AuditFailed."""
        tally, uid = retrieval.tally, parcel.wanted.sop_instance
        if isinstance(returned, GatewayError):
            verdict, outcome = "", "failed"
            tally.fail(uid)
            # An archive that can't be reached is no finding about the object.
            if not isinstance(returned, PeerError):
                self._find(retrieval, parcel.wanted, "withhold", returned.code)
            self._problem(retrieval, uid, returned)
        elif returned.treatment == "withhold":
            verdict, outcome = returned.verdict, "withheld"
            tally.fail(uid)
            self._find(retrieval, parcel.wanted, "withhold", returned.reason, returned)
        else:
            verdict = returned.verdict
            outcome = self._send(retrieval, sender, pool, parcel, returned)
        self._metrics.count("sealgate_retrieved_total", verdict=verdict, outcome=outcome)

    def _send(
        self,
        retrieval: Retrieval,
        sender: StoreScu,
        pool: ReturnPool,
        parcel: Parcel,
        returned: Returned,
    ) -> str:
        """The outcome. Raises PeerUnreachable, AuditFailed."""
        tally, uid, marked = retrieval.tally, parcel.wanted.sop_instance, returned.treatment == "mark"
        if marked:
            self._find(retrieval, parcel.wanted, "mark", returned.reason, returned)
        try:
            with handed_out(parcel, returned) as file:
                sent = sender.send(
                    file,
                    converted=partial(converted, pool, self._config().gateway.data_dir, file),
                    priority=PRIORITIES.get(retrieval.request.priority, Priority.NORMAL),
                )
        except PeerUnreachable:
            raise
        except GatewayError as error:
            tally.fail(uid)
            self._problem(retrieval, uid, error)
            return "failed"
        tally.succeed(uid, warning=marked or sent.status != statuses.SUCCESS)
        return "marked" if marked else "delivered"

    def _explain(self, retrieval: Retrieval, sender: StoreScu, *, deadline: float) -> None:
        """Send the Seal report on each study with findings, as far as the viewer takes such objects.

        Raises PeerUnreachable.
        """
        for study in retrieval.studies:
            findings = [finding for finding in retrieval.findings if finding.wanted.study == study]
            if not findings:
                continue
            for report in seal_report.reports(
                study, self._study_header(retrieval, study, deadline), findings
            ):
                try:
                    sender.send(report, converted=partial(_recoded, report))
                except PeerUnreachable:
                    raise
                except GatewayError as error:
                    self._problem(retrieval, study, error)
                else:
                    retrieval.tally.total += 1
                    retrieval.tally.completed += 1

    def _study_header(self, retrieval: Retrieval, study: str, deadline: float) -> dict[int, bytes]:
        """What the archive says of patient and study; nothing where it does not answer any more."""
        try:
            return study_header(
                self._archive, study, deadline=deadline, is_cancelled=lambda: retrieval.request.is_cancelled
            )
        except GatewayError as error:
            self._problem(retrieval, study, error)
            return {}

    def _find(
        self,
        retrieval: Retrieval,
        wanted: Wanted,
        treatment: str,
        reason: str,
        returned: Returned | None = None,
    ) -> None:
        """Note what is told in the report, and raise the alarm. Raises AuditFailed."""
        retrieval.findings.append(
            ReturnFinding(
                wanted=wanted,
                treatment=treatment,
                reason=reason,
                tiles=returned.tiles if returned else 0,
                keywords=returned.keywords if returned else (),
            )
        )
        # What was not sent by the archive is no sign of an attack.
        if returned is not None:
            outcome = "marked" if treatment == "mark" else "withheld"
            self._audit(
                retrieval, action="security-alert", outcome=outcome, reason=reason, uid=wanted.sop_instance
            )

    def _problem(self, retrieval: Retrieval, uid: str, error: GatewayError) -> None:
        self._log.warning(
            "not handed out",
            to=retrieval.to,
            instance=self._pseudonyms.of(uid),
            code=error.code,
            problem=str(error),
            hint=error.hint,
        )


@contextmanager
def _recoded(report: bytes, syntax: str) -> Iterator[ByteSource]:
    """A report of ours in another uncompressed syntax; it needs no process of its own."""
    yield transcode(report, syntax)


def _status_of(error: GatewayError) -> int:
    """The status of a request that was not served to its end (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
    if isinstance(error, DestinationUnknown):
        return statuses.MOVE_DESTINATION_UNKNOWN
    if isinstance(error, WrongIdentifier):
        return statuses.IDENTIFIER_MISMATCH
    if error.code == "too-many-instances":
        return statuses.NO_MATCHES_COUNTED
    if isinstance(error, RefusedByPeer) or not error.retry:
        return statuses.CANNOT_UNDERSTAND
    return statuses.NO_SUB_OPERATIONS
