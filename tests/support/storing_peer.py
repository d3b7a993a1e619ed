"""A storage SCP over TCP whose answers the test decides, and a slow line to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import build_context

CT = "1.2.840.10008.5.1.4.1.1.2"
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass
class StoringPeer:
    """Accepts `sop_classes` in `syntaxes`.

    answer: gets the number of the C-STORE request, from 0; returns its DIMSE status, or None to abort.
    received: transfer syntax and data set of each object that was taken.
    priorities: of all requests.
    associations: how many were accepted.
    requests: how many began.
    """

    answer: Callable[[int], int | None] = lambda _number: 0x0000
    sop_classes: Sequence[str] = (CT,)
    syntaxes: Sequence[str] = PLAIN
    received: list[tuple[str, bytes]] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
    associations: int = 0
    requests: int = 0
    port: int = 0
    _server: Any = None
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        entity = AE(ae_title="PEER")
        contexts = [build_context(sop_class, list(self.syntaxes)) for sop_class in self.sop_classes]
        contexts.append(build_context("1.2.840.10008.1.1"))
        handlers: list[EventHandlerType] = [
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_ACCEPTED, self._accepted),
        ]
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, contexts=contexts, evt_handlers=handlers
        )
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def _accepted(self, _event: evt.Event) -> None:
        with self._counting:
            self.associations += 1

    def _stored(self, event: evt.Event) -> int:
        with self._counting:
            number = self.requests
            self.requests += 1
            self.priorities.append(int(cast(C_STORE, event.request).Priority))
        status = self.answer(number)
        if status is None:
            event.assoc.abort()
            return 0x0110
        if status in (0x0000, 0xB000):
            self.received.append(
                (str(event.context.transfer_syntax), event.encoded_dataset(include_meta=False))
            )
        return status


class SlowLine:
    """A TCP relay to `port` that passes on at most `bytes_s` in the direction of the server."""

    def __init__(self, port: int, *, bytes_s: int) -> None:
        self._target, self._bytes_s = port, bytes_s
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(
                    target=self._relay, args=(client, server, self._bytes_s), daemon=True
                ).start()
                threading.Thread(target=self._relay, args=(server, client, 0), daemon=True).start()
        except OSError:  # the test is over
            return

    def _relay(self, source: socket.socket, target: socket.socket, bytes_s: int) -> None:
        started, passed = time.monotonic(), 0
        try:
            while data := source.recv(16 << 10):
                target.sendall(data)
                passed += len(data)
                if bytes_s:
                    time.sleep(max(0.0, started + passed / bytes_s - time.monotonic()))
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one side hung up
            return
        finally:
            source.close()
