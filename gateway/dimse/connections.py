"""Connections before and below associations: sockets that can't stall us, and a door that can't be blocked.

pynetdicom's server leaves accepted sockets without time-outs, makes TLS handshakes in its accept loop, and spends two
polling threads on every connection, silent ones included. Here a connection costs one sleeping thread until its first
PDU is here as a whole, and has one deadline for all of that. Those that are not associated yet push each other out,
the oldest first, so that however many there are, one that asks at once is answered at once.
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
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from gateway.dimse.negotiation import Negotiation
from gateway.dimse.upper_layer import ABORT, EndingStateMachine

PDU_BYTES_MAX = 32 << 20  # twice the largest size that can be configured
REQUEST_BYTES_MAX = 512 << 10  # an A-ASSOCIATE-RQ: 128 contexts with all transfer syntaxes take half of it
HEADER_BYTES = 6  # PS3.8 9.3.1: type, reserved, length of the rest
ASSOCIATE_RQ, TLS_RECORD = 0x01, 0x16  # first byte of what may come first; RFC 8446 5.1 (handshake)
WAITING_MAX = 256  # connections that are not associated, in all
WAITING_PER_PEER = 64
COLLECT_INTERVAL_S = 30.0
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 30, 10, 3


@dataclass(eq=False)
class PendingConnection:
    """One accepted connection. raw: its socket, under TLS the one that decrypts."""

    raw: socket.socket
    peer: str
    since: float = field(default_factory=time.monotonic)
    tls: str = ""  # version of the protocol, empty without
    fingerprint: str | None = None  # SHA-256 of the certificate it showed
    pushed_out: bool = False

    def shut(self) -> None:
        """Wake whoever reads or writes, with an error. The socket is closed by its owner."""
        try:
            # Not SSLSocket.shutdown, which would let the reader go on without decrypting.
            socket.socket.shutdown(self.raw, socket.SHUT_RDWR)
        except OSError:  # it closed by itself in this moment
            return


class PendingConnections:
    """The connections that are not associated (yet): waiting for their request, or refused and not gone."""

    def __init__(self) -> None:
        self._inside: dict[PendingConnection, None] = {}  # in order of arrival
        self._lock = threading.Lock()

    def enter(self, arrival: PendingConnection) -> None:
        """Note it; the oldest is pushed out when its address, or all together, have too many."""
        with self._lock:
            self._inside[arrival] = None
            of_peer = [other for other in self._inside if other.peer == arrival.peer]
            out = of_peer[:1] if len(of_peer) > WAITING_PER_PEER else []
            if not out and len(self._inside) > WAITING_MAX:
                out = [next(iter(self._inside))]
            for other in out:
                del self._inside[other]
                other.pushed_out = True
        for other in out:
            other.shut()

    def leave(self, arrival: PendingConnection) -> None:
        with self._lock:
            self._inside.pop(arrival, None)

    def close(self) -> None:
        with self._lock:
            left = list(self._inside)
            self._inside.clear()
        for arrival in left:
            arrival.shut()


class WatchedSocket(AssociationSocket):
    """Takes over a connected socket; knows since when it has been waiting for the rest of a PDU."""

    def __init__(self, original: AssociationSocket, arrival: PendingConnection, first: bytes) -> None:
        """first: what was read already, given out before anything else."""
        self.__dict__.update(original.__dict__)  # a second construction would announce the connection twice
        self.arrival = arrival
        self.waiting_since: float | None = None
        self._first = first

    @property
    def ready(self) -> bool:
        return bool(self._first) or bool(super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """All `nr_bytes`, or fewer when the peer hangs up. Raises TimeoutError, OSError (also for absurd lengths).

        Reads straight into place: the original asks for 4096 bytes at most and joins them.
        """
        if self._first:
            given, self._first = self._first[:nr_bytes], self._first[nr_bytes:]
            return bytearray(given)
        if self.socket is None:
            raise OSError("the connection is closed")
        if nr_bytes > PDU_BYTES_MAX:  # a PDU can claim 4 GiB before anything is known of a peer
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


class NotAssociated(Exception):
    """A connection that never became an association. code: a word for metrics."""

    def __init__(self, code: str, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.code, self.hint = code, hint


class Handler(RequestHandler):
    """Runs in a thread of its own for each connection."""

    server: Server

    def setup(self) -> None:
        peer = str(self.client_address[0])
        self._arrival = PendingConnection(self.request, peer)
        self._first = b""
        self._handed_over = False
        self.server.door.enter(self._arrival)

    def handle(self) -> None:
        deadline = time.monotonic() + self.server.deadline_s
        try:
            prepare_socket(self.request, timeout_s=self.server.deadline_s)
            if self.server.tls is not None:
                self._make_secure(self.server.tls())
            self._first = first_pdu(self.request, deadline)
            self.request.settimeout(self.server.network_timeout_s)
            super().handle()
            self._handed_over = True
        except (NotAssociated, OSError) as error:
            self.server.shutdown_request(self.request)
            self.server.lost(self._arrival, _why(error, self._arrival))

    def finish(self) -> None:
        """Also after errors that nobody expected; an association leaves the door when it is let in, or ends."""
        if not self._handed_over:
            self.server.door.leave(self._arrival)

    def _make_secure(self, context: ssl.SSLContext) -> None:
        """The handshake; the socket's time-out limits it as a whole. Raises NotAssociated, OSError."""
        self.request = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self._arrival.raw = self.request
        self.request.do_handshake()
        self._arrival.tls = self.request.version()
        certificate = self.request.getpeercert(binary_form=True)
        if certificate:
            self._arrival.fingerprint = hashlib.sha256(certificate).hexdigest()

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.state_machine = EndingStateMachine(association.dul, self.server.broken)
        association.acse = Negotiation(association, self.server.broken)
        if association.dul.socket is not None:
            association.dul.socket = WatchedSocket(association.dul.socket, self._arrival, self._first)
        return association


