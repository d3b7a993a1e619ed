"""From the archive through verification to the one that sends: objects in order, a bounded number at a time.

One thread fetches, worker processes verify, and the association's thread takes what is ready. An object lies in a file
that is encrypted with a key of its own, and is removed when the object was sent.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.dicom.file_meta import wrap
from gateway.dicom.lazy_bytes import ByteSource, Concatenation
from gateway.dimse import statuses
from gateway.dimse.query_scu import FetchedObject
from gateway.errors import GatewayError, ResourceError, SpoolFull
from gateway.observe import where
from gateway.retrieve.fetching import BATCH, Fetcher
from gateway.retrieve.plan import Wanted
from gateway.spool.stored import opened
from gateway.work.handover import SecretFile, handed_over
from gateway.work.return_pool import ReturnPool
from gateway.work.tasks import ConvertFileTask, Returned, ReturnTask

# Objects of one request that were fetched and not yet sent.
IN_FLIGHT = 3 * BATCH
POLL_S = 0.2
JOIN_S = 15.0


class Cancelled(Exception):
    """The one that asked wants no more, or is gone."""


@dataclass(eq=False)
class Parcel:
    """One object on its way.

    returned: what verification says, later; None when the archive did not send the object.
    file, target: as in ReturnTask.
    """

    wanted: Wanted
    returned: Future[Returned] | None = None
    file: SecretFile | None = None
    target: SecretFile | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def hand_over(self, data_dir: Path, data: ByteSource) -> SecretFile:
        """Keep the bytes until `discard`. Raises SpoolFull."""
        self.file = self._stack.enter_context(handed_over(data_dir, data))
        self.target = self.file.beside("returned")
        return self.file

    def keep(self) -> ExitStack:
        """The files are the caller's from now on: they go when what is returned is closed."""
        return self._stack.pop_all()

    def discard(self) -> None:
        if self.returned is not None:
            self.returned.cancel()
        self._stack.close()


