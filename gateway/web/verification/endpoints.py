"""The page itself, and what it asks for beside /api/v1/verify: a picture, and a report to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.dicom.rendering import Rendering
from gateway.seal.findings import Report
from gateway.web.admission import Admission
from gateway.web.errors import BadRequest
from gateway.web.verification.report import as_pdf
from gateway.work.words import WORDS

# file -> media type.
FILES = {"page.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# What was sent, and what is said of it, is for the caller alone.
NOT_KEPT = {"Cache-Control": "no-store"}


@dataclass(frozen=True)
class Work:
    """What the endpoints let others do, in threads.

    verify: verifies one file. Raises GatewayError.
    picture: one frame of a file, from 1, as a picture. Raises GatewayError.
    """

    verify: Callable[[bytes], Report]
    picture: Callable[[bytes, int, Rendering], bytes]


class VerificationPage:
    """For one event loop. The page is open to all, what it asks for is not."""

    def __init__(self, admission: Admission, work: Work) -> None:
        self._admission, self._work = admission, work

    def routes(self) -> list[Route]:
        return [
            Route("/verify", self._page),
            Route("/verify/words.json", self._words),
            Route("/verify/{name}", self._file),
            Route("/api/v1/picture", self._picture, methods=["POST"]),
            Route("/api/v1/report", self._report, methods=["POST"]),
        ]

    async def _page(self, _request: Request) -> Response:
        return _packaged("page.html")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        return _packaged(name) if name in FILES else Response("no such file\n", 404, headers=HEADERS)

    async def _words(self, _request: Request) -> Response:
        return JSONResponse(WORDS, headers=HEADERS)

    async def _picture(self, request: Request) -> Response:
        """`?frame=N`, from 1: the frame as PNG, a pixel for a pixel."""
        frame = request.query_params.get("frame", "1")
        if not (frame.isascii() and frame.isdigit() and len(frame) <= 9):
            raise BadRequest("frame is no number")
        rendering = Rendering(media_type="image/png")
        async with self._admission.received(request, "verify") as (_, objects):
            (_, data), *_ = objects
            picture = await run_in_threadpool(self._work.picture, data, int(frame), rendering)
        return Response(picture, media_type="image/png", headers=NOT_KEPT)

    async def _report(self, request: Request) -> Response:
        """What POST /api/v1/verify says of one file, as PDF."""
        async with self._admission.received(request, "verify") as (_, objects):
            (_, data), *_ = objects
            report = await run_in_threadpool(self._work.verify, data)
            document = await run_in_threadpool(as_pdf, report, data, datetime.now(UTC))
        return Response(document, media_type="application/pdf", headers=NOT_KEPT)


def _packaged(name: str) -> Response:
    content = (resources.files("gateway.web.verification") / name).read_bytes()
    return Response(content, media_type=FILES[name], headers=HEADERS)
