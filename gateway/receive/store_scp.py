"""What happens to one C-STORE request: route, spool, queue, status. Acknowledged is only what is durable."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pydicom.datadict import tag_for_keyword

from gateway.config import Config, Route
from gateway.dicom import part10
from gateway.dicom.file_meta import wrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.study import study_of
from gateway.dimse import statuses
from gateway.dimse.association import AssociationState
from gateway.dimse.incoming import Incoming
from gateway.errors import ChangedInstance, ResourceError, UnreadableObject
from gateway.observe import Log, Metrics
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import (
    Arrival,
    Priority,
    Put,
    Queue,
)
from gateway.spool import Spool
from gateway.spool.quarantine import Note, Quarantine

# Priority of a C-STORE request, PS3.7 9.3.1.1. Only this one counts: many senders say low without meaning it.
HIGH = 1


class Receiver:
    """`store` runs in association threads, several at a time.

    config: the configuration in force, asked for each object. arrived: called when an object was queued.
    """

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        spool: Spool,
        queue: Queue,
        pseudonyms: Pseudonyms,
        metrics: Metrics,
        log: Log,
        arrived: Callable[[], None],
    ) -> None:
        self._config = config
        self._spool = spool
        self._queue = queue
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._log = log
        self._arrived = arrived

    def store(self, event: Any, link: AssociationState) -> int:
        """The DIMSE status (PS3.4 B.2.3): 0000 only when spool and queue hold the object for good."""
        request, syntax = event.request, str(event.context.transfer_syntax)
        called = str(event.assoc.requestor.primitive.called_ae_title).strip()
        calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
        sop_class = str(request.AffectedSOPClassUID)
        sop_instance = str(request.AffectedSOPInstanceUID)
        data: Incoming = request.DataSet
        link.bytes += data.size
        prefix = wrap(sop_class=sop_class, sop_instance=sop_instance, syntax=syntax)
        pseudonym = self._pseudonyms.of(sop_instance)
        config = self._config()
        try:
            try:
                if data.failure is not None:
                    raise data.failure
                route = choose(
                    config,
                    called,
                    calling,
                    sop_class,
                    lambda keywords: data.read_file(lambda file: texts(file, keywords), prefix),
                )
            except UnreadableObject as error:
                name = data.keep(prefix)
                note = Note(
                    reason=error.code,
                    hint=error.hint,
                    at=time.time(),
                    instance=pseudonym,
                    called=called,
                    calling=calling,
                    action="refuse",
                    job=None,
                )
                Quarantine(config.gateway.data_dir).put(self._spool, name, note)
                self._spool.remove([name])
                self._metrics.count("sealgate_quarantined_total", reason=error.code)
                self._log.warning("refused", instance=pseudonym, code=error.code, file=name)
                return statuses.CANNOT_UNDERSTAND
            if route is None:
                self._log.warning("refused", instance=pseudonym, code="no-route", called=called)
                return statuses.NOT_AUTHORISED
            priority = Priority[route.priority.upper()]
            if request.Priority == HIGH:
                priority = Priority.URGENT
            self._accept(route, pseudonym, called, calling, syntax, prefix, data, priority)
        except ChangedInstance as error:
            self._log.warning("refused", instance=pseudonym, code=error.code, hint=error.hint)
            return statuses.DUPLICATE_INSTANCE
        except ResourceError as error:
            self._metrics.count("sealgate_failures_total", step="receive", code=error.code)
            self._log.error("not durable", instance=pseudonym, code=error.code, problem=str(error))
            return statuses.OUT_OF_RESOURCES
        finally:
            data.discard()
        return statuses.SUCCESS

    def _accept(
        self,
        route: Route,
        pseudonym: str,
        called: str,
        calling: str,
        syntax: str,
        prefix: bytes,
        data: Incoming,
        priority: Priority,
    ) -> None:
        """Raises ResourceError unless the object is durable when this returns, ChangedInstance."""
        digest = data.digest(syntax)
        if self._queue.known(pseudonym=pseudonym, route_key=route.key, digest=digest):
            self._metrics.count("sealgate_repeated_total")
            self._arrived()
            return
        study = study_of(data.beginning(), syntax)
        name = data.keep(prefix)
        arrival = Arrival(
            pseudonym=pseudonym,
            digest=digest,
            route_key=route.key,
            called=called,
            calling=calling,
            action=route.action,
            on_failure=route.on_failure,
            destinations=route.to,
            bytes=data.size,
            incoming=name,
            priority=priority,
            study=None if study is None else self._pseudonyms.of(study),
            changed=self._config().queue.changed,
        )
        try:
            put = self._queue.put(arrival)
        except ChangedInstance:
            self._spool.remove([name])
            self._metrics.count("sealgate_changed_total", policy="refuse")
            raise
        if put is Put.KNOWN:  # another association brought the same bytes in this moment
            self._spool.remove([name])
            self._metrics.count("sealgate_repeated_total")
            return
        if put is Put.CHANGED:
            self._metrics.count("sealgate_changed_total", policy=arrival.changed)
            self._log.warning("changed instance", instance=pseudonym, policy=arrival.changed)
        self._metrics.count("sealgate_received_total", called=called)
        self._metrics.count("sealgate_received_bytes_total", data.size, called=called)
        self._arrived()


def choose(
    config: Config,
    called: str,
    calling: str,
    sop_class: str,
    look_up: Callable[[set[str]], dict[str, str]],
) -> Route | None:
    """The first route that takes the object.

    look_up: gives the values of keywords, and is only asked where routes or the listener's rule need to know. Raises
    UnreadableObject when it must be readable and is not.
    """
    candidates = [route for route in config.route if route.admits(called, calling)]
    refuse = config.listener.unreadable == "refuse"
    header: dict[str, str] = {}
    if refuse or any(route.needs_header for route in candidates):
        keywords = {"Modality", *(keyword for route in candidates for keyword in route.where)}
        try:
            header = look_up(keywords)
        except UnreadableObject:
            if refuse:
                raise
    return next((route for route in candidates if route.matches(called, calling, sop_class, header)), None)


def texts(file: ByteSource, keywords: set[str]) -> dict[str, str]:
    """The values of top-level elements; empty when absent. Raises UnreadableObject."""
    index = part10.read(file)
    return {keyword: index.text(tag_for_keyword(keyword) or 0) for keyword in keywords}
