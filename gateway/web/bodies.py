"""The objects in a request's body, within the limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from gateway.config.http import HttpSettings
from gateway.web.errors import BadRequest, TooLarge, TooSlow

# Files in one multipart body.
OBJECTS_MAX = 1000
# The name of an object that is the whole body.
WHOLE_BODY = "body"


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def objects(request: Request, settings: HttpSettings) -> list[tuple[str, bytes]]:
    """Name and content of each file of a multipart body. Any other body is one object, named WHOLE_BODY.

    Raises BadRequest, TooLarge, TooSlow.
    """
    body = await _limited(request, settings)
    return await _parts(request, body) if is_multipart(request) else [(WHOLE_BODY, body)]


async def _limited(request: Request, settings: HttpSettings) -> bytes:
    """The whole body. Raises TooLarge as soon as it is too large, whatever Content-Length says."""
    body = bytearray()
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > settings.body_bytes_max:
                    raise TooLarge(f"more than {settings.body_bytes_max} bytes")
    except TimeoutError as error:
        raise TooSlow(
            f"the body did not come within {settings.request_timeout_s:g} s", headers={"Connection": "close"}
        ) from error
    except ClientDisconnect as error:
        raise BadRequest("the caller went away") from error
    if not body:
        raise BadRequest("the body is empty")
    return bytes(body)


async def _parts(request: Request, body: bytes) -> list[tuple[str, bytes]]:
    """File name, or field name, and content of each part that is a file. Raises BadRequest."""
    replayed = Request(request.scope, receive=_replay(body))
    try:
        async with replayed.form(max_files=OBJECTS_MAX) as form:
            files = [
                (str(value.filename or name), await value.read())
                for name, value in form.multi_items()
                if not isinstance(value, str)
            ]
    except HTTPException as error:
        raise BadRequest("the multipart body can't be parsed", hint=str(error.detail)) from error
    if not files:
        raise BadRequest("no part of the multipart body is a file")
    return files


def _replay(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """An ASGI channel on which this body is received."""

    async def messages() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": body, "more_body": False}
        yield {"type": "http.disconnect"}

    stream = messages()
    return stream.__anext__
