"""What the HTTP endpoints need from the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.routing import Route

from gateway.observe import Metrics
from gateway.queue import Job
from gateway.seal.findings import Report
from gateway.web.admission import Admission
from gateway.web.records import Records


@dataclass(frozen=True)
class Backend:
    """All of it is called in threads, not on the event loop.

    verify: verifies one object, without its hidden record. Raises GatewayError.
    problems: why the gateway is not ready; empty when it is.
    exposition: the metrics in Prometheus text format.
    records: opens records, and restores originals.
    jobs: the first jobs of the queue, at most as many as the argument says.
    reload: asks for what SIGHUP does.
    notices: what people should know although the gateway works, such as that it seals nothing.
    metrics: where refused requests are counted.
    parts: further endpoints, such as those of DICOMweb: given the admission that all share, each returns its routes.
    """

    verify: Callable[[bytes], Report]
    problems: Callable[[], list[str]]
    exposition: Callable[[], bytes]
    records: Records
    jobs: Callable[[int], list[Job]]
    reload: Callable[[], None]
    notices: Callable[[], list[str]] = list
    metrics: Metrics = field(default_factory=Metrics)
    parts: Sequence[Callable[[Admission], list[Route]]] = ()
