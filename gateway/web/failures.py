"""The answers to requests that end with an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.errors import GatewayError
from gateway.observe import Metrics
from gateway.web.errors import STATUS_OF_CODE, Refused


def failures(metrics: Metrics) -> Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Exception -> what answers it, as Starlette takes it. metrics: refusals are counted."""

    async def failed(_request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        answer = {"error": error.code, "retry": error.retry, "hint": error.hint}
        if not isinstance(error, Refused):
            return JSONResponse(answer, STATUS_OF_CODE.get(error.code, 500))
        metrics.count("sealgate_http_refused_total", reason=error.code)
        return JSONResponse(answer | {"message": str(error)}, error.status, headers=error.headers)

    return {GatewayError: failed, HTTPException: _no_such_endpoint}


async def _no_such_endpoint(_request: Request, error: Exception) -> Response:
    """Starlette's own refusals: an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
