"""The listening side of the network: sockets that can't stall us, and one log line for each association.

pynetdicom's server leaves accepted sockets without time-outs and waits for ever inside a half-sent PDU; the
classes here add what it leaves out through its public hooks.
"""

from __future__ import annotations

import gc
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import (
    NonPatientObjectPresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from gateway.config import Config
from gateway.fileformat import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.observe import Log, Metrics, where
from gateway.statuses import PROCESSING_FAILURE, SUCCESS

VERIFICATION = "1.2.840.10008.1.1"  # SOP class of C-ECHO, PS3.4 annex A
PDU_BYTES_MAX = 32 << 20  # twice the largest size that can be configured
WATCH_INTERVAL_S = 0.5
COLLECT_INTERVAL_S = 30.0
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 30, 10, 3


@dataclass
class Link:
    """What is noted about one association until its log line is written."""

    association: Association
    peer: str
    opened: float = field(default_factory=time.monotonic)
    objects: int = 0
    failed: int = 0
    bytes: int = 0
    stalled: bool = False

    @property
    def outcome(self) -> str:
        if self.stalled:
            return "stalled"
        if self.association.is_rejected:
            return "rejected"
        if self.association.is_released:
            return "released"
        return "aborted" if self.association.is_aborted else "closed"


class WatchedSocket(AssociationSocket):
    """Takes over a connected socket; knows since when it has been waiting for the rest of a PDU."""

    def __init__(self, original: AssociationSocket) -> None:
        self.__dict__.update(original.__dict__)  # a second construction would announce the connection twice
        self.waiting_since: float | None = None

    def recv(self, nr_bytes: int) -> bytearray:
        """All `nr_bytes`, or fewer when the peer hangs up. Raises TimeoutError, OSError (also for absurd lengths).

        Reads straight into place: the original asks for 4096 bytes at most and joins them.
        """
        if self.socket is None:
            raise OSError("the connection is closed")
        if (
            nr_bytes > PDU_BYTES_MAX
        ):  # the length field of a PDU can ask for 4 GiB before anything is known of a peer
            raise OSError("a PDU is longer than any we announce")
        self.waiting_since = time.monotonic()
        try:
            content = bytearray(nr_bytes)
            view, got = memoryview(content), 0
            while got < nr_bytes:
                count = self.socket.recv_into(view[got:])
                if not count:
                    break
                got += count
            view.release()
            del content[got:]
            return content
        finally:
            self.waiting_since = None


class _Handler(RequestHandler):
    def _create_association(self) -> Association:
        association = super()._create_association()
        if association.dul.socket is not None:
            association.dul.socket = WatchedSocket(association.dul.socket)
        return association


class _Server(ThreadedAssociationServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    _collected = 0.0

    def service_actions(self) -> None:
        """Finished association threads are cyclic garbage; the original collects on every 60th request."""
        if time.monotonic() - self._collected > COLLECT_INTERVAL_S:
            gc.collect()
            self._collected = time.monotonic()

    def stop(self) -> None:
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class Listener:
    """Accepts associations for known called AE titles, answers C-ECHO, hands each C-STORE to `store`.

    store: gets the event and the link, returns the DIMSE status; runs in the association's thread.
    called: the AE titles in force, asked at each association.
    """

    def __init__(
        self,
        config: Config,
        *,
        called: Callable[[], Iterable[str]],
        store: Callable[[Any, Link], int],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._config = config
        self._called = called
        self._store = store
        self._metrics = metrics
        self._log = log
        self._links: dict[Association, Link] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> int:
        """Listen; the port in use. Raises OSError when the address is taken."""
        # All storage SOP classes, private and unknown ones included; no log handlers for every PDU.
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _config.LOG_HANDLER_LEVEL = "none"
        limits, listener = self._config.limits, self._config.listener
        entity = AE(ae_title=listener.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION
        entity.maximum_pdu_size = limits.pdu_bytes
        entity.maximum_associations = limits.associations
        entity.acse_timeout = limits.acse_timeout_s
        entity.dimse_timeout = limits.dimse_timeout_s
        entity.network_timeout = limits.network_timeout_s
        entity.require_called_aet = True
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._stored),
        ]
        server = entity.make_server(
            (listener.host, listener.port),
            contexts=[build_context(VERIFICATION), *_non_patient_contexts()],
            evt_handlers=handlers,
            server_class=_Server,
            request_handler=_Handler,
        )
        self._server = cast(_Server, server)
        for target in (self._server.serve_forever, self._watch):
            thread = threading.Thread(target=target, name=f"listener-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return int(self._server.server_address[1])

    def stop(self, *, drain_s: float) -> None:
        """Refuse new associations, let open ones finish for `drain_s`, abort the rest."""
        if self._server is None:
            return
        self._server.stop()
        deadline = time.monotonic() + drain_s
        while self._open_links() and time.monotonic() < deadline:
            time.sleep(0.05)
        for link in self._open_links():
            self._shut(link)
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self._finish_ended()

    def _open_links(self) -> list[Link]:
        with self._lock:
            return [link for link in self._links.values() if link.association.is_alive()]

    # -- events, in the thread of the association

    def _opened(self, event: Any) -> None:
        prepare_socket(event.assoc.dul.socket.socket, timeout_s=self._config.limits.network_timeout_s)
        with self._lock:
            self._links[event.assoc] = Link(association=event.assoc, peer=str(event.address[0]))
        self._metrics.add("sealgate_associations_active", 1)

    def _requested(self, event: Any) -> None:
        """Called AE titles come from the routes; of a context's syntaxes the first standard one is taken.

        The acceptor's title is set to the one called if we know it; otherwise pynetdicom refuses.
        """
        request = event.assoc.requestor.primitive
        called = str(request.called_ae_title).strip()
        if called in self._called():
            event.assoc.acceptor.ae_title = called
        for context in request.presentation_context_definition_list:
            context.transfer_syntax = known_first(context.transfer_syntax)

    def _stored(self, event: Any) -> int:
        started = time.monotonic()
        link = self._links[event.assoc]
        try:
            status = self._store(event, link)
        except Exception as error:  # noqa: BLE001 - a defect of ours: told, and the object is not acknowledged
            self._log.error("store failed", code="internal", problem=where(error))
            status = PROCESSING_FAILURE
        link.objects += 1
        link.failed += status != SUCCESS
        if status != SUCCESS:
            self._metrics.count("sealgate_refused_total", status=f"{status:04X}")
        self._metrics.time("sealgate_store_seconds", time.monotonic() - started)
        return status

    # -- the watchdog

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_INTERVAL_S):
            try:
                for link in self._open_links():
                    self._end_if_stalled(link)
                self._finish_ended()
            except Exception as error:  # noqa: BLE001 - the watchdog must not die of one association
                self._log.error("watchdog", code="internal", problem=where(error))

    def _end_if_stalled(self, link: Link) -> None:
        wrapped = link.association.dul.socket
        since = wrapped.waiting_since if isinstance(wrapped, WatchedSocket) else None
        if since is not None and time.monotonic() - since > self._config.limits.network_timeout_s:
            link.stalled = True
            self._shut(link)

    def _shut(self, link: Link) -> None:
        wrapped = link.association.dul.socket
        raw = wrapped.socket if wrapped is not None else None
        if raw is None:
            return
        try:
            raw.shutdown(socket.SHUT_RDWR)
        except OSError:  # it closed by itself in this moment
            return

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
            self._metrics.add("sealgate_associations_active", -1)
            self._metrics.count("sealgate_associations_total", outcome=link.outcome)
            self._log.info("association", **_line(link))


def _line(link: Link) -> dict[str, Any]:
    request = link.association.requestor.primitive
    return {
        "peer": link.peer,
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


def prepare_socket(raw: socket.socket, *, timeout_s: float) -> None:
    """No waiting for ever, no waiting for more to send, and dead peers are noticed."""
    raw.settimeout(timeout_s)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if hasattr(socket, name):  # not on every system
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _non_patient_contexts() -> list[PresentationContext]:
    """Palettes, protocols, templates (PS3.4 GG): stored with C-STORE, but of another service class than images.

    The unrestricted storage service takes what it does not know, and it knows that these are not Storage.
    """
    return [
        build_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
        for context in NonPatientObjectPresentationContexts
    ]


def known_first(proposed: list[UID]) -> list[UID]:
    """The proposer's order, but transfer syntaxes that no edition of the standard names come last."""
    return sorted(proposed, key=lambda syntax: UID(syntax).type != "Transfer Syntax")
