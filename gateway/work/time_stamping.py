"""Time stamps over HTTP (RFC 3161 3.4). An authority that is slow, down or lying costs seconds, not objects."""

from __future__ import annotations

import http.client
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from gateway import __version__
from gateway.config import TimeStampSettings
from gateway.errors import TimeStampFailed
from gateway.keys import CertificateTrust, TimeStampQuery, load_certificates
from gateway.keys.time_stamps import MEDIA_TYPE_QUERY, MEDIA_TYPE_REPLY
from gateway.runtime.backoff import delay_s

# Of an answer. Real ones have some kilobytes, with the certificates of the authority.
ANSWER_BYTES_MAX = 256 << 10
# After a failure nobody asks for so long: every object would wait for the same authority.
PAUSE_FIRST_S = 5.0
PAUSE_MOST_S = 300.0


@dataclass
class TimeStamper:
    """Asks one authority. Not for several threads.

    clock: seconds that only grow.
    problem: why the last stamp is missing; "" when it is there.
    """

    url: str
    trust: CertificateTrust
    timeout_s: float
    required: bool
    clock: Callable[[], float] = time.monotonic
    problem: str = field(default="", init=False)
    _failures: int = field(default=0, init=False)
    _rests_until: float = field(default=0.0, init=False)

    @classmethod
    def of(cls, settings: TimeStampSettings) -> TimeStamper:
        """Raises KeyFileError when the certificates can't be read."""
        trust = CertificateTrust(load_certificates(settings.certificates))
        return cls(settings.url, trust, settings.timeout_s, settings.required)

    def __call__(self, signature: bytes) -> bytes:
        """The time stamp over a signature, TimeStampToken in DER; nothing where it fails and is not required.

        Raises TimeStampFailed where it is required.
        """
        self.problem = ""
        try:
            return self.stamp(signature)
        except TimeStampFailed as error:
            self.problem = str(error)
            if self.required:
                raise
            return b""

    def stamp(self, signature: bytes) -> bytes:
        """The time stamp over a signature, TimeStampToken in DER.

        Raises TimeStampFailed, also at once while it waits after a failure.
        """
        if self.clock() < self._rests_until:
            raise TimeStampFailed("the time stamp authority failed a moment ago and is not asked again yet")
        try:
            question = TimeStampQuery.about(signature)
            token = question.stamp_in(self._exchange(question.encoded), self.trust).token
        except TimeStampFailed:
            self._failures += 1
            pause_s = delay_s(self._failures, first_s=PAUSE_FIRST_S, most_s=PAUSE_MOST_S)
            self._rests_until = self.clock() + pause_s
            raise
        self._failures = 0
        return token

    def _exchange(self, query: bytes) -> bytes:
        """The answer of the authority, or an end within the deadline, whatever it is that takes long.

        Timeouts of sockets limit each read, not the sum of them, and no name server. So a thread waits there, and we
        wait here.
        Raises TimeStampFailed.
        """
        exchange = _Exchange(self.url, query, self.timeout_s)
        exchange.start()
        try:
            answer = exchange.answers.get(timeout=self.timeout_s)
        except queue.Empty:
            exchange.cut()
            raise _no_answer(self.timeout_s) from None
        if isinstance(answer, TimeStampFailed):
            raise answer
        return answer


class _Exchange(threading.Thread):
    """One question and its answer. It ends soon after its deadline, also when nobody waits for it any more.

    answers: gets the one answer, or why there is none.
    """

    def __init__(self, url: str, query: bytes, timeout_s: float) -> None:
        super().__init__(name="time-stamp", daemon=True)
        self.answers: queue.SimpleQueue[bytes | TimeStampFailed] = queue.SimpleQueue()
        self._query, self._deadline = query, time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection = _connection(parts, timeout_s)

    def run(self) -> None:
        try:
            with closing(self._connection):
                self.answers.put(self._answer())
        except TimeStampFailed as error:
            self.answers.put(error)
        except TimeoutError:
            self.answers.put(_no_answer(self._timeout_s))
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            problem = reason or type(error).__name__
            self.answers.put(TimeStampFailed(f"the time stamp authority can't be asked: {problem}"))

    def cut(self) -> None:
        """For another thread: who reads from the connection is woken."""
        opened = self._connection.sock
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def _answer(self) -> bytes:
        """Raises TimeStampFailed, OSError, HTTPException."""
        self._connection.connect()
        self._check_deadline()
        headers = {
            "Content-Type": MEDIA_TYPE_QUERY,
            "Accept": MEDIA_TYPE_REPLY,
            "User-Agent": f"sealgate/{__version__}",
        }
        self._connection.request("POST", self._target, body=self._query, headers=headers)
        with self._connection.getresponse() as response:
            if response.status != http.client.OK:
                raise TimeStampFailed(
                    f"the time stamp authority answered with the HTTP status {response.status}"
                )
            body = b""
            while piece := response.read1(ANSWER_BYTES_MAX):
                self._check_deadline()
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise TimeStampFailed("the answer of the time stamp authority is too long")
            return body

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimeStampFailed("the time stamp authority is too slow")


def _no_answer(timeout_s: float) -> TimeStampFailed:
    return TimeStampFailed(f"the time stamp authority gave no answer within {timeout_s:g} s")


def _connection(parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)
