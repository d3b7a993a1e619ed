"""The association of a peer that asked by C-GET, seen as one to send objects on (PS3.4 C.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pynetdicom.association import Association

from gateway.config import Limits
from gateway.dimse.pynetdicom_private import has_broken_off
from gateway.dimse.requestor import ContextOffer
from gateway.errors import PeerUnreachable


@dataclass(frozen=True)
class Viewer:
    """The peer. name: for messages."""

    name: str

    def slowest_bytes_s(self, limits: Limits) -> float:
        return limits.send_bytes_s_min


class PeerAssociation:
    """A `gateway.dimse.store_scu.Carrier` of contexts that the peer has proposed itself."""

    def __init__(self, association: Association, *, name: str, limits: Limits) -> None:
        """name: of the peer, for messages."""
        self.association, self.limits, self.destination = association, limits, Viewer(name)
        # PS3.7 D.3.3.4: without this the peer is no SCP of the class.
        as_scp = {
            str(sop_class)
            for sop_class, role in association.requestor.role_selection.items()
            if role.scp_role
        }
        self.accepted: Mapping[ContextOffer, int] = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
            for context in association.accepted_contexts
            if str(context.abstract_syntax) in as_scp
        }

    @property
    def is_open(self) -> bool:
        return bool(self.association.is_established) and not has_broken_off(self.association)

    def open(self, contexts: Iterable[ContextOffer]) -> None:  # noqa: ARG002 - they were negotiated before
        """Raises PeerUnreachable when the peer is gone: we can't open its association again."""
        if not self.is_open:
            raise PeerUnreachable(f"{self.destination.name} is gone")

    def abort(self) -> None:
        self.association.abort()
