"""The listening side of the network: who is let in, and one log line for each association.

`gateway.dimse.connections` has what happens before an association is asked for, `gateway.dimse.admission` who may ask.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from gateway.config import Config
from gateway.config.nodes import (
    STORAGE_COMMITMENT,
    VERIFICATION,
    Node,
    service_of,
)
from gateway.dicom.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.dimse.admission import (
    LIMIT_EXCEEDED,
    AssociationPolicy,
    AssociationRequest,
    Refusal,
)
from gateway.dimse.connections import (
    Handler,
    NotAssociated,
    PendingConnection,
    PendingConnections,
    Server,
    WatchedSocket,
)
from gateway.dimse.incoming import Messages
from gateway.dimse.negotiation import (
    Negotiation,
    confirm_identity,
    known_first,
    non_patient_contexts,
    plausible,
    stated_identity,
)
from gateway.dimse.statuses import NOT_AUTHORISED, PROCESSING_FAILURE, SUCCESS
from gateway.errors import ResourceError
from gateway.observe import Log, Metrics, where
from gateway.spool import Spool
from gateway.tls import Certificates

WATCH_INTERVAL_S = 0.5
UNLIMITED = 1 << 30
REFUSED_LINGER_S = 2.0  # for the peer to close after it was refused; then we do


@dataclass
class AssociationState:
    """What is noted about one association until its log line is written."""

    association: Association
    arrival: PendingConnection
    node: Node | None = None  # who it is; None before it was let in, and for a stranger where all are let in
    user: str = ""  # whose password it gave
    admitted: bool = False
    opened: float = field(default_factory=time.monotonic)
    objects: int = 0
    failed: int = 0
    bytes: int = 0
    stalled: bool = False

    @property
    def peer(self) -> str:
        return self.arrival.peer

    def may(self, sop_class: str) -> bool:
        """Whether a context of it is accepted. What is no UID would make peers refuse the whole association."""
        return plausible(sop_class) and (self.node is None or self.node.may(sop_class))

    @property
    def outcome(self) -> str:
        if self.stalled:
            return "stalled"
        if self.association.is_rejected:
            return "rejected"
        if self.association.is_released:
            return "released"
        return "aborted" if self.association.is_aborted else "closed"


class Listener:
    """Accepts associations of known nodes for known called AE titles, answers C-ECHO, hands each C-STORE to `store`.

    config: the configuration in force, asked at each association; addresses and limits are those at the start.
    store, commit (N-ACTION), told (N-EVENT-REPORT): get the event and the link, return the DIMSE status; run in the
    association's thread.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        *,
        certificates: Certificates,
        spool: Spool,
        store: Callable[[Any, AssociationState], int],
        commit: Callable[[Any, AssociationState], int],
        told: Callable[[Any, AssociationState], int],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._config = config()
        self._access = AssociationPolicy(config)
        self._certificates = certificates
        self._spool = spool
        self._store, self._commit, self._told = store, commit, told
        self._metrics = metrics
        self._log = log
        self._door = PendingConnections()
        self._links: dict[Association, AssociationState] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._servers: list[Server] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> dict[str, int]:
        """Listen; the ports in use, `dicom_port` and `tls_port`. Raises ResourceError when one is taken."""
        # All storage SOP classes, private and unknown ones included; no log handlers for every PDU.
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _config.LOG_HANDLER_LEVEL = "none"
        entity, ports = self._entity(), {}
        if self._config.tls.plain:
            ports["dicom_port"] = self._open(entity, "listener.port", self._config.listener.port)
        if self._config.tls.certificate is not None:
            ports["tls_port"] = self._open(
                entity, "tls.port", self._config.tls.port, self._certificates.server
            )
        for target in (*(server.serve_forever for server in self._servers), self._watch):
            thread = threading.Thread(target=target, name=f"listener-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return ports

    def _entity(self) -> AE:
        limits = self._config.limits
        entity = AE(ae_title=self._config.listener.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION
        entity.maximum_pdu_size = limits.pdu_bytes
        # Ours counts those let in, and pynetdicom's also those that were refused and not yet gone.
        entity.maximum_associations = UNLIMITED
        entity.acse_timeout = limits.acse_timeout_s
        entity.dimse_timeout = limits.dimse_timeout_s
        entity.network_timeout = limits.network_timeout_s
        return entity

    def _open(self, entity: AE, key: str, port: int, tls: Callable[[], ssl.SSLContext] | None = None) -> int:
        """The port of a new server that does not serve yet. key: that configures it. Raises ResourceError."""
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_N_ACTION, lambda event: (self._answer(self._commit, event), None)),
            (evt.EVT_N_EVENT_REPORT, lambda event: (self._answer(self._told, event), None)),
        ]
        host, limits = self._config.listener.host, self._config.limits
        commitment = build_context(STORAGE_COMMITMENT)
        commitment.scu_role = commitment.scp_role = True  # an archive that reports to us is its SCP
        try:
            made = entity.make_server(
                (host, port),
                contexts=[
                    build_context(VERIFICATION),
                    commitment,
                    *non_patient_contexts(),
                ],
                evt_handlers=handlers,
                server_class=Server,
                request_handler=Handler,
            )
        except OSError as error:
            problem = f"{key}: {host}:{port}: {error.strerror}"
            raise ResourceError(problem, hint=f"Change listener.host or {key}.") from error
        server = cast(Server, made)
        server.door, server.lost, server.defect = self._door, self._lost, self._defect
        server.broken = self._broken
        server.deadline_s, server.network_timeout_s = limits.acse_timeout_s, limits.network_timeout_s
        server.tls = tls
        self._servers.append(server)
        return int(server.server_address[1])

    def stop(self, *, drain_s: float) -> None:
        """Refuse new associations, let open ones finish for `drain_s`, abort the rest."""
        if not self._servers:
            return
        for server in self._servers:
            server.stop()
        self._door.close()
        deadline = time.monotonic() + drain_s
        while self._open_links() and time.monotonic() < deadline:
            time.sleep(0.05)
        for link in self._open_links():
            link.arrival.shut()
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self._finish_ended()

    def _open_links(self) -> list[AssociationState]:
        with self._lock:
            return [link for link in self._links.values() if link.association.is_alive()]

    # -- events, in the thread of the connection or of the association

    def _lost(self, arrival: PendingConnection, why: NotAssociated) -> None:
        """A connection ended before it asked for an association."""
        self._metrics.count("sealgate_associations_refused_total", reason=why.code)
        if why.code != "closed":  # port scans and health checks of load balancers come and go
            self._log.warning(
                "connection refused", peer=arrival.peer, code=why.code, problem=str(why), hint=why.hint
            )

    def _defect(self, error: BaseException) -> None:
        self._log.error("connection failed", code="internal", problem=where(error))

    def _broken(self, error: BaseException) -> None:
        """The line of its association says whose peer it was."""
        self._log.warning("protocol broken", code="protocol", problem=where(error))

    def _opened(self, event: Any) -> None:
        arrival = event.assoc.dul.socket.arrival
        event.assoc.dimse = Messages(event.assoc, self._spool)
        with self._lock:
            self._links[event.assoc] = AssociationState(association=event.assoc, arrival=arrival)
        self._metrics.add("sealgate_associations_active", 1)

    def _requested(self, event: Any) -> None:
        try:
            self._decide(event.assoc)
        except Exception as error:  # noqa: BLE001 - a defect of ours: told, and nobody comes in
            self._log.error("association failed", code="internal", problem=where(error))

    def _decide(self, association: Association) -> None:
        """Let the association in or refuse it; of a context's syntaxes the first standard one is taken."""
        request, link = cast(A_ASSOCIATE, association.requestor.primitive), self._links[association]
        caller = AssociationRequest(
            calling=str(request.calling_ae_title).strip(),
            called=str(request.called_ae_title).strip(),
            address=link.peer,
            fingerprint=link.arrival.fingerprint,
        )
        answer = self._access.admit(caller)
        if not isinstance(answer, Refusal):
            link.node = answer
            user = self._access.identify(stated_identity(association))
            answer = user if isinstance(user, Refusal) else self._count_in(link)
            link.user = user if isinstance(user, str) else ""
        if isinstance(answer, Refusal):
            self._refuse(association, caller, answer)
            return
        if link.user:
            confirm_identity(association)
        self._door.leave(link.arrival)
        association.acceptor.ae_title = caller.called
        if link.node is not None:
            self._tell_refused(request, link.node, link.peer)
        for context in request.presentation_context_definition_list:
            context.transfer_syntax = [*known_first(context.transfer_syntax)]
        cast(Negotiation, association.acse).let_in(link.may)

    def _count_in(self, link: AssociationState) -> Refusal | None:
        """Mark the link as let in, unless that is one too many."""
        limits = self._config.limits
        # However many strangers there are, the configured nodes find room.
        kept_free = limits.associations // 2 if self._config.node else 0
        with self._lock:
            inside = [
                other for other in self._links.values() if other.admitted and other.association.is_alive()
            ]
            of_peer = sum(other.peer == link.peer for other in inside)
            strangers = sum(other.node is None for other in inside)
            link.admitted = (
                len(inside) < limits.associations
                and of_peer < limits.associations_per_peer
                and (link.node is not None or strangers < limits.associations - kept_free)
            )
        if link.admitted:
            return None
        if of_peer >= limits.associations_per_peer:
            return Refusal(
                "peer-limit",
                LIMIT_EXCEEDED,
                f"{of_peer} associations from this address are open",
                "Let the sender close what it does not use, or raise limits.associations_per_peer.",
            )
        return Refusal(
            "limit", LIMIT_EXCEEDED, f"{len(inside)} associations are open", "Raise limits.associations."
        )

    def _refuse(self, association: Association, caller: AssociationRequest, refusal: Refusal) -> None:
        self._metrics.count("sealgate_associations_refused_total", reason=refusal.code)
        self._log.warning(
            "association refused",
            peer=caller.address,
            calling=caller.calling,
            called=caller.called,
            code=refusal.code,
            problem=refusal.problem,
            hint=refusal.hint,
        )
        association.acse_timeout = min(REFUSED_LINGER_S, self._config.limits.acse_timeout_s)
        association.acse.send_reject(*refusal.answer)
        association.kill()

    def _tell_refused(self, request: A_ASSOCIATE, node: Node, peer: str) -> None:
        """Which contexts the node may not use."""
        proposed = [str(context.abstract_syntax) for context in request.presentation_context_definition_list]
        refused = Counter(service_of(sop_class) for sop_class in proposed if not node.may(sop_class))
        for service, count in refused.items():
            self._metrics.count("sealgate_contexts_refused_total", count, node=node.name, service=service)
        if refused:
            self._log.warning(
                "contexts refused",
                node=node.name,
                peer=peer,
                sop_classes=sorted({sop_class for sop_class in proposed if not node.may(sop_class)}),
                hint="If the node may send these, correct its services and sop_classes.",
            )

    def _stored(self, event: Any) -> int:
        started = time.monotonic()
        link = self._links[event.assoc]
        try:
            status = self._store(event, link) if self._may_store(event, link) else NOT_AUTHORISED
        except Exception as error:  # noqa: BLE001 - a defect of ours: told, and the object is not acknowledged
            self._log.error("store failed", code="internal", problem=where(error))
            status = PROCESSING_FAILURE
        link.objects += 1
        link.failed += status != SUCCESS
        if status != SUCCESS:
            self._metrics.count("sealgate_refused_total", status=f"{status:04X}")
        self._metrics.time("sealgate_store_seconds", time.monotonic() - started)
        return status

    def _answer(self, answer: Callable[[Any, AssociationState], int], event: Any) -> int:
        """Of N-ACTION and N-EVENT-REPORT, which only storage commitment has here."""
        try:
            return answer(event, self._links[event.assoc])
        except Exception as error:  # noqa: BLE001 - a defect of ours: told, and nothing is promised
            self._log.error("commitment failed", code="internal", problem=where(error))
            return PROCESSING_FAILURE

    def _may_store(self, event: Any, link: AssociationState) -> bool:
        """The request names a SOP class of its own, which may be another than that of the context it came in."""
        sop_class = str(event.request.AffectedSOPClassUID)
        if plausible(sop_class) and (link.node is None or link.node.may_store(sop_class)):
            return True
        name = link.node.name if link.node else ""
        self._log.warning("refused", code="sop-class", node=name, sop_class=sop_class[:64])
        return False

    # -- the watchdog

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_INTERVAL_S):
            try:
                for link in self._open_links():
                    self._end_if_stalled(link)
                self._finish_ended()
            except Exception as error:  # noqa: BLE001 - the watchdog must not die of one association
                self._log.error("watchdog", code="internal", problem=where(error))

    def _end_if_stalled(self, link: AssociationState) -> None:
        wrapped = link.association.dul.socket
        since = wrapped.waiting_since if isinstance(wrapped, WatchedSocket) else None
        if since is not None and time.monotonic() - since > self._config.limits.network_timeout_s:
            link.stalled = True
            link.arrival.shut()

    def _finish_ended(self) -> None:
        with self._lock:
            ended = [
                link
                for link in self._links.values()
                if link.association.ident is not None and not link.association.is_alive()
            ]
            for link in ended:
                del self._links[link.association]
        for link in ended:
            self._door.leave(link.arrival)
            cast(Messages, link.association.dimse).discard()
            self._metrics.add("sealgate_associations_active", -1)
            self._metrics.count("sealgate_associations_total", outcome=link.outcome)
            self._log.info("association", **_line(link))


def _line(link: AssociationState) -> dict[str, Any]:
    request = link.association.requestor.primitive
    return {
        "peer": link.peer,
        "node": link.node.name if link.node else "",
        "user": link.user,
        "tls": link.arrival.tls,
        "calling": str(request.calling_ae_title).strip() if request else "",
        "called": str(request.called_ae_title).strip() if request else "",
        "contexts": len(request.presentation_context_definition_list) if request else 0,
        "accepted": len(link.association.accepted_contexts),
        "objects": link.objects,
        "failed": link.failed,
        "bytes": link.bytes,
        "duration_s": round(time.monotonic() - link.opened, 3),
        "outcome": link.outcome,
    }
