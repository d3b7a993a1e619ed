"""Connections before they are associations: none can stall the gateway, and they can't keep others out.

pynetdicom's server leaves accepted sockets without time-outs, makes TLS handshakes in its accept loop, and spends two
polling threads on every connection, silent ones included. Here a connection costs one sleeping thread until its whole
first PDU has arrived, and one deadline covers all of that. Connections that are not associated yet push each other
out, the oldest first. So a peer that asks at once is answered at once, however many connections there are.
"""

from __future__ import annotations

import gc
import hashlib
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pynetdicom.association import Association

from gateway.dimse.negotiation import Negotiation
from gateway.dimse.pynetdicom_private import PreparingRequestHandler, ThreadedAssociationServer, install
from gateway.dimse.sockets import NotAssociated, WatchedSocket, prepare_socket, read_first_pdu
from gateway.dimse.upper_layer import EndingStateMachine

# Connections that are not associated: in all, and from one address.
WAITING_MAX = 256
WAITING_PER_PEER = 64
COLLECT_INTERVAL_S = 30.0


@dataclass(eq=False)
class PendingConnection:
    """One accepted connection.

    raw: its socket; under TLS the one that decrypts.
    peer: the IP address, as text.
    since: when it was accepted, by time.monotonic().
    tls: version of the protocol, empty without TLS.
    fingerprint: SHA-256 of the certificate that the peer showed, None without one.
    pushed_out: whether newer connections have taken its place.
    """

    raw: socket.socket
    peer: str
    since: float = field(default_factory=time.monotonic)
    tls: str = ""
    fingerprint: str | None = None
    pushed_out: bool = False

    def shut(self) -> None:
        """Wake every thread that reads or writes, with an error. The socket's owner closes it."""
        try:
            # Not SSLSocket.shutdown, which would let the reader go on without decrypting.
            socket.socket.shutdown(self.raw, socket.SHUT_RDWR)
        except OSError:
            # The connection has just closed by itself.
            return


class PendingConnections:
    """The connections that are not associated: their request has not come yet, or it was refused."""

    def __init__(self) -> None:
        # In the order in which they came.
        self._pending: dict[PendingConnection, None] = {}
        self._lock = threading.Lock()

    def enter(self, connection: PendingConnection) -> None:
        """Add it. The oldest is pushed out when there are too many, of its address or of all."""
        with self._lock:
            self._pending[connection] = None
            of_peer = [other for other in self._pending if other.peer == connection.peer]
            out = of_peer[:1] if len(of_peer) > WAITING_PER_PEER else []
            if not out and len(self._pending) > WAITING_MAX:
                out = [next(iter(self._pending))]
            for other in out:
                del self._pending[other]
                other.pushed_out = True
        for other in out:
            other.shut()

    def leave(self, connection: PendingConnection) -> None:
        """Forget it: it was let in, or it has ended. One that is not here is no error."""
        with self._lock:
            self._pending.pop(connection, None)

    def close(self) -> None:
        """Shut all of them."""
        with self._lock:
            left = list(self._pending)
            self._pending.clear()
        for connection in left:
            connection.shut()


@dataclass(frozen=True, kw_only=True)
class ConnectionEvents:
    """What a server reports. All are called in the thread of the connection or of its association.

    opened: an association is about to start, with its socket and its negotiation.
    lost: a connection ended before it asked for an association.
    defect: our own code failed, or no thread could be started.
    broken: a peer broke the protocol inside its association.
    """

    opened: Callable[[Association, PendingConnection, WatchedSocket, Negotiation], None]
    lost: Callable[[PendingConnection, NotAssociated], None]
    defect: Callable[[BaseException], None]
    broken: Callable[[BaseException], None]