class Pipeline:
    """For one request. `parcels` is for one thread; used as a context manager, nothing is left behind."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        fetcher: Fetcher,
        *,
        pool: ReturnPool,
        data_dir: Path,
        policy: Mapping[str, str],
        deadline: float,
        is_cancelled: Callable[[], bool],
        known: Callable[[Wanted, ByteSource], Returned | None] = lambda _wanted, _data: None,
        address: Callable[[Wanted], str] = lambda _wanted: "",
    ) -> None:
        """wanted: each instance once.

        policy: verdict -> treatment, for every verdict.
        deadline: by time.monotonic().
        is_cancelled: whether the one that asked wants no more.
        known: what verification said before of the same bytes; None where they are new. Their files are not made
            again.
        address: of an instance, as in ReturnTask.
        """
        self._wanted, self._fetcher, self._pool = wanted, fetcher, pool
        self._data_dir, self._policy = data_dir, policy
        self._deadline, self._is_cancelled = deadline, is_cancelled
        self._known, self._address = known, address
        self._room = threading.Semaphore(IN_FLIGHT)
        self._stopped = threading.Event()
        self._ready: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        # Of the batch that is being fetched, SOP Instance UID -> what has come.
        self._batch: dict[str, Parcel] = {}
        self._came: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._fetch, name="retrieve-fetch", daemon=True)
        # Why fetching ended before its end; None while all is well.
        self.failure: GatewayError | None = None

    def __enter__(self) -> Pipeline:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(JOIN_S)
        while True:
            try:
                parcel = self._ready.get_nowait()
            except queue.Empty:
                return
            if parcel is not None:
                parcel.discard()

    def parcels(self) -> Iterator[tuple[Parcel, Returned | GatewayError]]:
        """Each instance in turn with what verification says, or why there is nothing to hand out.

        Its files are gone when the next is asked for.
        Raises Cancelled; ResourceError after the deadline.
        """
        while True:
            parcel = self._awaited()
            if parcel is None:
                return
            try:
                yield parcel, self._result(parcel)
            finally:
                parcel.discard()
                self._room.release()

    def _awaited(self) -> Parcel | None:
        while True:
            self._check()
            try:
                return self._ready.get(timeout=POLL_S)
            except queue.Empty:
                continue

    def _result(self, parcel: Parcel) -> Returned | GatewayError:
        if parcel.returned is None:
            return self.failure or NotSent("the archive did not send the object")
        while True:
            try:
                return parcel.returned.result(timeout=POLL_S)
            except NotYet:
                self._check()
            except GatewayError as error:
                return error
            except CancelledError:
                return ResourceError("the gateway stops, or was reloaded", hint="Ask again.")

    def _check(self) -> None:
        """Raises Cancelled, ResourceError."""
        if self._is_cancelled():
            raise Cancelled
        if time.monotonic() > self._deadline:
            raise ResourceError("the request took longer than retrieve.timeout_s")

    # -- the thread that fetches

    def _fetch(self) -> None:
        left = list(self._wanted)
        try:
            self._fetcher.fetch(
                left,
                before=self._before,
                on_object=self._on_object,
                after=self._after,
                deadline=self._deadline,
                is_cancelled=self._is_over,
            )
        except GatewayError as error:
            self.failure = error
        # A defect of ours ends this request, not the gateway.
        except Exception as error:  # noqa: BLE001
            self.failure = ResourceError(where(error))
        finally:
            self._give_up_rest()
            self._ready.put(None)

    def _is_over(self) -> bool:
        return self._stopped.is_set() or self._is_cancelled()

    def _before(self, batch: Sequence[Wanted]) -> None:
        """Wait for room for a batch."""
        for _ in batch:
            while not self._room.acquire(timeout=POLL_S):
                if self._is_over():
                    return
        with self._lock:
            self._batch = {instance.sop_instance: Parcel(instance) for instance in batch}

    def _on_object(self, fetched: FetchedObject) -> int:
        """Have one object verified. Returns the DIMSE status for the archive."""
        with self._lock:
            parcel = self._batch.get(fetched.sop_instance)
            if parcel is None or fetched.sop_instance in self._came:
                return statuses.NOT_AUTHORISED
            self._came.add(fetched.sop_instance)
        prefix = wrap(sop_class=fetched.sop_class, sop_instance=fetched.sop_instance, syntax=fetched.syntax)
        status = statuses.SUCCESS
        try:
            if fetched.data.failure is not None:
                raise fetched.data.failure
            parcel.returned = fetched.data.looked_at(
                lambda data_set: self._verified(parcel, Concatenation([prefix, data_set]))
            )
        except GatewayError as error:
            parcel.returned = Future()
            parcel.returned.set_exception(error)
            status = statuses.OUT_OF_RESOURCES if isinstance(error, SpoolFull) else statuses.SUCCESS
        self._ready.put(parcel)
        return status

    def _verified(self, parcel: Parcel, data: ByteSource) -> Future[Returned]:
        """Raises SpoolFull, ResourceError."""
        known = self._known(parcel.wanted, data)
        if known is not None:
            settled: Future[Returned] = Future()
            settled.set_result(known)
            return settled
        file = parcel.hand_over(self._data_dir, data)
        task = ReturnTask(
            file=file,
            target=file.beside("returned"),
            sop_instance=parcel.wanted.sop_instance,
            study_instance=parcel.wanted.study,
            policy=self._policy,
            address=self._address(parcel.wanted),
            series_instance=parcel.wanted.series,
        )
        return self._pool.submit(task)

    def _after(self, batch: Sequence[Wanted]) -> None:
        """What the archive has not sent comes as that."""
        with self._lock:
            missing = [instance for instance in batch if instance.sop_instance not in self._came]
            self._came.update(instance.sop_instance for instance in missing)
            self._batch = {}
        for instance in missing:
            self._ready.put(Parcel(instance))

    def _give_up_rest(self) -> None:
        """After the end, everything that never came."""
        if self._is_over():
            return
        with self._lock:
            rest = [instance for instance in self._wanted if instance.sop_instance not in self._came]
            self._batch = {}
        for instance in rest:
            self._ready.put(Parcel(instance))


class NotSent(ResourceError):
    """The archive listed the instance, and did not send it."""

    code = "not-sent"
    hint = "Look at the archive's log."


@contextmanager
def handed_out(parcel: Parcel, returned: Returned) -> Iterator[ByteSource]:
    """The file that a viewer gets. Raises FileMissing, SpoolCorrupt."""
    source = parcel.target if returned.written else parcel.file
    if source is None:
        raise NotSent("there is no object")
    with opened(source.path, source.key) as data:
        yield data


@contextmanager
def converted(pool: ReturnPool, data_dir: Path, data: ByteSource, syntax: str) -> Iterator[ByteSource]:
    """The file losslessly in another transfer syntax, made in a worker process. Raises GatewayError."""
    with handed_over(data_dir, data) as file:
        target = file.beside("converted")
        pool.submit(ConvertFileTask(file=file, target=target, syntax=syntax)).result()
        with opened(target.path, target.key) as result:
            yield result
