"""Objects from the archive, some at a time: by C-GET, or by C-MOVE to ourselves (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from gateway.config import Config
from gateway.dicom.elements import Encoding
from gateway.dicom.syntaxes import EXPLICIT_VR_LE, IMPLICIT_VR_LE, TABLE
from gateway.dicom.uids import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gateway.dimse import statuses
from gateway.dimse.association import AssociationState
from gateway.dimse.incoming import Incoming
from gateway.dimse.query_scu import FetchedObject, OnObject
from gateway.dimse.requestor import ContextOffer
from gateway.dimse.store_scu import CONTEXTS_MAX
from gateway.retrieve.archive import Archive, accepted_query, query_contexts
from gateway.retrieve.identifier import SERIES, SOP_INSTANCE, STUDY, QueryLevel, written
from gateway.retrieve.plan import Wanted

# Instances of one request to the archive.
BATCH = 16
# Asked for first; then the others of PS3.5 and PS3.6.
COMMON_SYNTAXES = (
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    *(f"1.2.840.10008.1.2.4.{part}" for part in (90, 70, 80, 50, 91, 51, 57, 81, 201, 202, 203)),
    "1.2.840.10008.1.2.5",
)
# What is prepared for where the archive does not say of which class its objects are.
COMMON_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{part}"
    for part in (
        *("1", "1.1", "1.2", "2", "2.1", "3.1", "4", "4.1", "6.1", "7", "7.2", "7.4", "11.1", "12.1", "12.2"),
        *("20", "66.4", "77.1.4", "77.1.5.1", "88.22", "88.33", "88.59", "88.67", "104.1", "128", "481.1"),
        *("481.2", "481.3", "481.5"),
    )
)


class Fetcher(Protocol):
    def fetch(
        self,
        wanted: Sequence[Wanted],
        *,
        before: Callable[[Sequence[Wanted]], None],
        on_object: OnObject,
        after: Callable[[Sequence[Wanted]], None],
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Get the instances, batch by batch. What the archive does not send is just missing.

        before, after: called around each batch.
        on_object: gets each object; what it returns is the archive's answer.
        Raises PeerError, and what the functions raise.
        """


def batches(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """At most BATCH instances of one series each, in order."""
    batch: list[Wanted] = []
    for instance in wanted:
        if batch and (len(batch) >= BATCH or instance.series != batch[0].series):
            yield batch
            batch = []
        batch.append(instance)
    if batch:
        yield batch


def _asked_for(
    wanted: Sequence[Wanted],
    before: Callable[[Sequence[Wanted]], None],
    after: Callable[[Sequence[Wanted]], None],
    is_cancelled: Callable[[], bool],
) -> Iterator[list[Wanted]]:
    """The batches until the request is cancelled, each between `before` and `after`."""
    for batch in batches(wanted):
        before(batch)
        if is_cancelled():
            return
        yield batch
        after(batch)


class ByGet:
    """C-GET: objects come on the association of the question, as they lie in the archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def fetch(
        self,
        wanted: Sequence[Wanted],
        *,
        before: Callable[[Sequence[Wanted]], None],
        on_object: OnObject,
        after: Callable[[Sequence[Wanted]], None],
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> None:
        named = dict.fromkeys(instance.sop_class for instance in wanted)
        classes = [sop_class for sop_class in named if sop_class]
        if "" in named:
            classes = list(dict.fromkeys((*classes, *COMMON_CLASSES)))
        contexts = [*query_contexts(STUDY_ROOT_GET), *_storage_contexts(classes, CONTEXTS_MAX - 2)]
        with self._archive.associated(contexts, as_scp=tuple(classes)) as scu:
            context, encoding = accepted_query(scu, STUDY_ROOT_GET)
            for batch in _asked_for(wanted, before, after, is_cancelled):
                for _ in scu.get(
                    context,
                    _question(batch, encoding),
                    on_object=on_object,
                    deadline=deadline,
                    is_cancelled=is_cancelled,
                ):
                    pass


class Arrivals:
    """Objects that the archive stores to us because we asked it to. For several threads."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._awaited: dict[str, list[OnObject]] = {}
        self._lock = threading.Lock()

    def expect(self, instances: Sequence[Wanted], on_object: OnObject) -> None:
        with self._lock:
            for instance in instances:
                self._awaited.setdefault(instance.sop_instance, []).append(on_object)

    def forget(self, instances: Sequence[Wanted], on_object: OnObject) -> None:
        with self._lock:
            for instance in instances:
                waiting = self._awaited.get(instance.sop_instance, [])
                if on_object in waiting:
                    waiting.remove(on_object)
                if not waiting:
                    self._awaited.pop(instance.sop_instance, None)

    def is_for_us(self, state: AssociationState) -> bool:
        """Whether what comes on an association is no object to be queued: it was sent to the title of the way back."""
        table = self._config().retrieve
        return table is not None and state.called == table.ae_title

    def on_store(self, event: evt.Event, state: AssociationState) -> int:
        """The DIMSE status of a C-STORE to the title of the way back: only the archive may, and only what was asked."""
        request = cast(C_STORE, event.request)
        data = request.DataSet
        archive = self._config().archive
        if not isinstance(data, Incoming):
            return statuses.CANNOT_UNDERSTAND
        try:
            if archive is None or state.calling != archive.ae_title:
                return statuses.NOT_AUTHORISED
            with self._lock:
                waiting = list(self._awaited.get(str(request.AffectedSOPInstanceUID), ()))
            fetched = FetchedObject(
                sop_class=str(request.AffectedSOPClassUID),
                sop_instance=str(request.AffectedSOPInstanceUID),
                syntax=str(event.context.transfer_syntax),
                data=data,
            )
            answers = [on_object(fetched) for on_object in waiting]
            return answers[0] if answers else statuses.NOT_AUTHORISED
        finally:
            data.discard()


class ByMove:
    """C-MOVE to ourselves: the archive opens an association to us."""

    def __init__(self, archive: Archive, arrivals: Arrivals) -> None:
        self._archive, self._arrivals = archive, arrivals

    def fetch(
        self,
        wanted: Sequence[Wanted],
        *,
        before: Callable[[Sequence[Wanted]], None],
        on_object: OnObject,
        after: Callable[[Sequence[Wanted]], None],
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> None:
        settings, _ = self._archive.settings()
        with self._archive.associated(query_contexts(STUDY_ROOT_MOVE)) as scu:
            context, encoding = accepted_query(scu, STUDY_ROOT_MOVE)
            for batch in _asked_for(wanted, before, after, is_cancelled):
                self._arrivals.expect(batch, on_object)
                try:
                    for _ in scu.move(
                        context,
                        _question(batch, encoding),
                        to=settings.ae_title,
                        deadline=deadline,
                        is_cancelled=is_cancelled,
                    ):
                        pass
                finally:
                    self._arrivals.forget(batch, on_object)


def _question(batch: Sequence[Wanted], encoding: Encoding) -> bytes:
    keys = {
        STUDY: batch[0].study.encode(),
        SERIES: batch[0].series.encode(),
        SOP_INSTANCE: "\\".join(instance.sop_instance for instance in batch).encode(),
    }
    return written(QueryLevel.IMAGE, keys, encoding)


def _storage_contexts(classes: Sequence[str], room: int) -> list[ContextOffer]:
    """One context for each transfer syntax, so that the archive sends objects as they are, as far as there is room."""
    syntaxes = dict.fromkeys((*COMMON_SYNTAXES, *TABLE))
    each = max(1, room // max(len(classes), 1))
    return [(sop_class, syntax) for sop_class in classes for syntax in list(syntaxes)[:each]][:room]
