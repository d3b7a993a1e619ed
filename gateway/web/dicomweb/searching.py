"""QIDO-RS (PS3.18 10.6): studies, series and instances that the archive lists."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from itertools import islice
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.dicom.json_model import Model
from gateway.errors import GatewayError
from gateway.observe import Log, Metrics
from gateway.retrieve.identifier import QueryLevel
from gateway.retrieve.verified import ROOT, VerifiedObjects
from gateway.web.admission import Visit
from gateway.web.dicomweb.negotiation import JSON, check_json
from gateway.web.dicomweb.paths import uids_of
from gateway.web.dicomweb.query import PARAMETERS_MAX, Search, parsed
from gateway.web.dicomweb.visits import Visits
from gateway.web.errors import BadRequest

NOT_KEPT = {"Cache-Control": "private, no-store"}
LITERAL = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
MORE_MATCHES = "There are additional results that can be requested"


class SearchEndpoints:
    """For one event loop."""

    def __init__(
        self, visits: Visits, objects: VerifiedObjects, *, threads: Executor, metrics: Metrics, log: Log
    ) -> None:
        """threads: those that wait for the archive."""
        self._visits, self._objects, self._threads = visits, objects, threads
        self._metrics, self._log = metrics, log

    def routes(self) -> list[Route]:
        study = ROOT + "/studies/{study}"
        paths = (
            (ROOT + "/studies", QueryLevel.STUDY),
            (ROOT + "/series", QueryLevel.SERIES),
            (ROOT + "/instances", QueryLevel.IMAGE),
            (study + "/series", QueryLevel.SERIES),
            (study + "/instances", QueryLevel.IMAGE),
            (study + "/series/{series}/instances", QueryLevel.IMAGE),
        )
        return [
            Route(path, self._visits.endpoint(self._search_at(level)), methods=["GET"])
            for path, level in paths
        ]

    def _search_at(self, level: QueryLevel) -> Callable[[Request, Visit], Awaitable[Response]]:
        async def handle(request: Request, _visit: Visit) -> Response:
            return await self._answer(level, request)

        return handle

    async def _answer(self, level: QueryLevel, request: Request) -> Response:
        check_json(request)
        path = uids_of(request)
        wanted = parsed(level, _parameters(request), path)
        started = time.monotonic()
        try:
            models, more = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._matches, wanted
            )
        except GatewayError as error:
            self._told(level, started, "failed", 0, error)
            raise
        self._told(level, started, "success", len(models), None)
        base = str(request.base_url).rstrip("/") + ROOT
        for model in models:
            _add_address(model, level, base, path)
        text = json.dumps(models, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        response = Response(text, media_type=JSON, headers=NOT_KEPT)
        if wanted.fuzzy:
            response.headers.append("Warning", f'299 sealgate "{LITERAL}"')
        if more:
            response.headers.append("Warning", f'299 sealgate "{MORE_MATCHES}"')
        return response

    def _matches(self, wanted: Search) -> tuple[list[Model], bool]:
        """The answers, and whether there are more."""
        most = self._objects.settings().matches
        count = min(wanted.limit if wanted.limit is not None else most, most)
        every = self._objects.search(wanted.question, limit=wanted.offset + count + 1)
        # What is skipped is not held.
        found = list(islice(every, wanted.offset, None))
        return found[:count], len(found) > count

    def _told(
        self, level: QueryLevel, started: float, outcome: str, matches: int, error: GatewayError | None
    ) -> None:
        took = time.monotonic() - started
        self._metrics.count("sealgate_queries_total", level=str(level), outcome=outcome)
        self._metrics.time("sealgate_query_seconds", took)
        report = self._log.warning if error else self._log.info
        report(
            "query",
            service="qido-rs",
            query_level=str(level),
            matches=matches,
            duration_s=round(took, 3),
            **({"code": error.code, "problem": str(error), "hint": error.hint} if error else {}),
        )


def _parameters(request: Request) -> list[tuple[str, str]]:
    """Raises BadRequest."""
    try:
        return parse_qsl(
            request.url.query, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError as error:
        raise BadRequest("the query can't be parsed", hint="See PS3.18 8.3.4.") from error


def _add_address(model: Model, level: QueryLevel, base: str, path: dict[str, str]) -> None:
    """Retrieve URL (0008,1190), where it can be told."""
    parts = [("studies", "0020000D", path.get("study", ""))]
    if level is not QueryLevel.STUDY:
        parts.append(("series", "0020000E", path.get("series", "")))
    if level is QueryLevel.IMAGE:
        parts.append(("instances", "00080018", ""))
    address = base
    for name, key, known in parts:
        values = model.get(key, {}).get("Value") or [known]
        if not values[0]:
            return
        address += f"/{name}/{values[0]}"
    model["00081190"] = {"vr": "UR", "Value": [address]}
    ordered = dict(sorted(model.items()))
    model.clear()
    model.update(ordered)
