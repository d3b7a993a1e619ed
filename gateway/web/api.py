"""HTTP for machines: health, readiness, metrics, and work on objects sent in a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.config.http import HttpSettings
from gateway.errors import GatewayError
from gateway.observe import Metrics
from gateway.queue import Job
from gateway.queue.as_json import job_as_json, time_as_text
from gateway.web.admission import Admission
from gateway.web.bodies import is_multipart, objects
from gateway.web.errors import STATUS_OF_CODE, BadRequest, Refused
from gateway.web.records import Records

CONTENT_TYPE_METRICS = "text/plain; version=0.0.4; charset=utf-8"
NOT_KEPT = {"Cache-Control": "no-store"}  # by caches on the way
JOBS_MAX = 1000


@dataclass(frozen=True)
class Backend:
    """What the endpoints need from the service; all of it is called in threads, not on the event loop.

    judge: the JSON of `sealgate verify` for one object; raises GatewayError. problems: why it is not ready.
    jobs: at most so many jobs, as `sealgate queue list` chooses them. reload: asks for what SIGHUP does.
    notices: what people should know although it works, such as that it seals nothing.
    """

    judge: Callable[[bytes], dict[str, Any]]
    problems: Callable[[], list[str]]
    exposition: Callable[[], bytes]
    records: Records
    jobs: Callable[[int], list[Job]]
    reload: Callable[[], None]
    notices: Callable[[], list[str]] = list
    metrics: Metrics = field(default_factory=Metrics)


def application(settings: Callable[[], HttpSettings], backend: Backend) -> Starlette:
    """settings: those in force now; they may change at any time."""
    api = _Api(settings, backend)
    probes = _Probes(backend)
    return Starlette(
        routes=[
            Route("/healthz", probes.healthz),
            Route("/readyz", probes.readyz),
            Route("/metrics", probes.exposition),
            Route("/api/v1/verify", api.verify, methods=["POST"]),
            Route("/api/v1/extract", api.extract, methods=["POST"]),
            Route("/api/v1/restore", api.restore, methods=["POST"]),
            Route("/api/v1/queue", api.queue),
            Route("/api/v1/quarantine", api.quarantine),
            Route("/api/v1/quarantine/{prefix}", api.quarantined),
            Route("/api/v1/reload", api.reload, methods=["POST"]),
        ],
        exception_handlers={GatewayError: api.failed, HTTPException: _refused},
    )


class _Probes:
    """Open to whoever reaches the port: they tell nothing about patients, and monitors have no tokens."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def healthz(self, _request: Request) -> Response:
        return PlainTextResponse("".join(f"{line}\n" for line in ("alive", *self._backend.notices())))

    async def readyz(self, _request: Request) -> Response:
        problems = await run_in_threadpool(self._backend.problems)
        return JSONResponse(
            {"ready": not problems, "problems": problems, "notices": self._backend.notices()},
            status_code=503 if problems else 200,
        )

    async def exposition(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self._backend.exposition), media_type=CONTENT_TYPE_METRICS)


class _Api:
    """The body is read only after the caller was let in."""

    def __init__(self, settings: Callable[[], HttpSettings], backend: Backend) -> None:
        self._settings = settings
        self._backend = backend
        self._door = Admission(settings, backend.records.log.write)

    async def verify(self, request: Request) -> Response:
        async with self._door.opened(request, "verify"):
            reports = [
                {"path": name, **await run_in_threadpool(self._backend.judge, data)}
                for name, data in await objects(request, self._settings())
            ]
        return JSONResponse(reports if is_multipart(request) else reports[0])

    async def extract(self, request: Request) -> Response:
        async with self._door.opened(request, "extract") as visit:
            found = [
                {"path": name, **await run_in_threadpool(self._backend.records.extract, visit, data)}
                for name, data in await objects(request, self._settings())
            ]
        return JSONResponse(found if is_multipart(request) else found[0], headers=NOT_KEPT)

    async def restore(self, request: Request) -> Response:
        if is_multipart(request):
            raise BadRequest("one object at a time", hint="Send it as application/dicom.")
        async with self._door.opened(request, "restore") as visit:
            ((_, data),) = await objects(request, self._settings())
            original, report = await run_in_threadpool(self._backend.records.restore, visit, data)
        if original is None:
            return JSONResponse({"path": "body", "restored": False, **report}, 422, headers=NOT_KEPT)
        return Response(original, media_type="application/dicom", headers=NOT_KEPT)

    async def queue(self, request: Request) -> Response:
        async with self._door.opened(request, "operate"):
            jobs = await run_in_threadpool(self._backend.jobs, JOBS_MAX)
        return JSONResponse([job_as_json(job) for job in jobs], headers=NOT_KEPT)

    async def quarantine(self, request: Request) -> Response:
        async with self._door.opened(request, "operate"):
            entries = await run_in_threadpool(self._backend.records.quarantine.entries)
        found = [{"id": item.id} | asdict(item.note) | {"at": time_as_text(item.note.at)} for item in entries]
        return JSONResponse(found, headers=NOT_KEPT)

    async def quarantined(self, request: Request) -> Response:
        """The bytes may name a patient, which is why it takes the role that opens records."""
        async with self._door.opened(request, "extract") as visit:
            data = await run_in_threadpool(
                self._backend.records.quarantined,
                visit,
                request.path_params["prefix"],
                bytes_max=self._settings().body_bytes_max,
            )
        return Response(data, media_type="application/octet-stream", headers=NOT_KEPT)

    async def reload(self, request: Request) -> Response:
        async with self._door.opened(request, "administer"):
            self._backend.reload()
        return JSONResponse({"reload": "asked for; the log tells what became of it"}, status_code=202)

    async def failed(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        answer = {"error": error.code, "retry": error.retry, "hint": error.hint}
        if not isinstance(error, Refused):
            return JSONResponse(answer, STATUS_OF_CODE.get(error.code, 500))
        self._backend.metrics.count("sealgate_http_refused_total", reason=error.code)
        return JSONResponse(answer | {"message": str(error)}, error.status, headers=error.headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
