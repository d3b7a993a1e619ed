"""The door through which every object comes in, whatever the protocol: route, spool, queue.

An object is accepted only when spool and queue hold it for good. The order is: the spool keeps the bytes, then the
queue takes the job. After a crash in between the object was never accepted, and the spool's copy is an orphan that
`gateway.service.reconcile` removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from gateway.config import Config, Route
from gateway.dicom.file_meta import wrap
from gateway.dicom.glance import Glance, check_readable, glance
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.tags import SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.errors import (
    ChangedInstance,
    HeaderTooLarge,
    InstanceMismatch,
    ResourceError,
    UnreadableObject,
)
from gateway.observe import Log, Metrics
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import Arrival, Priority, Put, Queue
from gateway.receive.routing import choose, tags_asked_for
from gateway.spool import Spool
from gateway.spool.quarantine import Note, Quarantine

# Before the SOP Instance UID of a request whose data set does not name it, for its pseudonym. No UID begins so.
UNNAMED = "unnamed "
Result = TypeVar("Result")


class DataSet(Protocol):
    """A received data set, wherever it lies meanwhile."""

    @property
    def size(self) -> int:
        """Bytes of the data set."""

    @property
    def failure(self) -> ResourceError | None:
        """Why the data set could not be received whole."""

    def digest(self, syntax: str, /) -> str:
        """Hexadecimal BLAKE3 of transfer syntax and data set."""

    def looked_at(self, look: Callable[[ByteSource], Result], /) -> Result:
        """Call `look` with the data set, and return what it returns.

        Raises ResourceError when the data set cannot be read, and whatever `look` raises.
        """

    def keep(self, head: bytes, /) -> str:
        """Put the file, which is the data set behind `head`, into the spool, once.

        Returns its name. Raises ResourceError.
        """

    def discard(self) -> None:
        """Free what it takes. What was kept stays in the spool."""


@dataclass(frozen=True, kw_only=True)
class StoreRequest:
    """An object that a peer asks us to store.

    called, calling: AE titles, the receiver's and the sender's.
    sop_class, sop_instance: UIDs that the request names.
    syntax: transfer syntax UID of the data set.
    urgent: whether the request asks for high priority.
    data: the data set.
    gateway: id of the gateway that sends it, None for another program.
    """

    called: str
    calling: str
    sop_class: str
    sop_instance: str
    syntax: str
    urgent: bool
    data: DataSet
    gateway: str | None = None

    def head(self) -> bytes:
        """What precedes the data set in a file (PS3.10 7.1)."""
        return wrap(sop_class=self.sop_class, sop_instance=self.sop_instance, syntax=self.syntax)


@dataclass(frozen=True)
class Accepted:
    """The object is durable.

    put: what it is to the queue: new, a repetition of what it had, or a changed version of it.
    """

    put: Put


class Rejection(StrEnum):
    """Why an object was not accepted."""

    # It cannot be parsed, and the configuration refuses such objects.
    UNREADABLE = "unreadable"
    # Which route takes it would be known only from more of it than the service looks at.
    UNDECIDED = "header-too-large"
    # Its data set names another SOP class or instance than the request.
    MISMATCH = "instance-mismatch"
    NO_ROUTE = "no-route"
    # It has taken this route before, to another gateway: delivered in a circle, it would be kept nowhere.
    LOOP = "loop"
    # Other bytes were received before under its UID, and the configuration refuses such objects.
    CHANGED = "changed-instance"
    # The sender should try again later.
    NOT_DURABLE = "not-durable"


@dataclass(frozen=True)
class Rejected:
    """The object was not accepted: its sender must keep it."""

    reason: Rejection


class Intake:
    """Accepts objects. Several threads may use it at a time."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        spool: Spool,
        quarantine: Quarantine,
        queue: Queue,
        pseudonyms: Pseudonyms,
        metrics: Metrics,
        log: Log,
        arrived: Callable[[], None],
        gateway_id: str = "",
    ) -> None:
        """config: gives the configuration in force; it is asked for each object.
        spool, quarantine, queue: where objects, refused objects and jobs go.
        arrived: called when a job may be ready.
        gateway_id: of this gateway.
        """
        self._config = config
        self._spool = spool
        self._quarantine = quarantine
        self._queue = queue
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._log = log
        self._arrived, self._gateway_id = arrived, gateway_id

    def accept(self, request: StoreRequest) -> Accepted | Rejected:
        """Take an object, or say why not. The data set of the request is discarded in any case."""
        pseudonym = self._pseudonyms.of(request.sop_instance)
        try:
            return self._decide(request, pseudonym, self._config())
        except ResourceError as error:
            self._metrics.count("sealgate_failures_total", step="receive", code=error.code)
            self._log.error("not durable", instance=pseudonym, code=error.code, problem=str(error))
            return Rejected(Rejection.NOT_DURABLE)
        finally:
            request.data.discard()

    def _decide(self, request: StoreRequest, pseudonym: str, config: Config) -> Accepted | Rejected:
        """Raises ResourceError."""
        if request.data.failure is not None:
            raise request.data.failure
        try:
            seen = self._seen(request, config)
            is_named = _is_named(request, seen)
            route = choose(config, request.called, request.calling, request.sop_class, seen.text)
        except InstanceMismatch as error:
            self._metrics.count("sealgate_failures_total", step="receive", code=error.code)
            self._log.warning(
                "refused", instance=pseudonym, code=error.code, problem=str(error), hint=error.hint
            )
            return Rejected(Rejection.MISMATCH)
        except (UnreadableObject, HeaderTooLarge) as error:
            return self._reject_to_quarantine(request, pseudonym, error)
        if route is None:
            self._log.warning(
                "refused", instance=pseudonym, code=Rejection.NO_ROUTE.value, called=request.called
            )
            return Rejected(Rejection.NO_ROUTE)
        if not is_named:
            # It takes no other object's place, whatever the request says.
            pseudonym = self._pseudonyms.of(UNNAMED + request.sop_instance)
        if self._comes_back(request, pseudonym, route):
            hint = (
                "A destination leads back to this gateway, perhaps through another one: correct the routes."
            )
            self._metrics.count("sealgate_failures_total", step="receive", code=Rejection.LOOP.value)
            self._log.error("refused", instance=pseudonym, code=Rejection.LOOP.value, hint=hint)
            return Rejected(Rejection.LOOP)
        digest = request.data.digest(request.syntax)
        if self._queue.known(pseudonym=pseudonym, route_key=route.key, digest=digest):
            self._metrics.count("sealgate_repeated_total")
            # Jobs that were parked may be ready now.
            self._arrived()
            return Accepted(Put.KNOWN)
        return self._enqueue(request, self._keep(request, pseudonym, digest, route, _study(seen), config))

    def _comes_back(self, request: StoreRequest, pseudonym: str, route: Route) -> bool:
        """Whether the object went out to a gateway by this route, and another gateway brings it again.

        Raises ResourceError.
        """
        gateway = request.gateway
        if gateway is None:
            return False
        return gateway == self._gateway_id or self._queue.comes_back(
            pseudonym=pseudonym, route_key=route.key, calling=request.calling, gateway=gateway
        )

    def _seen(self, request: StoreRequest, config: Config) -> Glance:
        """What is needed of the header.

        Raises UnreadableObject where the configuration refuses such objects. One of which that is not seen at a glance
        is left to the worker process.
        Raises ResourceError.
        """
        tags = {SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID}
        tags |= tags_asked_for(config, request.called, request.calling)
        if config.listener.unreadable == "refuse":
            with suppress(HeaderTooLarge):
                request.data.looked_at(lambda data: check_readable(data, request.syntax))
        return request.data.looked_at(lambda data: glance(data, request.syntax, tags))

    def _keep(
        self,
        request: StoreRequest,
        pseudonym: str,
        digest: str,
        route: Route,
        study: str,
        config: Config,
    ) -> Arrival:
        """Make the object durable in the spool. Raises ResourceError.

        study: Study Instance UID, empty when it was not found.
        """
        return Arrival(
            pseudonym=pseudonym,
            digest=digest,
            route_key=route.key,
            called=request.called,
            calling=request.calling,
            action=route.action,
            on_failure=route.on_failure,
            destinations=route.to,
            bytes=request.data.size,
            incoming=request.data.keep(request.head()),
            priority=Priority.URGENT if request.urgent else Priority[route.priority.upper()],
            study=self._pseudonyms.of(study) if study else None,
            changed=config.queue.changed,
        )

    def _enqueue(self, request: StoreRequest, arrival: Arrival) -> Accepted | Rejected:
        """Put what the spool keeps into the queue.

        Raises ResourceError. The job may be durable all the same, so its object stays in the spool.
        """
        try:
            put = self._queue.put(arrival)
        except ChangedInstance as error:
            self._spool.remove([arrival.incoming])
            self._metrics.count("sealgate_changed_total", policy="refuse")
            self._log.warning("refused", instance=arrival.pseudonym, code=error.code, hint=error.hint)
            return Rejected(Rejection.CHANGED)
        if put is Put.KNOWN:
            # Another thread brought the same bytes at this moment.
            self._spool.remove([arrival.incoming])
            self._metrics.count("sealgate_repeated_total")
            return Accepted(put)
        if put is Put.CHANGED:
            self._metrics.count("sealgate_changed_total", policy=arrival.changed)
            self._log.warning("changed instance", instance=arrival.pseudonym, policy=arrival.changed)
        self._metrics.count("sealgate_received_total", called=request.called)
        self._metrics.count("sealgate_received_bytes_total", request.data.size, called=request.called)
        self._arrived()
        return Accepted(put)

    def _reject_to_quarantine(
        self, request: StoreRequest, pseudonym: str, error: UnreadableObject | HeaderTooLarge
    ) -> Rejected:
        """A person can look at the object in the quarantine. Raises ResourceError."""
        name = request.data.keep(request.head())
        note = Note(
            reason=error.code,
            hint=error.hint,
            at=time.time(),
            instance=pseudonym,
            called=request.called,
            calling=request.calling,
            action="refuse",
            job=None,
        )
        self._quarantine.put(self._spool, name, note)
        self._spool.remove([name])
        self._metrics.count("sealgate_quarantined_total", reason=error.code)
        self._log.warning("refused", instance=pseudonym, code=error.code, file=name)
        return Rejected(Rejection.UNDECIDED if isinstance(error, HeaderTooLarge) else Rejection.UNREADABLE)


def _is_named(request: StoreRequest, seen: Glance) -> bool:
    """Whether the data set says which instance it is, as the request does.

    Raises InstanceMismatch when it says something else: it would be taken for an instance that it is not.
    Raises HeaderTooLarge.
    """
    try:
        sop_class, sop_instance = seen.text(SOP_CLASS_UID), seen.text(SOP_INSTANCE_UID)
    except UnreadableObject:
        return False
    if sop_class not in ("", request.sop_class):
        raise InstanceMismatch("the data set has another SOP class than the request")
    if sop_instance not in ("", request.sop_instance):
        raise InstanceMismatch("the data set has another SOP instance than the request")
    return bool(sop_instance)


def _study(seen: Glance) -> str:
    """Empty when it was not found."""
    try:
        return seen.text(STUDY_INSTANCE_UID)
    except (UnreadableObject, HeaderTooLarge):
        return ""
