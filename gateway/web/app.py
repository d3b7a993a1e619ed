"""HTTP for machines: health, readiness, metrics, and verification of objects sent in a request."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.config import Http
from gateway.errors import GatewayError, WorkerDied

CONTENT_TYPE_METRICS = "text/plain; version=0.0.4; charset=utf-8"
OBJECTS_MAX = 1000  # in one multipart body
# GatewayError codes that are the caller's to mend; all others are ours (PS3.18 8.5 has no codes for either).
STATUS_OF_CODE = {"unreadable": 400, WorkerDied.code: 503}


@dataclass(frozen=True)
class Backend:
    """What the endpoints need from the service; all of it is called in threads, not on the event loop.

    judge: the JSON of `sealgate verify` for one object; raises GatewayError. problems: why it is not ready.
    notices: what people should know although it works, such as that it seals nothing.
    """

    judge: Callable[[bytes], dict[str, Any]]
    problems: Callable[[], list[str]]
    exposition: Callable[[], bytes]
    notices: Callable[[], list[str]] = list


def application(settings: Http, backend: Backend) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("".join(f"{line}\n" for line in ("alive", *backend.notices())))

    async def readyz(_request: Request) -> Response:
        problems = await run_in_threadpool(backend.problems)
        return JSONResponse(
            {"ready": not problems, "problems": problems, "notices": backend.notices()},
            status_code=503 if problems else 200,
        )

    async def metrics(_request: Request) -> Response:
        return Response(await run_in_threadpool(backend.exposition), media_type=CONTENT_TYPE_METRICS)

    async def verify(request: Request) -> Response:
        _authorise(request, settings)
        multipart = request.headers.get("content-type", "").startswith("multipart/form-data")
        body = await _limited(request, settings.body_bytes_max)
        objects = await _parts(request, body) if multipart else [("body", body)]
        reports = []
        for name, data in objects:
            report = await run_in_threadpool(backend.judge, data)
            reports.append({"path": name, **report})
        return JSONResponse(reports if multipart else reports[0])

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/api/v1/verify", verify, methods=["POST"]),
        ],
        exception_handlers={GatewayError: _failed, HTTPException: _refused},
    )


def _authorise(request: Request, settings: Http) -> None:
    if settings.token is None:
        return
    expected = f"Bearer {settings.token.get_secret_value()}".encode()
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
        raise HTTPException(401, "send the token as Authorization: Bearer", {"WWW-Authenticate": "Bearer"})


async def _limited(request: Request, bytes_max: int) -> bytes:
    """The body, refused as soon as it is known to be too large, whatever Content-Length says."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise HTTPException(413, f"more than {bytes_max} bytes (http.body_bytes_max)")
    if not body:
        raise HTTPException(400, "the body is empty; send a DICOM file")
    return bytes(body)


async def _parts(request: Request, body: bytes) -> list[tuple[str, bytes]]:
    """(file name or field name, content) of each part that is a file."""
    again = Request(request.scope, receive=_replay(body))
    async with again.form(max_files=OBJECTS_MAX) as form:
        files = [
            (str(value.filename or name), await value.read())
            for name, value in form.multi_items()
            if not isinstance(value, str)
        ]
    if not files:
        raise HTTPException(400, "no part of the multipart body is a file")
    return files


def _replay(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def messages() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": body, "more_body": False}
        yield {"type": "http.disconnect"}

    stream = messages()
    return stream.__anext__


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    status = STATUS_OF_CODE.get(error.code, 500)
    return JSONResponse({"error": error.code, "hint": error.hint}, status_code=status)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
