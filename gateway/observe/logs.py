"""JSON log lines on stderr, without patient data."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.errors import GatewayError

Log = structlog.stdlib.BoundLogger


def configure_logging(level: int = logging.INFO) -> None:
    """Write JSON lines of this level and above to stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Both libraries quote peers and data sets in their messages. Our own lines tell what matters of them.
    logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
    logging.getLogger("pynetdicom").propagate = False
    logging.getLogger("pydicom").addHandler(logging.NullHandler())
    logging.getLogger("pydicom").propagate = False


def logger() -> Log:
    log: Log = structlog.get_logger()
    return log


def where(error: BaseException) -> str:
    """The type and the place of an error. Its message stays out: it may quote the object."""
    trace, last = error.__traceback__, ""
    while trace is not None:
        last = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {last}"


def log_error(log: Log, event: str) -> Callable[[Exception], None]:
    """A callback for a `WorkLoop` that logs each error under this event, without patient data."""

    def tell(error: Exception) -> None:
        if isinstance(error, GatewayError):
            log.error(event, code=error.code, problem=str(error))
        else:
            log.error(event, code="internal", problem=where(error))

    return tell
