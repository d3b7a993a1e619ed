"""The objects in a request's body, within the limits of size, time and rate. They are in memory, never on a disk."""

from __future__ import annotations

import time
from asyncio import timeout
from collections.abc import AsyncIterator

from starlette.requests import Request

from gateway.config.http import HttpSettings
from gateway.web.capacity import Holding
from gateway.web.errors import BadRequest, TooLarge, TooSlow
from gateway.web.multipart import MultipartBody

# The name of an object that is the whole body.
WHOLE_BODY = "body"
# The rate of a body is looked at once in this time.
WINDOW_S = 10.0


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def objects(request: Request, settings: HttpSettings, holding: Holding) -> list[tuple[str, bytes]]:
    """Name and content of each file of a multipart body. Any other body is one object, named WHOLE_BODY.

    holding: grows with what is received.
    Raises BadRequest, TooLarge, TooSlow, Busy.
    """
    body = MultipartBody(request.headers["content-type"]) if is_multipart(request) else None
    whole = bytearray()
    async for chunk in _chunks(request, settings):
        holding.grow(len(chunk))
        if holding.bytes > settings.body_bytes_max:
            raise TooLarge(f"more than {settings.body_bytes_max} bytes")
        if body is not None:
            body.write(chunk)
        else:
            whole += chunk
    if not holding.bytes:
        raise BadRequest("the body is empty")
    return body.files() if body is not None else [(WHOLE_BODY, bytes(whole))]


async def _chunks(request: Request, settings: HttpSettings) -> AsyncIterator[bytes]:
    """The body as it comes. Raises BadRequest when the caller leaves, TooSlow when it comes too slowly."""
    began = time.monotonic()
    window_began, in_window, more = began, 0, True
    while more:
        now = time.monotonic()
        left_s = began + settings.request_timeout_s - now
        window_left_s = window_began + WINDOW_S - now
        if left_s <= 0:
            raise _slow(f"the body did not come within {settings.request_timeout_s:g} s")
        if window_left_s <= 0:
            if in_window < settings.body_bytes_s_min * (now - window_began):
                raise _slow(f"the body comes with less than {settings.body_bytes_s_min} bytes per second")
            window_began, in_window, window_left_s = now, 0, WINDOW_S
        try:
            async with timeout(min(left_s, window_left_s)):
                message = await request.receive()
        except TimeoutError:
            continue
        if message["type"] == "http.disconnect":
            raise BadRequest("the caller went away")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        in_window += len(chunk)
        if chunk:
            yield chunk


def _slow(message: str) -> TooSlow:
    return TooSlow(message, headers={"Connection": "close"})
