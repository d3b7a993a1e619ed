"""The viewer's own address: OHIF at the root, and the DICOMweb that it asks beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.config.http import HttpSettings
from gateway.observe import Metrics
from gateway.observe.access_log import AccessLog
from gateway.web.admission import Admission
from gateway.web.failures import failures
from gateway.web.viewer.site import ViewerSite


def viewer_application(
    site: ViewerSite,
    settings: Callable[[], HttpSettings],
    parts: Sequence[Callable[[Admission], list[Route]]],
    *,
    audit: AccessLog,
    metrics: Metrics,
) -> Starlette:
    """settings: of this address (`ViewerSettings.served`), those in force now.

    parts: the endpoints of DICOMweb, as in Backend.
    """
    admission = Admission(settings, audit, metrics)
    return Starlette(
        routes=[*(route for part in parts for route in part(admission)), *site.routes()],
        exception_handlers=failures(metrics),
    )
