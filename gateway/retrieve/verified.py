"""Objects of the archive as they may be handed out over HTTP: fetched, verified and restored once, and kept.

Requests for the same objects at the same time share one fetch. An object that was looked at longer ago than
`retrieve.cache_fresh_s` is fetched again: the same bytes need not be verified again, others are. Objects lie in files
that are encrypted with keys of their own; what was not used for longest is removed first.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from blake3 import blake3

from gateway.config import Config
from gateway.config.retrieve import RetrieveSettings
from gateway.dicom.elements import EXPLICIT_LE
from gateway.dicom.json_model import Model
from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import FileMissing, GatewayError, ResourceError
from gateway.observe import Metrics, where
from gateway.retrieve.archive import Archive
from gateway.retrieve.fetching import Arrivals, ByGet, ByMove, Fetcher
from gateway.retrieve.identifier import SERIES, SOP_INSTANCE, STUDY, Identifier, QueryLevel, written
from gateway.retrieve.pipeline import Cancelled, NotSent, Parcel, Pipeline
from gateway.retrieve.plan import Planner, Wanted
from gateway.retrieve.searching import SearchKeys, search
from gateway.retrieve.web_archive import WebArchive
from gateway.spool.stored import StoredFile, decrypted
from gateway.work.handover import SecretFile
from gateway.work.return_pool import ReturnPool
from gateway.work.tasks import FRAMES_APART, Presentation, Returned

# Where instances are found over HTTP.
ROOT = "/dicom-web"
# Fetches from the archive at once.
FETCHES_MAX = 8
# Stale neighbours in a series that are looked at again with one of them.
NEIGHBOURS_MAX = 512
# A list of instances is believed for so long, unless cache_fresh_s is less: a study may grow.
LISTED_S = 10.0
LISTS_MAX = 64
# An object that was removed before it could be read is fetched again.
ATTEMPTS = 3


def address_of(wanted: Wanted) -> str:
    return f"{ROOT}/studies/{wanted.study}/series/{wanted.series}/instances/{wanted.sop_instance}"


_Place: TypeAlias = tuple[str, str | None, str | None]
_Promises: TypeAlias = "dict[str, Future[VerifiedObject]]"


@dataclass(eq=False)
class VerifiedObject:
    """One object, once it was verified.

    digest: BLAKE3 of what the archive sent, in hex.
    pool: the workers that verified it; others may have other keys, or another policy.
    file: what is handed out; None where it is withheld.
    checked_at: when the archive was asked last, time.monotonic().
    bytes: on the disk.
    """

    wanted: Wanted
    returned: Returned
    digest: str
    pool: ReturnPool
    file: SecretFile | None
    checked_at: float
    bytes: int
    files: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def etag(self) -> str:
        """Changes with the object and with what is said of it."""
        said = f"{self.digest} {self.returned.verdict} {self.returned.treatment} {self.returned.reason}"
        return blake3(said.encode()).hexdigest()[:32]

    @property
    def presentation(self) -> Presentation:
        """Raises NotSent."""
        if self.returned.presentation is None:
            raise NotSent("the object was not prepared for this")
        return self.returned.presentation

    @contextmanager
    def opened(self, *, frames: bool = False) -> Iterator[ByteSource]:
        """What is handed out, read in pieces.

        frames: the file that has the frames.
        Raises FileMissing when it was removed meanwhile, or is withheld; SpoolCorrupt.
        """
        if self.file is None:
            raise FileMissing("the object is withheld")
        file = self.file.beside(FRAMES_APART) if frames and self.presentation.apart else self.file
        try:
            stored = StoredFile(file.path)
        except FileNotFoundError as error:
            raise FileMissing("the object was removed from the cache") from error
        with closing(stored):
            yield decrypted(stored, file.key)


class VerifiedObjects:
    """For several threads."""

    def __init__(
        self,
        archive: Archive,
        *,
        config: Callable[[], Config],
        pool: Callable[[], ReturnPool],
        arrivals: Arrivals,
        web: WebArchive,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """config, pool: those in force, asked again and again.

        web: the archive, over DICOMweb.
        """
        self._archive, self._config, self._pool = archive, config, pool
        self._arrivals, self._web, self._metrics, self._clock = arrivals, web, metrics, clock
        self._kept: OrderedDict[str, VerifiedObject] = OrderedDict()
        self._bytes = 0
        self._listed: OrderedDict[_Place, tuple[float, list[Wanted]]] = OrderedDict()
        self._coming: dict[str, Future[VerifiedObject]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(FETCHES_MAX, thread_name_prefix="retrieve-web")
        self._is_stopped = False

    def settings(self) -> RetrieveSettings:
        """Raises NoWayBack."""
        return self._archive.settings()[0]

    def stop(self) -> None:
        """End fetches, and remove all files."""
        self._is_stopped = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for kept in self._kept.values():
                kept.files.close()
            self._kept.clear()
            self._bytes = 0

    def planned(self, study: str, series: str | None = None, instance: str | None = None) -> list[Wanted]:
        """The instances that the archive lists, in order; what it listed LISTED_S ago at most.

        Raises TooManyInstances, PeerError, NoWayBack.
        """
        settings, key = self.settings(), (study, series, instance)
        with self._lock:
            until, listed = self._listed.get(key, (0.0, []))
        if self._clock() < until:
            return listed
        listed = self._asked(settings, study, series, instance)
        with self._lock:
            self._listed.pop(key, None)
            if listed:
                self._listed[key] = (self._clock() + min(settings.cache_fresh_s, LISTED_S), listed)
            while len(self._listed) > LISTS_MAX:
                self._listed.popitem(last=False)
        return listed

    def _asked(
        self, settings: RetrieveSettings, study: str, series: str | None, instance: str | None
    ) -> list[Wanted]:
        """Raises TooManyInstances, PeerError."""
        if settings.fetch == "wado":
            return self._web.planned(study, series, instance, limit=settings.instances)
        keys = {STUDY: study.encode()}
        level = QueryLevel.STUDY
        if series is not None:
            keys[SERIES], level = series.encode(), QueryLevel.SERIES
        if instance is not None:
            keys[SOP_INSTANCE], level = instance.encode(), QueryLevel.IMAGE
        planner = Planner(
            self._archive,
            limit=settings.instances,
            deadline=time.monotonic() + settings.query_timeout_s,
            is_cancelled=lambda: self._is_stopped,
        )
        return planner.plan(level, Identifier.read(written(level, keys, EXPLICIT_LE), EXPLICIT_LE))

    def search(self, keys: SearchKeys, *, limit: int) -> Iterator[Model]:
        """What the archive lists, at most `limit`. Raises PeerError, WrongIdentifier, NoWayBack."""
        if self.settings().fetch == "wado":
            return self._web.search(keys, limit=limit)
        return search(self._archive, keys, limit=limit, is_cancelled=lambda: self._is_stopped)

    def kept(self, study: str, series: str, instance: str) -> VerifiedObject | None:
        """The object, if it is here under this name; it may be stale."""
        with self._lock:
            kept = self._kept.get(instance)
        if kept is None or (kept.wanted.study, kept.wanted.series) != (study, series):
            return None
        return kept

    def kept_of(self, study: str) -> list[VerifiedObject]:
        """The objects of a study that are here; they may be stale, and not all."""
        with self._lock:
            return [kept for kept in self._kept.values() if kept.wanted.study == study]

    def forget(self, kept: VerifiedObject) -> None:
        """The archive has it no more."""
        with self._lock:
            self._listed.clear()
            if self._kept.get(kept.wanted.sop_instance) is kept:
                self._remove(kept.wanted.sop_instance)

    def load(self, wanted: Sequence[Wanted]) -> list[Future[VerifiedObject]]:
        """Each object, at once or later. What is withheld comes too, without its file.

        The futures raise GatewayError: NotSent when the archive does not send it.
        Raises NoWayBack; ResourceError when the gateway stops.
        """
        settings, pool = self.settings(), self._pool()
        futures: list[Future[VerifiedObject]] = []
        ours: _Promises = {}
        missing = []
        with self._lock:
            for instance in wanted:
                future = self._at_hand(instance, settings, pool)
                if future is None:
                    future = self._promise(instance, ours)
                    missing.append(instance)
                futures.append(future)
            for instance in self._neighbours(missing, settings, pool):
                self._promise(instance, ours)
                missing.append(instance)
        if missing:
            try:
                self._threads.submit(self._fetch, missing, ours, settings, pool)
            except RuntimeError as error:
                self._fail(ours, ResourceError("the gateway stops", hint="Ask again."))
                raise ResourceError("the gateway stops", hint="Ask again.") from error
        return futures

    # -- with the lock

    def _promise(self, wanted: Wanted, ours: _Promises) -> Future[VerifiedObject]:
        future: Future[VerifiedObject] = Future()
        # From now on nobody can cancel it: one who goes away is not the only one who waits.
        future.set_running_or_notify_cancel()
        self._coming[wanted.sop_instance] = ours[wanted.sop_instance] = future
        return future

    def _at_hand(
        self, wanted: Wanted, settings: RetrieveSettings, pool: ReturnPool
    ) -> Future[VerifiedObject] | None:
        """A fresh object that is kept, or one that is on its way; None: it must be fetched."""
        coming = self._coming.get(wanted.sop_instance)
        if coming is not None:
            return coming
        kept = self._kept.get(wanted.sop_instance)
        if kept is None or not self._is_fresh(kept, settings, pool) or not _same_place(kept.wanted, wanted):
            return None
        self._kept.move_to_end(wanted.sop_instance)
        self._metrics.count("sealgate_web_objects_total", source="kept")
        future: Future[VerifiedObject] = Future()
        future.set_result(kept)
        return future

    def _is_fresh(self, kept: VerifiedObject, settings: RetrieveSettings, pool: ReturnPool) -> bool:
        return kept.pool is pool and self._clock() - kept.checked_at < settings.cache_fresh_s

    def _neighbours(
        self, missing: Sequence[Wanted], settings: RetrieveSettings, pool: ReturnPool
    ) -> list[Wanted]:
        """Stale objects of the same series: a viewer who comes back to one will ask for the others."""
        if len(missing) != 1 or missing[0].sop_instance not in self._kept:
            return []
        return [
            kept.wanted
            for kept in self._kept.values()
            if kept.wanted.series == missing[0].series
            and kept.wanted.sop_instance not in self._coming
            and not self._is_fresh(kept, settings, pool)
        ][:NEIGHBOURS_MAX]

    def _is_short_of_disk(self) -> bool:
        """What arrives from modalities has the first claim on the disk."""
        config = self._config()
        try:
            return shutil.disk_usage(config.gateway.data_dir).free < config.limits.free_bytes_min
        except OSError:
            return True

    def _remove(self, instance: str) -> None:
        old = self._kept.pop(instance)
        self._bytes -= old.bytes
        old.files.close()

    # -- threads that fetch

    def _fetch(
        self, wanted: list[Wanted], ours: _Promises, settings: RetrieveSettings, pool: ReturnPool
    ) -> None:
        """ours: the promises to be kept here. Others may ask for the same again as soon as one was kept."""
        digests: dict[str, str] = {}
        again: dict[str, VerifiedObject] = {}

        def known(instance: Wanted, data: ByteSource) -> Returned | None:
            digest = blake3()
            for piece in pieces(data):
                digest.update(piece)
            digests[instance.sop_instance] = digest.hexdigest()
            with self._lock:
                kept = self._kept.get(instance.sop_instance)
            if (
                kept is None
                or kept.pool is not pool
                or kept.digest != digests[instance.sop_instance]
                or not _same_place(kept.wanted, instance)
            ):
                return None
            again[instance.sop_instance] = kept
            return kept.returned

        failure: GatewayError = NotSent("the archive did not send the object")
        try:
            with Pipeline(
                wanted,
                self._fetcher(settings),
                pool=pool,
                data_dir=self._config().gateway.data_dir,
                policy=settings.treatments(settings.web_policy),
                deadline=time.monotonic() + settings.timeout_s,
                is_cancelled=lambda: self._is_stopped,
                known=known,
                address=address_of,
            ) as pipeline:
                for parcel, returned in pipeline.parcels():
                    instance = parcel.wanted.sop_instance
                    if isinstance(returned, GatewayError):
                        self._settle(ours, instance, returned)
                    elif instance in again:
                        self._settle(ours, instance, self._seen_again(again[instance]))
                    else:
                        self._settle(
                            ours, instance, self._keep(parcel, returned, digests[instance], settings, pool)
                        )
        except Cancelled:
            failure = ResourceError("the gateway stops", hint="Ask again.")
        except GatewayError as error:
            failure = error
        # A defect of ours ends this fetch, and those who wait for it are told.
        except Exception as error:  # noqa: BLE001
            failure = ResourceError(where(error))
        self._fail(ours, failure)

    def _fetcher(self, settings: RetrieveSettings) -> Fetcher:
        if settings.fetch == "wado":
            return self._web
        if settings.fetch == "c-move":
            return ByMove(self._archive, self._arrivals)
        return ByGet(self._archive)

    def _seen_again(self, kept: VerifiedObject) -> VerifiedObject:
        kept.checked_at = self._clock()
        self._metrics.count("sealgate_web_objects_total", source="unchanged")
        return kept

    def _keep(
        self, parcel: Parcel, returned: Returned, digest: str, settings: RetrieveSettings, pool: ReturnPool
    ) -> VerifiedObject:
        files, file = parcel.keep(), parcel.target if returned.written else parcel.file
        if returned.treatment == "withhold":
            # What nobody gets need not lie here.
            files.close()
            file = None
        elif returned.written and parcel.file is not None:
            parcel.file.path.unlink(missing_ok=True)
        size = 0 if file is None else sum(path.stat().st_size for path in file.path.parent.iterdir())
        kept = VerifiedObject(
            wanted=parcel.wanted,
            returned=returned,
            digest=digest,
            pool=pool,
            file=file,
            checked_at=self._clock(),
            bytes=size + _in_memory(returned),
            files=files,
        )
        with self._lock:
            instance = parcel.wanted.sop_instance
            if instance in self._kept:
                self._remove(instance)
            self._kept[instance] = kept
            self._bytes += kept.bytes
            while len(self._kept) > 1 and (self._bytes > settings.cache_bytes or self._is_short_of_disk()):
                self._remove(next(iter(self._kept)))
            self._metrics.set("sealgate_web_cache_bytes", self._bytes)
        self._metrics.count("sealgate_web_objects_total", source="verified")
        return kept

    def _settle(self, ours: _Promises, instance: str, outcome: VerifiedObject | GatewayError) -> None:
        future = ours.pop(instance, None)
        if future is None:
            return
        with self._lock:
            if self._coming.get(instance) is future:
                del self._coming[instance]
        if isinstance(outcome, GatewayError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _fail(self, ours: _Promises, failure: GatewayError) -> None:
        """Nobody waits for ever for what is still open."""
        for instance in list(ours):
            self._settle(ours, instance, failure)


def _same_place(one: Wanted, other: Wanted) -> bool:
    return (one.study, one.series) == (other.study, other.series)


def _in_memory(returned: Returned) -> int:
    presentation = returned.presentation
    return 0 if presentation is None else len(presentation.metadata) + len(presentation.report)