class Server(ThreadedAssociationServer):
    """One port. The attributes below are set before it serves."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    door: PendingConnections
    tls: Callable[[], ssl.SSLContext] | None = None  # asked for each connection
    lost: Callable[[PendingConnection, NotAssociated], None]
    defect: Callable[[BaseException], None]
    broken: Callable[[BaseException], None]  # a peer broke the protocol in its association
    deadline_s: float  # from the connection to the last byte of its request
    network_timeout_s: float
    _collected = 0.0

    def service_actions(self) -> None:
        """Finished association threads are cyclic garbage; the original collects on every 60th request."""
        if time.monotonic() - self._collected > COLLECT_INTERVAL_S:
            gc.collect()
            self._collected = time.monotonic()

    def handle_error(self, *_: object) -> None:
        """Called inside `except`: a defect of ours, or no thread to be had; the connection is closed next."""
        error = sys.exc_info()[1]
        if error is not None:
            self.defect(error)

    def stop(self) -> None:
        socketserver.BaseServer.shutdown(self)
        self.server_close()


def first_pdu(raw: socket.socket, deadline: float) -> bytes:
    """The first PDU as a whole. Raises NotAssociated, TimeoutError, OSError.

    deadline: by time.monotonic(). Only what is here is kept in memory, whatever length is claimed.
    """
    got = _read(raw, HEADER_BYTES, deadline)
    if got[0] == TLS_RECORD:
        raise NotAssociated(
            "tls", "the peer speaks TLS to the plain port", "Let it connect to tls.port, or without TLS."
        )
    length = int.from_bytes(got[2:], "big")
    if got[0] != ASSOCIATE_RQ or length > REQUEST_BYTES_MAX:
        raw.sendall(ABORT)
        raise NotAssociated("not-dicom", "what came first is no association request", "Look at who it is.")
    return got + _read(raw, length, deadline)


def _read(raw: socket.socket, count: int, deadline: float) -> bytes:
    pieces, missing = [], count
    while missing:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        raw.settimeout(left)
        piece = raw.recv(min(missing, 65536))
        if not piece:
            raise ConnectionResetError
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


# What OpenSSL calls it -> what it means for whoever runs the other side.
_HANDSHAKE_HINTS = {
    "UNSUPPORTED_PROTOCOL": "It offers only TLS versions older than 1.2: enable TLS 1.2 or 1.3 there.",
    "NO_SHARED_CIPHER": "It offers none of the suites of BCP 195: enable ECDHE with AES-GCM there.",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "It shows no certificate: give it one that tls.ca signed.",
    "CERTIFICATE_VERIFY_FAILED": "Its certificate is not signed by tls.ca, or expired.",
    "WRONG_VERSION_NUMBER": "It does not speak TLS: let it connect to listener.port, or enable TLS there.",
    "HTTP_REQUEST": "It speaks HTTP: this is a DICOM port.",
    "TLSV1_ALERT_UNKNOWN_CA": "It does not trust our certificate: install the authority that signed it there.",
}


def _why(error: Exception, arrival: PendingConnection) -> NotAssociated:
    if isinstance(error, NotAssociated):
        return error
    if arrival.pushed_out:
        return NotAssociated("crowded", "pushed out by newer connections before it asked for an association")
    if isinstance(error, TimeoutError):
        return NotAssociated("silent", "no association request in time", "Look at what the peer does.")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = str(error.reason or "unknown")
        return NotAssociated("tls", f"TLS handshake failed: {reason}", _HANDSHAKE_HINTS.get(reason, ""))
    return NotAssociated("closed", "the peer closed the connection before it asked for an association")


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
