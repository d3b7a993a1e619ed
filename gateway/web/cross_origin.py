"""Pages of other origins: who may ask from a browser."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config.http import HttpSettings
from gateway.retrieve.verified import ROOT

# What is known of objects, for viewers.
FINDINGS = "/api/v1/findings"
BELOW = (ROOT, FINDINGS)
# What pages of other origins may read.
EXPOSED = "ETag, Warning, Sealgate-Verdict, Content-Location"


class CrossOrigin:
    """Lets pages of the origins that the settings name ask the endpoints of viewers (Fetch standard, CORS)."""

    def __init__(self, app: ASGIApp, *, settings: Callable[[], HttpSettings]) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(BELOW):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        allowed = origin in self._settings().allowed_origins
        extra = [(b"vary", b"Origin")]
        if allowed:
            extra.append((b"access-control-allow-origin", origin.encode("latin-1")))
            extra.append((b"access-control-expose-headers", EXPOSED.encode()))
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            extra += [
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-allow-headers", b"Accept, Authorization, Content-Type, If-None-Match"),
                (b"access-control-max-age", b"600"),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": extra})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self._app(scope, receive, sent)
