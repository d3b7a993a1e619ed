"""What all endpoints of DICOMweb share: who may ask, until the last byte was sent, and what is written down of it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.config.http import Role, is_loopback
from gateway.observe.access_log import AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.web.admission import Admission, Visit
from gateway.web.errors import Forbidden

Handler = Callable[[Request, Visit], Awaitable[Response]]
# The same access of the same caller is written down once in that time.
NOTED_S = 60.0
NOTED_MAX = 20_000
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")


class Held(Response):
    """A response whose place is given back when it was sent, or broke off."""

    def __init__(self, response: Response, place: AsyncExitStack) -> None:
        self._response, self._place = response, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._place:
            await self._response(scope, receive, send)


class Visits:
    """Admits callers to endpoints. For one event loop."""

    def __init__(self, admission: Admission, role: Role) -> None:
        self._admission, self._role = admission, role

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that admits its callers first."""

        async def answer(request: Request) -> Response:
            async with AsyncExitStack() as stack:
                visit = await stack.enter_async_context(self._admission.admitted(request, self._role))
                _check_local(request, visit)
                response = await handler(request, visit)
                return Held(response, stack.pop_all())

        return answer


def _check_local(request: Request, visit: Visit) -> None:
    """Without a token only programs on this machine may ask: no page that a browser shows, nobody behind a proxy.

    Raises Forbidden.
    """
    if visit.caller is not None:
        return
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not is_loopback(host) or any(name in request.headers for name in _FORWARDED):
        raise Forbidden(
            "without a token only this machine may ask", hint="Add [[http.token]] or [http.oidc]."
        )


class Disclosures:
    """Writes down what is handed out; a repetition within NOTED_S is not written again. For several threads."""

    def __init__(
        self, access_log: AccessLog, pseudonyms: Pseudonyms, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._access_log, self._pseudonyms, self._clock = access_log, pseudonyms, clock
        self._noted: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, visit: Visit, uid: str, *, action: str, outcome: str, reason: str) -> None:
        """Durable when it returns. Raises AuditFailed."""
        key = (visit.caller, visit.address, uid, action, outcome, reason)
        now = self._clock()
        with self._lock:
            until = self._noted.get(key)
            if until is not None and now < until:
                return
        self._access_log.write(
            visit.access(outcome, reason, action=action, instance=self._pseudonyms.of(uid))
        )
        with self._lock:
            self._noted[key] = now + NOTED_S
            self._noted.move_to_end(key)
            while len(self._noted) > NOTED_MAX:
                self._noted.popitem(last=False)
