"""C-STORE SCU: one association to one destination, kept open, stored bytes sent as they are.

pynetdicom's own `send_c_store` parses and re-encodes data sets, or queues a whole file at once with the
answer's time-out already running. Here fragments are handed over as the socket takes them, and the time-out
starts after the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context, build_role

from gateway.config import Destination, Limits
from gateway.config.nodes import STORAGE_COMMITMENT, VERIFICATION
from gateway.dicom.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, unwrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.pixels import transcode
from gateway.dimse.bandwidth import RateLimit
from gateway.dimse.connections import prepare_socket
from gateway.dimse.statuses import Meaning, classify
from gateway.errors import PeerFailed, PeerUnreachable, RefusedByPeer
from gateway.queue import Priority
from gateway.spool.stored import StoredFile
from gateway.tls import ClientContext, client_context

Pair = tuple[str, str]  # SOP class, transfer syntax

CONTEXTS_MAX = 128  # PS3.8 9.3.2.2: odd ids of one byte
SETTLE_S = 0.02  # for a thread that was just passing the barrier to come back to it
FRAGMENT_BYTES_MIN = 512
STORED_BYTES_S = 10_000_000  # as fast at least a peer writes what it has received, before it answers
SLOW_HINT = "Look at the line and the load of the destination; limits.send_bytes_s_min says what is too slow."
FRAGMENTS_IN_FLIGHT = 8  # handed to the sending thread, not yet in the socket
FALLBACKS = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
MESSAGE_IDS = 65535
CONVERTED_BYTES_MAX = (
    256 << 20
)  # of a file; it is converted in memory, which the service shares with all else
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known one of the Push Model, PS3.4 J.3.5
ANSWERED_S = 0.1  # for our answer to a report to be on its way before the association is released
REQUEST_COMMITMENT = 1  # action type, PS3.4 J.3.2
# Of a C-STORE request, PS3.7 9.3.1.1 (Priority): medium 0, high 1, low 2
PRIORITIES = {Priority.URGENT: 1, Priority.NORMAL: 0, Priority.LOW: 2}
TLS_HINT = "Compare its certificate with destination.tls (ca, fingerprint, server_name), and ours with what it trusts."


@dataclass(frozen=True)
class Sent:
    """status: the DIMSE status, success or warning. syntax: the transfer syntax it was sent in."""

    status: int
    syntax: str
    transcoded: bool


class NothingAccepted(PeerUnreachable):
    """The peer took the association without any of its presentation contexts, which ends it."""

    hint = "Enable the SOP classes and transfer syntaxes there."


class Sender:
    """Not for several threads at once. Associations are opened when needed and reused until `close`."""

    def __init__(
        self, destination: Destination, limits: Limits, *, calling: str, pace: RateLimit | None = None
    ) -> None:
        """pace: limits what is sent, together with others that share it. Raises KeyFileError (TLS)."""
        self._pace = pace
        self._tls = client_context(destination.tls) if destination.tls is not None else None
        self._destination = destination
        self._limits = limits
        self._entity = AE(ae_title=destination.calling_ae_title or calling)
        self._entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._entity.implementation_version_name = IMPLEMENTATION_VERSION
        self._entity.maximum_pdu_size = limits.pdu_bytes
        self._entity.connection_timeout = limits.connect_timeout_s
        self._entity.acse_timeout = limits.acse_timeout_s
        self._entity.dimse_timeout = limits.dimse_timeout_s
        self._entity.network_timeout = (
            None  # an idle association is ended by `close`, not in the middle of an object
        )
        self._association: Association | None = None
        self._offered: list[Pair] = []
        self._accepted: dict[Pair, int] = {}
        self._message_id = 0

    @property
    def is_open(self) -> bool:
        return self._association is not None and _alive(self._association)

    def echo(self) -> float:
        """Milliseconds of a C-ECHO on an association of its own. Raises PeerUnreachable, PeerFailed."""
        association = self._associate([(VERIFICATION, str(ImplicitVRLittleEndian))])
        try:
            started = time.perf_counter()
            status = association.send_c_echo()
            took_ms = (time.perf_counter() - started) * 1000
        finally:
            association.release()
        if "Status" not in status or status.Status != 0x0000:
            raise PeerFailed(f"{self._destination.name} did not answer C-ECHO with success")
        return took_ms

    def report(self, event_type: int, information: Dataset) -> None:
        """An N-EVENT-REPORT of storage commitment, as its SCP, on an association of its own (PS3.4 J.3.3).

        Raises PeerUnreachable, PeerFailed.
        """
        pairs = [(STORAGE_COMMITMENT, syntax) for syntax in FALLBACKS]
        association = self._associate(pairs, as_scp=STORAGE_COMMITMENT)
        try:
            for context in association.accepted_contexts:
                context._as_scp = True  # many requesters accept the context and forget to confirm the role
            status, _ = association.send_n_event_report(
                information, event_type, UID(STORAGE_COMMITMENT), UID(COMMITMENT_INSTANCE)
            )
        except ValueError as error:
            raise PeerFailed(
                f"{self._destination.name} does not take reports of storage commitment"
            ) from error
        finally:
            association.release()
        if status.get("Status") != 0x0000:
            raise PeerFailed(f"{self._destination.name} did not take the report of storage commitment")

    def ask_commitment(
        self,
        transaction_uid: str,
        references: Iterable[tuple[str, str]],
        *,
        told: Callable[[Any], int],
        wait: Callable[[], object],
    ) -> None:
        """An N-ACTION of storage commitment, as its SCU, on an association of its own (PS3.4 J.3.2).

        references: SOP class and SOP instance. told: gets the event of an N-EVENT-REPORT on the same association,
        returns the DIMSE status. wait: for that, before the association is released. Raises PeerUnreachable,
        PeerFailed.
        """
        information = Dataset()
        information.TransactionUID = transaction_uid
        information.ReferencedSOPSequence = [_reference(*pair) for pair in references]
        association = self._associate(
            [(STORAGE_COMMITMENT, syntax) for syntax in FALLBACKS],
            handlers=[(evt.EVT_N_EVENT_REPORT, lambda event: (told(event), None))],
        )
        try:
            status, _ = association.send_n_action(
                information, REQUEST_COMMITMENT, UID(STORAGE_COMMITMENT), UID(COMMITMENT_INSTANCE)
            )
            if status.get("Status") != 0x0000:
                raise PeerFailed(f"{self._destination.name} did not take the request of storage commitment")
            wait()
            time.sleep(ANSWERED_S)
        finally:
            association.release()

    def expect(self, pairs: Iterable[Pair]) -> None:
        """Make sure that all these were offered on the open association; opens a new one if not.

        Raises PeerUnreachable.
        """
        wanted = list(dict.fromkeys(pairs))
        if self.is_open and all(pair in self._offered for pair in wanted):
            return
        merged = list(dict.fromkeys([*wanted, *self._offered]))
        while len(_contexts(merged)) > CONTEXTS_MAX:
            merged.pop()
        self.close()
        self._offered = merged
        try:
            self._association = self._associate(_contexts(merged))
        except NothingAccepted:
            self._accepted = {}  # each object will be told that it is not accepted, and the next one has its turn
            return
        _silence(self._association)
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
            for context in self._association.accepted_contexts
        }

    def send(self, file: ByteSource, *, priority: Priority = Priority.NORMAL) -> Sent:
        """Send one file's data set; in its own syntax, or losslessly converted where that is refused.

        Raises PeerUnreachable (nothing was sent), PeerFailed (may pass), RefusedByPeer, UnsupportedPixels.
        """
        head = unwrap(file)
        pair = (head.sop_class, head.syntax)
        self.expect([pair])
        if pair in self._accepted:
            return self._store(file, priority, transcoded=False)
        if len(file) > CONVERTED_BYTES_MAX:
            raise RefusedByPeer(
                f"{self._destination.name} does not accept {UID(head.syntax).name}; the object is too large to convert",
                hint="Enable the transfer syntax there, then `sealgate queue retry`.",
            )
        for syntax in FALLBACKS:
            if (head.sop_class, syntax) in self._accepted:
                return self._store(transcode(file[:], syntax), priority, transcoded=True)
        raise RefusedByPeer(
            f"{self._destination.name} accepts SOP class {UID(head.sop_class).name} neither in "
            f"{UID(head.syntax).name} nor uncompressed",
            hint="Enable the SOP class or the transfer syntax there, then `sealgate queue retry`.",
        )

    def close(self) -> None:
        """Release the association if there is one."""
        association = self._let_go()
        if association is not None:
            association.release()

    def abort(self) -> None:
        """End the association without ceremony, after a failure."""
        association = self._let_go()
        if association is not None:
            association.abort()

    def _let_go(self) -> Association | None:
        """Forget the association; it is returned if it still has to be ended."""
        association, self._association = self._association, None
        self._accepted = {}
        if association is None or _alive(association):
            return association
        association._reactor_checkpoint.set()  # the peer ended it; its own thread cleans up
        return None

    def _associate(
        self, pairs: list[Pair], *, as_scp: str | None = None, handlers: Sequence[Any] = ()
    ) -> Association:
        destination = self._destination
        association = self._entity.associate(
            destination.host,
            destination.port,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in pairs],
            ae_title=destination.ae_title,
            ext_neg=[build_role(as_scp, scp_role=True)] if as_scp is not None else [],
            max_pdu=self._limits.pdu_bytes,
            evt_handlers=[(evt.EVT_CONN_OPEN, self._connected), *handlers],
            tls_args=self._tls_arguments(),
        )
        if association.is_established:
            return association
        where = f"{destination.name} ({destination.host}:{destination.port})"
        if self._tls is not None and self._tls.problem is not None:
            raise PeerUnreachable(f"{where}: TLS handshake failed: {self._tls.problem}", hint=TLS_HINT)
        if association.rejected_contexts and not association.accepted_contexts:
            raise NothingAccepted(f"{where} accepts nothing of what was offered")
        why = "rejected the association" if association.is_rejected else "can't be reached"
        raise PeerUnreachable(f"{where} {why}")

    def _tls_arguments(self) -> tuple[ClientContext, str] | None:
        """The context, and the name that the peer's certificate must have."""
        table = self._destination.tls
        if self._tls is None or table is None:
            return None
        self._tls.problem = None
        return self._tls, table.server_name or self._destination.host

    def _connected(self, event: Any) -> None:
        prepare_socket(event.assoc.dul.socket.socket, timeout_s=self._limits.network_timeout_s)

    def _store(self, file: ByteSource, priority: Priority, *, transcoded: bool) -> Sent:
        head = unwrap(file)
        association = self._association
        assert association is not None
        self._message_id = self._message_id % MESSAGE_IDS + 1
        request = C_STORE()
        request.MessageID = self._message_id
        request.Priority = PRIORITIES[priority]
        request.AffectedSOPClassUID = UID(head.sop_class)
        request.AffectedSOPInstanceUID = UID(head.sop_instance)
        if isinstance(file, StoredFile):  # pynetdicom reads it fragment by fragment
            request._dataset_path = file.path, head.offset
        else:
            request.DataSet = BytesIO(file[head.offset :])
        size = len(file) - head.offset
        answer = self._exchange(association, request, self._accepted[(head.sop_class, head.syntax)], size)
        row = classify(answer)
        if row.meaning is Meaning.DELIVERED:
            return Sent(answer, head.syntax, transcoded)
        message = f"{self._destination.name} answered {answer:04X}: {row.text}"
        if row.meaning is Meaning.TRY_AGAIN:
            raise PeerFailed(message, hint=row.hint)
        raise RefusedByPeer(message, hint=row.hint)

    def _exchange(self, association: Association, request: C_STORE, context_id: int, size: int) -> int:
        """Send the message of `size` bytes in step with the socket, wait for the status. Raises PeerFailed."""
        slowest = self._destination.slowest_bytes_s(self._limits)
        deadline = time.monotonic() + self._limits.network_timeout_s + size / slowest
        association.dimse_timeout = self._limits.dimse_timeout_s + size / STORED_BYTES_S
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        message.context_id = context_id
        for fragment in message.encode_msg(context_id, self._fragment_bytes(association)):
            if self._pace is not None:
                self._pace.wait_for(sum(len(value) for _, value in fragment.presentation_data_value_list))
            self._wait_for_room(association, deadline)
            association.dul.send_pdu(fragment)
        self._wait_for_room(association, deadline, in_flight=0)
        _, response = association.dimse.get_msg(block=True)
        status = getattr(response, "Status", None)
        if response is None or status is None or not response.is_valid_response:
            self.abort()
            raise PeerFailed(f"{self._destination.name} broke off or gave no answer in time")
        return int(status)

    def _fragment_bytes(self, association: Association) -> int:
        """The largest PDU that the peer takes, ours where it takes any, or less on a line that is kept slow."""
        most = int(association.dimse.maximum_pdu_size) or self._limits.pdu_bytes
        if self._pace is None:
            return most
        piece = max(FRAGMENT_BYTES_MIN, self._pace.piece_bytes)
        return min(most, piece)

    def _wait_for_room(
        self, association: Association, deadline: float, *, in_flight: int = FRAGMENTS_IN_FLIGHT
    ) -> None:
        """The socket's own time-out ends a connection that takes nothing any more; that is noticed here.

        deadline: monotonic seconds. One that takes a little now and then is ended by it. Raises PeerFailed.
        """
        waiting = association.dul.to_provider_queue
        while waiting.qsize() > in_flight:
            if not association.dul.is_alive() or association.acse.is_aborted():
                self.abort()
                raise PeerFailed(f"{self._destination.name} broke off the association")
            if time.monotonic() > deadline:
                self.abort()
                raise PeerFailed(f"{self._destination.name} takes the object too slowly", hint=SLOW_HINT)
            time.sleep(0.0005)


def _reference(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _alive(association: Association) -> bool:
    """Established, and no abort or release of the peer waits to be handled."""
    return (
        bool(association.is_established)
        and association.dul.is_alive()
        and association.dul.peek_next_pdu() is None
    )


def _silence(association: Association) -> None:
    """Stop the association's own thread, which takes answers off the queue as if they were requests.

    pynetdicom pauses it for each message and now and then goes on before it stands still: the answer is lost, and
    found missing only by the time-out. Here it stands still from the beginning, when there is nothing to take.
    """
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    time.sleep(SETTLE_S)


def _contexts(pairs: Iterable[Pair]) -> list[Pair]:
    """What to offer for objects of these kinds: each as it is, and uncompressed in case that is refused.

    One context for each transfer syntax, so that the peer's choice can't cost us the bytes as they are.
    """
    offers = list(dict.fromkeys(pairs))
    fallbacks = [(sop_class, syntax) for sop_class, _ in offers for syntax in FALLBACKS]
    return list(dict.fromkeys([*offers, *fallbacks]))
