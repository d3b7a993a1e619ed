"""Destinations that fall ill and get well again while the gateway sends to them."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.support.storing_peer import StoringPeer

FIRST_BYTES = 6000  # of a connection: past the negotiation, inside the first object
CHUNK = 4096
SLOW_BYTES_S = 30_000
GARBAGE = random.Random(1).randbytes(64)  # begins with no type of PDU


class Mood(StrEnum):
    WELL = "well"
    REFUSING_A700 = "answers A700"
    REFUSING_C000 = "answers C000"
    REFUSING_0124 = "answers 0124"
    SLOW = "takes 30 kB/s"
    CLOSING = "closes the connection inside an object"
    GARBAGE = "answers the association request with garbage"
    GARBAGE_LATER = "answers an object with garbage"
    SILENT = "accepts and never answers"
    SILENT_LATER = "takes nothing more inside an object"
    GONE = "refuses connections"


PARKS = (Mood.REFUSING_C000, Mood.REFUSING_0124)  # permanent refusals wait for a person
_STATUSES = {Mood.REFUSING_A700: 0xA700, Mood.REFUSING_C000: 0xC000, Mood.REFUSING_0124: 0x0124}


class Patient:
    """A storage SCP behind a line; `mood` applies to its answers and to connections opened from now on."""

    def __init__(self, mood: Mood) -> None:
        self.mood = mood
        self.peer = StoringPeer(answer=lambda _number: _STATUSES.get(self.mood, 0x0000))
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    @property
    def received(self) -> list[bytes]:
        """Data sets taken with success, in order."""
        return [data for _, data in self.peer.received]

    def cure(self) -> None:
        if self.mood is Mood.GONE:
            self._listen()
        self.mood = Mood.WELL

    def __enter__(self) -> Self:
        self.peer.__enter__()
        if self.mood is not Mood.GONE:
            self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._listening)
        self.peer.__exit__(kind, error, trace)

    def _listen(self) -> None:
        self._listening.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self.peer.port))
                threading.Thread(target=self._there, args=(client, server, self.mood), daemon=True).start()
                threading.Thread(target=self._back, args=(client, server), daemon=True).start()
        except OSError:  # closed: the test is over
            return

    def _there(self, client: socket.socket, server: socket.socket, mood: Mood) -> None:
        """From the gateway to the peer, as long as the mood allows."""
        came = 0
        try:
            while data := client.recv(CHUNK):
                came += len(data)
                inside = came > FIRST_BYTES
                if mood is Mood.GARBAGE or (mood is Mood.GARBAGE_LATER and inside):
                    client.sendall(GARBAGE)
                    while client.recv(CHUNK):  # whether to hang up is left to the gateway
                        pass
                    break
                if mood is Mood.SILENT or (mood is Mood.SILENT_LATER and inside):
                    while self.mood is mood:  # neither reads nor closes until it is well again
                        time.sleep(0.1)
                    break
                if mood is Mood.CLOSING and inside:
                    break
                server.sendall(data)
                if mood is Mood.SLOW and self.mood is mood:
                    time.sleep(len(data) / SLOW_BYTES_S)
        except OSError:  # the other side hung up
            pass
        _end(client)
        _end(server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := server.recv(CHUNK):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            return


def _end(connection: socket.socket) -> None:
    """Closed, and noticed by a thread that waits for it: a close alone would wait for that thread."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