class Server(ThreadedAssociationServer):
    """One port. The attributes below are set before it serves.

    tls: asked for each connection; None for a plain port.
    deadline_s: from the connection to the last byte of its request, seconds.
    network_timeout_s: for each read and write afterwards, seconds.
    pdu_bytes: the size of a PDU that we announce.
    """

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    pending: PendingConnections
    events: ConnectionEvents
    tls: Callable[[], ssl.SSLContext] | None = None
    deadline_s: float
    network_timeout_s: float
    pdu_bytes: int
    _collected_at = 0.0

    def service_actions(self) -> None:
        """Collect garbage: finished association threads are cyclic. pynetdicom does it on every 60th request."""
        if time.monotonic() - self._collected_at > COLLECT_INTERVAL_S:
            gc.collect()
            self._collected_at = time.monotonic()

    def handle_error(self, *_: object) -> None:
        """Report the error that is being handled; the caller closes the connection next."""
        error = sys.exc_info()[1]
        if error is not None:
            self.events.defect(error)

    def stop(self) -> None:
        """Accept no more connections; those that are open stay."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class Handler(PreparingRequestHandler):
    """Brings one connection to its association; runs in a thread of its own."""

    server: Server

    def setup(self) -> None:
        peer = str(self.client_address[0])
        self._connection = PendingConnection(self.request, peer)
        self._first_pdu = b""
        self._handed_over = False
        self.server.pending.enter(self._connection)

    def handle(self) -> None:
        deadline = time.monotonic() + self.server.deadline_s
        try:
            prepare_socket(self.request, timeout_s=self.server.deadline_s)
            if self.server.tls is not None:
                self._make_secure(self.server.tls())
            self._first_pdu = read_first_pdu(self.request, deadline)
            self.request.settimeout(self.server.network_timeout_s)
            super().handle()
            self._handed_over = True
        except (NotAssociated, OSError) as error:
            self.server.shutdown_request(self.request)
            self.server.events.lost(self._connection, _explained(error, self._connection))

    def finish(self) -> None:
        """Called after every error, unexpected ones too. An association leaves when it is let in, or ends."""
        if not self._handed_over:
            self.server.pending.leave(self._connection)

    def prepare(self, association: Association) -> None:
        events = self.server.events
        watched_socket = WatchedSocket(association, self._first_pdu, pdu_bytes=self.server.pdu_bytes)
        negotiation = Negotiation(association, events.broken)
        install(
            association,
            socket=watched_socket,
            state_machine=EndingStateMachine(association, events.broken),
            acse=negotiation,
        )
        events.opened(association, self._connection, watched_socket, negotiation)

    def _make_secure(self, context: ssl.SSLContext) -> None:
        """Make the handshake; the socket's time-out limits it as a whole.

        Raises OSError, of which ssl.SSLError is one, when it fails.
        """
        self.request = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self._connection.raw = self.request
        self.request.do_handshake()
        self._connection.tls = self.request.version()
        certificate = self.request.getpeercert(binary_form=True)
        if certificate:
            self._connection.fingerprint = hashlib.sha256(certificate).hexdigest()


# What OpenSSL calls it -> what it means for the administrator of the other side.
_HANDSHAKE_HINTS = {
    "UNSUPPORTED_PROTOCOL": "It offers only TLS versions older than 1.2: enable TLS 1.2 or 1.3 there.",
    "NO_SHARED_CIPHER": "It offers none of the suites of BCP 195: enable ECDHE with AES-GCM there.",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "It shows no certificate: give it one that tls.ca signed.",
    "CERTIFICATE_VERIFY_FAILED": "Its certificate is not signed by tls.ca, or expired.",
    "WRONG_VERSION_NUMBER": "It does not speak TLS: let it connect to listener.port, or enable TLS there.",
    "HTTP_REQUEST": "It speaks HTTP: this is a DICOM port.",
    "TLSV1_ALERT_UNKNOWN_CA": "It does not trust our certificate: install the authority that signed it there.",
}


def _explained(error: Exception, connection: PendingConnection) -> NotAssociated:
    if isinstance(error, NotAssociated):
        return error
    if connection.pushed_out:
        return NotAssociated("crowded", "pushed out by newer connections before it asked for an association")
    if isinstance(error, TimeoutError):
        return NotAssociated("silent", "no association request in time", "Look at what the peer does.")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = str(error.reason or "unknown")
        return NotAssociated("tls", f"TLS handshake failed: {reason}", _HANDSHAKE_HINTS.get(reason, ""))
    return NotAssociated("closed", "the peer closed the connection before it asked for an association")
