"""The listening side of DICOM: opens the ports, and binds services to the associations that peers open.

What happens before an association is requested is in `gateway.dimse.connections`, who is let in in
`gateway.dimse.acceptor`, and how associations end in `gateway.dimse.watchdog`.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association

from gateway.config import Config
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.association import AssociationState
from gateway.dimse.connections import (
    ConnectionEvents,
    Handler,
    PendingConnection,
    PendingConnections,
    Server,
)
from gateway.dimse.incoming import Messages
from gateway.dimse.negotiation import Negotiation
from gateway.dimse.open_associations import OpenAssociations
from gateway.dimse.own_gateway import version_name
from gateway.dimse.pynetdicom_private import install, set_global_options
from gateway.dimse.services import (
    AssociationService,
    EventHandler,
    bind_responders,
    handlers_of,
    terms_of,
)
from gateway.dimse.sockets import NotAssociated, WatchedSocket
from gateway.dimse.terms import MEMORY_BYTES_MAX, MemoryBudget
from gateway.dimse.watchdog import Watchdog
from gateway.errors import ProtocolBroken, ResourceError
from gateway.observe import Log, Metrics, where
from gateway.spool import Spool
from gateway.tls import Certificates

UNLIMITED = 1 << 30
DRAIN_POLL_S = 0.05
JOIN_S = 5.0


class Listener:
    """Accepts associations of known nodes for known called AE titles, and lets the services answer them."""

    def __init__(
        self,
        config: Callable[[], Config],
        *,
        certificates: Certificates,
        spool: Spool,
        services: Sequence[AssociationService],
        metrics: Metrics,
        log: Log,
        gateway_id: str = "",
    ) -> None:
        """config: the configuration in force, asked for each association; addresses and limits are those at the start.

        spool: takes the data sets of large objects while they arrive.
        services: what peers may ask for; no two of them answer the same event.
        gateway_id: by which gateways know each other; empty where that does not matter.
        """
        self._config = config()
        self._certificates = certificates
        self._spool = spool
        self._services, self._gateway_id = services, gateway_id
        self._metrics = metrics
        self._log = log
        limits = self._config.limits
        self._pending = PendingConnections()
        self._memory, self._terms = MemoryBudget(MEMORY_BYTES_MAX), terms_of(services)
        self._associations = OpenAssociations(limits, nodes_configured=bool(self._config.node))
        self._acceptor = Acceptor(
            config, associations=self._associations, pending=self._pending, metrics=metrics, log=log
        )
        self._watchdog = Watchdog(
            associations=self._associations,
            pending=self._pending,
            network_timeout_s=limits.network_timeout_s,
            metrics=metrics,
            log=log,
        )
        self._servers: list[Server] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> dict[str, int]:
        """Listen, and return the ports in use, `dicom_port` and `tls_port`.

        Raises ResourceError when one is taken.
        """
        set_global_options()
        try:
            ports = self._open_all()
        except ResourceError:
            # One that never served can't be stopped: it would be waited for.
            for server in self._servers:
                server.server_close()
            self._servers.clear()
            raise
        for server in self._servers:
            self._start_thread("listener-serve", server.serve_forever)
        self._start_thread("listener-watchdog", self._watchdog.run)
        return ports

    def _open_all(self) -> dict[str, int]:
        """Raises ResourceError."""
        entity, ports = self._entity(), {}
        if self._config.tls.plain:
            ports["dicom_port"] = self._open(entity, "listener.port", self._config.listener.port)
        if self._config.tls.certificate is not None:
            ports["tls_port"] = self._open(
                entity, "tls.port", self._config.tls.port, self._certificates.server
            )
        return ports

    def stop(self, *, drain_s: float) -> None:
        """Refuse new associations, let open ones finish, and abort those that have not finished in time.

        drain_s: for open associations to finish, seconds.
        """
        if not self._servers:
            return
        for server in self._servers:
            server.stop()
        self._pending.close()
        deadline = time.monotonic() + drain_s
        while self._associations.open_ones() and time.monotonic() < deadline:
            time.sleep(DRAIN_POLL_S)
        for state in self._associations.open_ones():
            state.connection.shut()
        self._watchdog.stop()
        for thread in self._threads:
            thread.join(timeout=JOIN_S)
        self._watchdog.finish_ended()

    def _start_thread(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _entity(self) -> AE:
        limits = self._config.limits
        entity = AE(ae_title=self._config.listener.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = version_name(self._gateway_id)
        entity.maximum_pdu_size = limits.pdu_bytes
        # We count those that were let in; pynetdicom also counts those that were refused and are not gone yet.
        entity.maximum_associations = UNLIMITED
        entity.acse_timeout = limits.acse_timeout_s
        entity.dimse_timeout = limits.dimse_timeout_s
        entity.network_timeout = limits.network_timeout_s
        return entity

    def _open(self, entity: AE, key: str, port: int, tls: Callable[[], ssl.SSLContext] | None = None) -> int:
        """Make a server that does not serve yet, and return its port.

        key: the configuration key of the port.
        tls: asked for each connection; None for a plain port.
        Raises ResourceError when the port is taken.
        """
        host, limits = self._config.listener.host, self._config.limits
        try:
            threaded = entity.make_server(
                (host, port),
                contexts=[context for service in self._services for context in service.contexts()],
                evt_handlers=self._event_handlers(),
                server_class=Server,
                request_handler=Handler,
            )
        except OSError as error:
            problem = f"{key}: {host}:{port}: {error.strerror}"
            raise ResourceError(problem, hint=f"Change listener.host or {key}.") from error
        server = cast(Server, threaded)
        server.pending, server.events, server.tls = self._pending, self._connection_events(), tls
        server.deadline_s, server.network_timeout_s = limits.acse_timeout_s, limits.network_timeout_s
        server.pdu_bytes = limits.pdu_bytes
        self._servers.append(server)
        return int(server.server_address[1])

    def _event_handlers(self) -> list[Any]:
        def answering(handler: EventHandler) -> Callable[[evt.Event], object]:
            return lambda event: handler(event, self._associations.state_of(event.assoc))

        return [
            (evt.EVT_REQUESTED, self._acceptor.on_requested),
            *((event, answering(handler)) for event, handler in handlers_of(self._services).items()),
        ]

    # -- what servers report, in the thread of the connection or of the association

    def _connection_events(self) -> ConnectionEvents:
        return ConnectionEvents(
            opened=self._on_opened, lost=self._on_lost, defect=self._on_defect, broken=self._on_broken
        )

    def _on_opened(
        self,
        association: Association,
        connection: PendingConnection,
        watched_socket: WatchedSocket,
        negotiation: Negotiation,
    ) -> None:
        messages = Messages(association, spool=self._spool, memory=self._memory, terms=self._terms)
        watched_socket.pause_while(lambda: messages.is_busy)
        install(association, dimse=messages)
        state = AssociationState(association, connection, watched_socket, negotiation, messages)
        bind_responders(self._services, state)
        self._associations.add(state)
        self._metrics.add("sealgate_associations_active", 1)

    def _on_lost(self, connection: PendingConnection, reason: NotAssociated) -> None:
        self._metrics.count("sealgate_associations_refused_total", reason=reason.code)
        # Port scans, and health checks of load balancers, close their connections again and again.
        if reason.code != "closed":
            self._log.warning(
                "connection refused",
                peer=connection.peer,
                code=reason.code,
                problem=str(reason),
                hint=reason.hint,
            )

    def _on_defect(self, error: BaseException) -> None:
        self._log.error("connection failed", code="internal", problem=where(error))

    def _on_broken(self, error: BaseException) -> None:
        """The log line of the association says which peer it was."""
        known = isinstance(error, ProtocolBroken)
        self._log.warning(
            "protocol broken", code=ProtocolBroken.code, problem=str(error) if known else where(error)
        )
