"""HTTP for programs: work on objects sent in a request, the queue, the quarantine, reloading."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.config.http import HttpSettings
from gateway.queue.as_json import job_as_json
from gateway.seal.amending import Correcting
from gateway.web.admission import Admission
from gateway.web.amendments import amendment_and_object
from gateway.web.as_json import (
    extraction_as_json,
    quarantined_as_json,
    report_as_json,
    restoration_as_json,
)
from gateway.web.backend import Backend
from gateway.web.bodies import WHOLE_BODY, is_multipart
from gateway.web.cross_origin import CrossOrigin
from gateway.web.errors import BadRequest
from gateway.web.failures import failures
from gateway.web.probes import Probes

# Caches on the way must not keep such an answer.
NOT_KEPT = {"Cache-Control": "no-store"}
JOBS_MAX = 1000


def application(settings: Callable[[], HttpSettings], backend: Backend) -> Starlette:
    """All endpoints. settings: those in force now; they may change at any time."""
    admission = Admission(settings, backend.records.log, backend.metrics)
    api = Api(settings, backend, admission)
    return Starlette(
        routes=[
            *Probes(backend).routes(),
            *api.routes(),
            *(route for part in backend.parts for route in part(admission)),
        ],
        middleware=[Middleware(CrossOrigin, settings=settings)],
        exception_handlers=failures(backend.metrics),
    )


class Api:
    """Admits the caller before it reads the body."""

    def __init__(self, settings: Callable[[], HttpSettings], backend: Backend, admission: Admission) -> None:
        self._settings = settings
        self._backend = backend
        self._admission = admission

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/verify", self._verify, methods=["POST"]),
            Route("/api/v1/extract", self._extract, methods=["POST"]),
            Route("/api/v1/restore", self._restore, methods=["POST"]),
            Route("/api/v1/amend", self._amend, methods=["POST"]),
            Route("/api/v1/queue", self._queue),
            Route("/api/v1/quarantine", self._quarantine),
            Route("/api/v1/quarantine/{prefix}", self._quarantined),
            Route("/api/v1/reload", self._reload, methods=["POST"]),
        ]

    async def _verify(self, request: Request) -> Response:
        async with self._admission.received(request, "verify") as (_, objects):
            reports = [
                report_as_json(name, await run_in_threadpool(self._backend.verify, data))
                for name, data in objects
            ]
        return JSONResponse(reports if is_multipart(request) else reports[0])

    async def _extract(self, request: Request) -> Response:
        async with self._admission.received(request, "extract") as (visit, objects):
            extractions = [
                extraction_as_json(name, await run_in_threadpool(self._backend.records.extract, visit, data))
                for name, data in objects
            ]
        return JSONResponse(extractions if is_multipart(request) else extractions[0], headers=NOT_KEPT)

    async def _restore(self, request: Request) -> Response:
        if is_multipart(request):
            raise BadRequest("one object at a time", hint="Send it as application/dicom.")
        async with self._admission.received(request, "restore") as (visit, ((_, data),)):
            unverified = request.query_params.get("unverified") == "true"
            restored = await run_in_threadpool(
                self._backend.records.restore, visit, data, unverified=unverified
            )
        if restored.original is None:
            answer = restoration_as_json(WHOLE_BODY, restored.restoration)
            return JSONResponse(answer, 422, headers=NOT_KEPT)
        headers = NOT_KEPT | {"Sealgate-Verdict": str(restored.restoration.verdict)}
        return Response(restored.original, media_type="application/dicom", headers=headers)

    async def _amend(self, request: Request) -> Response:
        """Values are in the body: what is in an address is written into logs on the way."""
        async with self._admission.received(request, "amend") as (visit, parts):
            wanted, data = amendment_and_object(parts)
            correcting = Correcting(
                values=wanted.set,
                reason=wanted.reason,
                by=visit.caller or visit.address,
                at=datetime.now(UTC),
            )
            amended = await run_in_threadpool(self._backend.records.amend, visit, data, correcting)
        return Response(amended, media_type="application/dicom", headers=NOT_KEPT)

    async def _queue(self, request: Request) -> Response:
        async with self._admission.admitted(request, "operate"):
            jobs = await run_in_threadpool(self._backend.jobs, JOBS_MAX)
        return JSONResponse([job_as_json(job) for job in jobs], headers=NOT_KEPT)

    async def _quarantine(self, request: Request) -> Response:
        async with self._admission.admitted(request, "operate"):
            entries = await run_in_threadpool(self._backend.records.quarantine.entries)
        return JSONResponse([quarantined_as_json(entry) for entry in entries], headers=NOT_KEPT)

    async def _quarantined(self, request: Request) -> Response:
        """The bytes may name a patient, so the endpoint needs the role that opens records."""
        async with self._admission.admitted(request, "extract") as visit:
            data = await run_in_threadpool(
                self._backend.records.quarantined,
                visit,
                request.path_params["prefix"],
                bytes_max=self._settings().body_bytes_max,
            )
        return Response(data, media_type="application/octet-stream", headers=NOT_KEPT)

    async def _reload(self, request: Request) -> Response:
        async with self._admission.admitted(request, "administer"):
            self._backend.reload()
        return JSONResponse({"reload": "asked for; the log tells what became of it"}, status_code=202)
