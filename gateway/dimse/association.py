"""What is known about one association that a peer has opened to us."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pynetdicom.association import Association

from gateway.config.nodes import Node
from gateway.dimse.connections import PendingConnection
from gateway.dimse.incoming import Messages
from gateway.dimse.negotiation import Negotiation, plausible
from gateway.dimse.own_gateway import gateway_of
from gateway.dimse.sockets import WatchedSocket

# Service class application information, PS3.7 D.3.3.5.
ApplicationInformation = bytes


@dataclass(eq=False)
class AssociationState:
    """What is noted about one association until its log line is written.

    node: the node that opened it; None before it was let in, and for a stranger where all are let in.
    user: the name of the user whose password was given, empty without one.
    admitted: whether it was let in.
    opened_at: by time.monotonic().
    objects, failed: how many objects were sent on it, and how many of them were not accepted.
    bytes: of the data sets of these objects.
    stalled: whether it was ended because the peer stopped in the middle of a PDU.
    extended: what was accepted in extended negotiation, SOP class -> service class application information.
    """

    association: Association
    connection: PendingConnection
    socket: WatchedSocket
    negotiation: Negotiation
    messages: Messages
    node: Node | None = None
    user: str = ""
    admitted: bool = False
    opened_at: float = field(default_factory=time.monotonic)
    objects: int = 0
    failed: int = 0
    bytes: int = 0
    stalled: bool = False
    extended: dict[str, ApplicationInformation] = field(default_factory=dict)

    @property
    def peer(self) -> str:
        """The IP address of the peer, as text."""
        return self.connection.peer

    @property
    def calling(self) -> str:
        """The calling AE title, empty before a request has arrived."""
        request = self.association.requestor.primitive
        return str(request.calling_ae_title).strip() if request else ""

    @property
    def called(self) -> str:
        """The called AE title, empty before a request has arrived."""
        request = self.association.requestor.primitive
        return str(request.called_ae_title).strip() if request else ""

    @property
    def gateway(self) -> str | None:
        """The id of the gateway that opened it, None for another program."""
        peer = self.association.requestor
        return gateway_of(peer.implementation_class_uid, peer.implementation_version_name)

    @property
    def is_open(self) -> bool:
        return self.association.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether its thread was started and has ended."""
        return self.association.ident is not None and not self.association.is_alive()

    def may_negotiate(self, sop_class: str) -> bool:
        """Whether a context of this SOP class is accepted.

        A context without a plausible UID is refused, because peers would refuse the whole association for it.
        """
        return plausible(sop_class) and (self.node is None or self.node.may(sop_class))

    def may_store(self, sop_class: str) -> bool:
        """Whether objects of this SOP class are taken. It may differ from that of the presentation context."""
        return plausible(sop_class) and (self.node is None or self.node.may_store(sop_class))

    @property
    def outcome(self) -> str:
        """How it ended, one word for metrics and log."""
        if self.stalled:
            return "stalled"
        if self.association.is_rejected:
            return "rejected"
        if self.association.is_released:
            return "released"
        return "aborted" if self.association.is_aborted else "closed"
