"""The reading side of DICOMweb: QIDO-RS and WADO-RS over one archive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.routing import Route

from gateway.observe import Log, Metrics
from gateway.retrieve.verified import VerifiedObjects
from gateway.web.admission import Admission
from gateway.web.dicomweb.retrieving import RetrieveEndpoints
from gateway.web.dicomweb.searching import SearchEndpoints
from gateway.web.dicomweb.visits import Disclosures, Visits
from gateway.work.return_pool import ReturnPool

# Requests that wait for the archive at once. They have threads of their own: an archive that hangs must not keep others
# from what needs none.
THREADS = 16


class DicomWebReading:
    """For one event loop."""

    def __init__(
        self,
        admission: Admission,
        objects: VerifiedObjects,
        *,
        pool: Callable[[], ReturnPool],
        data_dir: Path,
        disclosures: Disclosures,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """pool: the workers that are in force.

        data_dir: for pictures while they are made.
        """
        visits = Visits(admission, "retrieve")
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dicomweb")
        self._search = SearchEndpoints(visits, objects, threads=threads, metrics=metrics, log=log)
        self._retrieve = RetrieveEndpoints(
            visits,
            objects,
            pool=pool,
            data_dir=data_dir,
            threads=threads,
            disclosures=disclosures,
            metrics=metrics,
            log=log,
        )

    def routes(self) -> list[Route]:
        return [*self._search.routes(), *self._retrieve.routes()]
