"""The HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.config.http import HttpSettings
from gateway.errors import ResourceError
from gateway.tls import renew, server_context

STOP_TIMEOUT_S = 5
# With more connections than that, the answer is 503.
CONNECTIONS_MAX = 256
# More connections than that are closed without an answer. Those in their TLS handshake count.
OPEN_MAX = 512
OPEN_PER_ADDRESS_MAX = 128
# From the connection, or the last answer, to the end of the next request's headers.
HEAD_TIMEOUT_S = 10.0
# A caller who takes less of an answer in a window is not waited for.
ANSWER_WINDOW_S = 30.0
ANSWER_BYTES_S_MIN = 1000


class ImpatientProtocol(H11Protocol):
    """Closes connections that send nothing, or send it drop by drop. uvicorn would wait for ever."""

    _deadline: asyncio.TimerHandle | None = None
    _unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_a_request()

    def on_response_complete(self) -> None:
        self._wait_for_a_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._unsent):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller does not take the answer as fast as it is given. Until it does, the answer is in memory."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
        super().resume_writing()

    def _watch_answer(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._unsent = self.loop.call_later(ANSWER_WINDOW_S, self._close_unless_taken, left)

    def _close_unless_taken(self, left_before: int) -> None:
        if self.transport.is_closing():
            return
        taken = left_before - self.transport.get_write_buffer_size()
        if taken < ANSWER_BYTES_S_MIN * ANSWER_WINDOW_S:
            self.transport.abort()
        else:
            self._watch_answer()

    def _wait_for_a_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._close_unless_busy)

    def _close_unless_busy(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and not self.transport.is_closing():
            self.transport.abort()


class BoundedListening(socket.socket):
    """Closes connections above the limits at once, so that nobody uses up the descriptors that the gateway needs.

    uvicorn counts connections only after the TLS handshake.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._open: list[tuple[socket.socket, str]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises OSError; BlockingIOError, which is one, when the next connection is above the limits."""
        connection, peer = super().accept()
        address = str(peer[0])
        self._open = [(other, of) for other, of in self._open if other.fileno() != -1]
        of_address = sum(of == address for _, of in self._open)
        if len(self._open) >= OPEN_MAX or of_address >= OPEN_PER_ADDRESS_MAX:
            connection.close()
            raise BlockingIOError
        self._open.append((connection, address))
        return connection, peer


class WebServer:
    """Serves an application until it is stopped."""

    def __init__(self, app: Starlette, settings: HttpSettings, *, name: str = "http") -> None:
        """name: the table of the configuration that has the address.

        Raises KeyFileError.
        """
        self._settings, self._name = settings, name
        self._context = server_context(settings.tls) if settings.tls is not None else None
        config = uvicorn.Config(
            app,
            http=ImpatientProtocol,
            # Other event loops accept without asking BoundedListening.
            loop="asyncio",
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # With them, callers could choose the address that the audit log names.
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        config.load()
        config.ssl = self._context
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Return the port when the server listens. Raises ResourceError naming the key when that can't be."""
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        listening = BoundedListening(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._settings.host, self._settings.port))
        except OSError as error:
            listening.close()
            raise ResourceError(
                f"{self._name}: {self._settings.host}:{self._settings.port}: {error.strerror}",
                hint=f"Change {self._name}.host or {self._name}.port.",
            ) from error
        listening.listen(128)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name=self._name, daemon=True
        )
        self._thread.start()
        return int(listening.getsockname()[1])

    def renew(self) -> None:
        """Read certificate and key again. Open connections keep theirs. Raises KeyFileError."""
        if self._context is not None and self._settings.tls is not None:
            renew(self._context, self._settings.tls)

    def stop(self) -> None:
        """Requests in hand get a few seconds."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S + 2)
