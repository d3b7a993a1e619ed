"""HTTP for monitors: whether the gateway is alive, whether it is ready, and its metrics.

Open to everybody who reaches the port: the answers tell nothing about patients, and monitors have no tokens.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.web.backend import Backend

CONTENT_TYPE_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Probes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("".join(f"{line}\n" for line in ("alive", *self._backend.notices())))

    async def _readyz(self, _request: Request) -> Response:
        problems = await run_in_threadpool(self._backend.problems)
        return JSONResponse(
            {"ready": not problems, "problems": problems, "notices": self._backend.notices()},
            status_code=503 if problems else 200,
        )

    async def _metrics(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self._backend.exposition), media_type=CONTENT_TYPE_METRICS)
