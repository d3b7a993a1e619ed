"""Sockets of DICOM connections: time-outs, the first PDU, and a reader that shows for how long it has been waiting."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from pynetdicom.association import Association

from gateway.dimse.pynetdicom_private import AssociationSocket, adopt_socket
from gateway.dimse.upper_layer import ABORT

# A peer may send PDUs that are so many times as large as the size that we announce: some count otherwise than we do.
PDU_TOLERANCE = 2
# Of an A-ASSOCIATE-RQ: 128 contexts with all transfer syntaxes take half of it.
REQUEST_BYTES_MAX = 512 << 10
# PS3.8 9.3.1: type, reserved, length of the rest.
HEADER_BYTES = 6
# First byte of what may come first: an A-ASSOCIATE-RQ, or a handshake (RFC 8446 5.1).
ASSOCIATE_RQ, TLS_RECORD = 0x01, 0x16
READ_BYTES = 64 << 10
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 30, 10, 3


class NotAssociated(Exception):
    """A connection that never became an association."""

    def __init__(self, code: str, problem: str, hint: str = "") -> None:
        """code: a word for metrics.

        problem: what happened, for the log.
        hint: what an administrator can do, empty for nothing.
        """
        super().__init__(problem)
        self.code, self.hint = code, hint


def prepare_socket(raw: socket.socket, *, timeout_s: float) -> None:
    """Set time-outs and keep-alive probes, and send without waiting for more data.

    timeout_s: for each read and write, seconds.
    """
    raw.settimeout(timeout_s)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        # Not every system has all three.
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def read_first_pdu(raw: socket.socket, deadline: float) -> bytes:
    """Read the first PDU as a whole. Memory is used only for what has arrived, whatever length is claimed.

    deadline: by time.monotonic().
    Raises NotAssociated when the first bytes are no association request.
    Raises TimeoutError after the deadline, other OSErrors when the connection ends.
    """
    header = _read(raw, HEADER_BYTES, deadline)
    if header[0] == TLS_RECORD:
        raise NotAssociated(
            "tls", "the peer speaks TLS to the plain port", "Let it connect to tls.port, or without TLS."
        )
    length = int.from_bytes(header[2:], "big")
    if header[0] != ASSOCIATE_RQ or length > REQUEST_BYTES_MAX:
        raw.sendall(ABORT)
        raise NotAssociated("not-dicom", "what came first is no association request", "Look at who it is.")
    return header + _read(raw, length, deadline)


def _read(raw: socket.socket, count: int, deadline: float) -> bytes:
    pieces, missing = [], count
    while missing:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        raw.settimeout(left_s)
        piece = raw.recv(min(missing, READ_BYTES))
        if not piece:
            raise ConnectionResetError
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


class WatchedSocket(AssociationSocket):
    """The socket of an accepted association; it knows since when it has been waiting for the rest of a PDU.

    waiting_since: by time.monotonic(); None while nothing is being read.
    """

    def __init__(self, association: Association, first_pdu: bytes, *, pdu_bytes: int) -> None:
        """Take over the connected socket of `association`.

        first_pdu: bytes that were read already; `recv` returns them before any others.
        pdu_bytes: the size of a PDU that we announce.
        """
        adopt_socket(self, association)
        self.waiting_since: float | None = None
        self._read_ahead = first_pdu
        self._pdu_bytes_max = PDU_TOLERANCE * pdu_bytes
        self._is_full: Callable[[], bool] = lambda: False

    def pause_while(self, is_full: Callable[[], bool]) -> None:
        """Read nothing while `is_full()`: the system then holds the peer back (RFC 9293 3.8.6)."""
        self._is_full = is_full

    @property
    def ready(self) -> bool:
        """Whether there is something to read, and room for it."""
        return bool(self._read_ahead) or (not self._is_full() and bool(super().ready))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return all `nr_bytes`, or fewer when the peer closes the connection.

        The bytes are read straight into place; pynetdicom reads at most 4096 at a time and joins them.

        Raises TimeoutError when the peer is silent for too long.
        Raises OSError when the connection fails, or `nr_bytes` is more than PDUs that we announce may have.
        """
        if self._read_ahead:
            given, self._read_ahead = self._read_ahead[:nr_bytes], self._read_ahead[nr_bytes:]
            return bytearray(given)
        if self.socket is None:
            raise OSError("the connection is closed")
        # A PDU can claim 4 GiB before anything is known of a peer.
        if nr_bytes > self._pdu_bytes_max:
            raise OSError("a PDU is longer than what we announce")
        self.waiting_since = time.monotonic()
        try:
            content = bytearray(nr_bytes)
            view, filled = memoryview(content), 0
            while filled < nr_bytes:
                count = self.socket.recv_into(view[filled:])
                if not count:
                    break
                filled += count
            view.release()
            del content[filled:]
            return content
        finally:
            self.waiting_since = None
