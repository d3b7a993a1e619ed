"""Associations that we open to a destination, and C-ECHO (PS3.4 annex A)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import build_context, build_role

from gateway.config import Destination, Limits
from gateway.dicom.syntaxes import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, VERIFICATION
from gateway.dimse.own_gateway import gateway_of, version_name
from gateway.dimse.pynetdicom_private import (
    FragmentServiceProvider,
    install,
    is_usable,
    pause_reactor,
    raw_socket,
    resume_reactor,
)
from gateway.dimse.sockets import WatchedSocket, prepare_socket
from gateway.dimse.statuses import SUCCESS
from gateway.errors import DeliveryLoop, GatewayError, PeerFailed, PeerUnreachable
from gateway.tls import ClientContext, client_context

# SOP class, transfer syntax.
ContextOffer = tuple[str, str]
Reader = FragmentServiceProvider

UNCOMPRESSED = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
NAME_HINT = (
    "Check destination.host and this machine's DNS (`getent hosts NAME`), or write the address instead."
)
TLS_HINT = "Compare its certificate with destination.tls (ca, fingerprint, server_name), and ours with what it trusts."


class NothingAccepted(PeerUnreachable):
    """The peer accepted the association but none of its presentation contexts, which ends the association."""

    hint = "Enable the SOP classes and transfer syntaxes there."


class Requestor:
    """Opens associations to one destination. Not for several threads at once."""

    def __init__(
        self,
        destination: Destination,
        limits: Limits,
        *,
        calling: str,
        gateway_id: str = "",
        on_gateway: Callable[[str | None], None] = lambda _gateway: None,
    ) -> None:
        """calling: our AE title, where the destination's configuration names no other.
        gateway_id: by which we know ourselves; empty where that does not matter.
        on_gateway: is told by `open`, before anything is sent, the id of the gateway that answers; None for another
        program.

        Raises KeyFileError when a file that destination.tls names can't be used.
        """
        self.destination = destination
        self.limits = limits
        self._tls = client_context(destination.tls) if destination.tls is not None else None
        self._entity = AE(ae_title=destination.calling_ae_title or calling)
        self._entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._entity.implementation_version_name = version_name(gateway_id)
        self._entity.maximum_pdu_size = limits.pdu_bytes
        self._entity.connection_timeout = limits.connect_timeout_s
        self._entity.acse_timeout = limits.acse_timeout_s
        self._entity.dimse_timeout = limits.dimse_timeout_s
        # An idle association is ended by `close`, and not in the middle of an object.
        self._entity.network_timeout = None
        self._gateway_id, self._on_gateway = gateway_id, on_gateway
        self._association: Association | None = None
        self._accepted: dict[ContextOffer, int] = {}

    @property
    def is_open(self) -> bool:
        return self._association is not None and is_usable(self._association)

    @property
    def association(self) -> Association:
        """The association that `open` made. Its messages are sent and received by the caller."""
        assert self._association is not None, "open() comes first"
        return self._association

    @property
    def accepted(self) -> Mapping[ContextOffer, int]:
        """The contexts that the peer accepted -> their ids; empty while no association is open."""
        return self._accepted

    def open(
        self,
        contexts: Iterable[ContextOffer],
        *,
        as_scp: Iterable[str] = (),
        extended: Mapping[str, bytes] | None = None,
        reads: Callable[[Association], Reader] | None = None,
    ) -> None:
        """Open an association that stays until `close` or `abort`; one that is open is closed before.

        contexts: at most 128 (PS3.8 9.3.2.2), each offered with its one transfer syntax.
        as_scp: SOP classes for which we propose to be the SCP, as C-GET needs it (PS3.7 D.3.3.4).
        extended: what is proposed in extended negotiation (PS3.7 D.3.3.5), SOP class -> application information.
        reads: makes what puts the peer's messages together, within limits; None: pynetdicom's own, without any.
        Raises NothingAccepted when the peer accepts none of them.
        Raises PeerUnreachable when there is no association for another reason.
        Raises DeliveryLoop when it is this gateway that answers.
        Raises what `on_gateway` raises.
        """
        self.close()
        self._association = self._associate(contexts, as_scp=as_scp, extended=extended or {}, reads=reads)
        pause_reactor(self._association)
        try:
            self._on_gateway(self._peer_gateway(self._association))
        except GatewayError:
            self.abort()
            raise
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
            for context in self._association.accepted_contexts
        }

    def close(self) -> None:
        """Release the association if there is one."""
        association = self._let_go()
        if association is not None:
            association.release()

    def abort(self) -> None:
        """Abort the association if there is one, after a failure."""
        association = self._let_go()
        if association is not None:
            association.abort()

    @contextmanager
    def associated(
        self,
        contexts: Iterable[ContextOffer],
        *,
        as_scp: str | None = None,
        handlers: Sequence[Any] = (),
    ) -> Iterator[Association]:
        """An association of its own, beside the one that `open` makes; it is released at the end.

        contexts: as those of `open`.
        as_scp: the SOP class for which we propose to be the SCP (PS3.7 D.3.3.4), None for none. Many peers accept the
        context and forget to confirm the role.
        handlers: pairs of pynetdicom event and function, for requests that the peer makes on this association.
        Raises PeerUnreachable when there is no association.
        """
        association = self._associate(contexts, as_scp=[as_scp] if as_scp else (), handlers=handlers)
        try:
            yield association
        finally:
            association.release()

    def echo(self) -> float:
        """Make a C-ECHO on an association of its own, and return how long it took, milliseconds.

        Raises PeerUnreachable when there is no association.
        Raises PeerFailed when the answer is not success.
        Raises DeliveryLoop when it is this gateway that answers.
        """
        with self.associated([(VERIFICATION, IMPLICIT_VR_LE)]) as association:
            self._peer_gateway(association)
            started = time.perf_counter()
            status = association.send_c_echo()
            took_ms = (time.perf_counter() - started) * 1000
        if "Status" not in status or status.Status != SUCCESS:
            raise PeerFailed(f"{self.destination.name} did not answer C-ECHO with success")
        return took_ms

    def _let_go(self) -> Association | None:
        """Forget the association, and return it if it still has to be ended."""
        association, self._association = self._association, None
        self._accepted = {}
        if association is None or is_usable(association):
            return association
        # The peer has ended it; its own thread cleans up.
        resume_reactor(association)
        return None

    def _associate(
        self,
        contexts: Iterable[ContextOffer],
        *,
        as_scp: Iterable[str] = (),
        handlers: Sequence[Any] = (),
        extended: Mapping[str, bytes] = MappingProxyType({}),
        reads: Callable[[Association], Reader] | None = None,
    ) -> Association:
        destination = self.destination
        where = f"{destination.name} ({destination.host}:{destination.port})"
        try:
            association = self._entity.associate(
                destination.host,
                destination.port,
                contexts=[build_context(sop_class, syntax) for sop_class, syntax in contexts],
                ae_title=destination.ae_title,
                ext_neg=[
                    *(build_role(sop_class, scp_role=True) for sop_class in as_scp),
                    *(_extension(sop_class, value) for sop_class, value in extended.items()),
                ],
                max_pdu=self.limits.pdu_bytes,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._on_connected, [reads]), *handlers],
                tls_args=self._tls_arguments(),
            )
        # The name is looked up before anything else. One that can be no name is a UnicodeError.
        except (socket.gaierror, UnicodeError) as error:
            raise PeerUnreachable(f"{where}: the name does not resolve", hint=NAME_HINT) from error
        except OSError as error:
            raise PeerUnreachable(f"{where} can't be reached: {error.strerror}") from error
        if association.is_established:
            return association
        if self._tls is not None and self._tls.problem is not None:
            raise PeerUnreachable(f"{where}: TLS handshake failed: {self._tls.problem}", hint=TLS_HINT)
        if association.rejected_contexts and not association.accepted_contexts:
            raise NothingAccepted(f"{where} accepts nothing of what was offered")
        why = "rejected the association" if association.is_rejected else "can't be reached"
        raise PeerUnreachable(f"{where} {why}")

    def _peer_gateway(self, association: Association) -> str | None:
        """The id of the gateway that answers. Raises DeliveryLoop when it is this one."""
        peer = association.acceptor
        gateway = gateway_of(peer.implementation_class_uid, peer.implementation_version_name)
        if gateway is not None and gateway == self._gateway_id:
            destination = self.destination
            raise DeliveryLoop(
                f"{destination.name} ({destination.host}:{destination.port}) leads back to this gateway"
            )
        return gateway

    def _tls_arguments(self) -> tuple[ClientContext, str] | None:
        """The context, and the name that the peer's certificate must have."""
        table = self.destination.tls
        if self._tls is None or table is None:
            return None
        self._tls.problem = None
        return self._tls, table.server_name or self.destination.host

    def _on_connected(self, event: evt.Event, reads: Callable[[Association], Reader] | None) -> None:
        association = event.assoc
        raw = cast(socket.socket, raw_socket(association))
        prepare_socket(raw, timeout_s=self.limits.network_timeout_s)
        if reads is not None:
            reader = reads(association)
            held_back = WatchedSocket(association, b"", pdu_bytes=self.limits.pdu_bytes)
            held_back.pause_while(lambda: reader.has_message)
            install(association, dimse=reader, socket=held_back)


def _extension(sop_class: str, information: bytes) -> SOPClassExtendedNegotiation:
    """PS3.7 D.3.3.5."""
    proposal = SOPClassExtendedNegotiation()
    proposal.sop_class_uid = UID(sop_class)
    proposal.service_class_application_information = information
    return proposal
