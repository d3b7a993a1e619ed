"""The reading side of DICOMweb: QIDO-RS and WADO-RS over one archive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import Route

from gateway.observe import Log, Metrics
from gateway.retrieve.verified import VerifiedObjects
from gateway.web.admission import Admission
from gateway.web.dicomweb.retrieving import RetrieveEndpoints
from gateway.web.dicomweb.searching import SearchEndpoints
from gateway.web.dicomweb.visits import Disclosures, Visits
from gateway.web.records import Records
from gateway.work.return_pool import ReturnPool

# Requests that wait for the archive at once. They have threads of their own: an archive that hangs must not keep others
# from what needs none.
THREADS = 16


@dataclass(frozen=True)
class WayBack:
    """What the reading side needs of the service.

    pool: the workers that are in force.
    data_dir: for pictures while they are made.
    """

    objects: VerifiedObjects
    pool: Callable[[], ReturnPool]
    data_dir: Path
    log: Log


class DicomWebReading:
    """For one event loop."""

    def __init__(
        self, admission: Admission, way_back: WayBack, *, records: Records, metrics: Metrics
    ) -> None:
        """records: knows the audit log and the pseudonyms."""
        visits = Visits(admission, "retrieve")
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dicomweb")
        self._search = SearchEndpoints(
            visits, way_back.objects.archive, threads=threads, metrics=metrics, log=way_back.log
        )
        self._retrieve = RetrieveEndpoints(
            visits,
            way_back.objects,
            pool=way_back.pool,
            data_dir=way_back.data_dir,
            threads=threads,
            disclosures=Disclosures(records.log, records.pseudonyms),
            metrics=metrics,
            log=way_back.log,
        )

    def routes(self) -> list[Route]:
        return [*self._search.routes(), *self._retrieve.routes()]
