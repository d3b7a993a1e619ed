"""The first PDU of a connection: read as a whole, within one deadline, or refused by its first bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.dimse.sockets import REQUEST_BYTES_MAX, NotAssociated, read_first_pdu
from gateway.dimse.upper_layer import ABORT
from tests.support.pdus import IMPLICIT, VERIFICATION, associate_rq

REQUEST = associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="CT")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, and the peer's."""
    ours, peer = socket.socketpair()
    with ours, peer:
        peer.settimeout(10)
        yield ours, peer


def deadline(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def test_a_request_is_read_as_a_whole_and_no_further(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = ends

    def send_in_pieces() -> None:
        for start in range(0, len(REQUEST), 7):
            peer.sendall(REQUEST[start : start + 7])
        peer.sendall(b"next")

    sending = threading.Thread(target=send_in_pieces)
    sending.start()
    assert read_first_pdu(ours, deadline()) == REQUEST
    sending.join()
    assert ours.recv(10) == b"next"


@pytest.mark.parametrize(
    ("first", "code", "answer"),
    [
        (b"\x16\x03\x01\x00\x05\x01", "tls", b""),
        (b"GET / ", "not-dicom", ABORT),
        (b"\x01\x00" + (REQUEST_BYTES_MAX + 1).to_bytes(4, "big"), "not-dicom", ABORT),
    ],
)
def test_what_is_no_request_is_refused_by_its_first_bytes(
    ends: tuple[socket.socket, socket.socket], first: bytes, code: str, answer: bytes
) -> None:
    ours, peer = ends
    peer.sendall(first)
    with pytest.raises(NotAssociated) as caught:
        read_first_pdu(ours, deadline())
    assert caught.value.code == code
    ours.close()
    assert peer.recv(100) == answer


def test_the_deadline_holds_for_a_peer_that_sends_a_byte_now_and_then(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = ends
    stop = threading.Event()

    def send_slowly() -> None:
        for byte in REQUEST:
            if stop.wait(0.05):
                return
            peer.sendall(bytes([byte]))

    sending = threading.Thread(target=send_slowly)
    sending.start()
    with pytest.raises(TimeoutError):
        read_first_pdu(ours, deadline(0.3))
    stop.set()
    sending.join()


def test_a_peer_that_hangs_up_is_noticed(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = ends
    peer.sendall(REQUEST[:20])
    peer.close()
    with pytest.raises(ConnectionResetError):
        read_first_pdu(ours, deadline())
