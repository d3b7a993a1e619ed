"""A request of a peer that has many responses, C-FIND, C-GET or C-MOVE (PS3.7 9.1), and what is sent for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from io import BytesIO
from typing import TypeAlias

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext

from gateway.dicom.syntaxes import syntax_of
from gateway.dimse.incoming import Incoming
from gateway.dimse.pynetdicom_private import (
    has_broken_off,
    is_cancelled,
    queued_fragments,
    send_message,
)
from gateway.errors import PeerFailed

QueryPrimitive: TypeAlias = C_FIND | C_GET | C_MOVE

# Handed to the sending thread and not yet in the socket.
FRAGMENTS_IN_FLIGHT = 16
ROOM_POLL_S = 0.001
# An LO, PS3.7 E.1.
COMMENT_CHARACTERS_MAX = 64
COUNT_MAX = 0xFFFF


@dataclass(frozen=True, kw_only=True)
class SubOperations:
    """The sub-operations of C-GET and C-MOVE (PS3.7 9.1.3.1); each 0 or more.

    remaining: None in a response that does not say it.
    """

    remaining: int | None
    completed: int
    failed: int
    warning: int

    @property
    def total(self) -> int:
        return (self.remaining or 0) + self.completed + self.failed + self.warning


class PeerRequest:
    """One request, and the association that it came on. For the association's thread."""

    def __init__(
        self, association: Association, primitive: QueryPrimitive, context: PresentationContext
    ) -> None:
        self.association = association
        self._primitive = primitive
        self._context_id = int(context.context_id or 0)
        self.sop_class = str(context.abstract_syntax)
        self.syntax = str(context.transfer_syntax[0])
        identifier = primitive.Identifier
        self.identifier = b"" if identifier is None else identifier.getvalue()
        if isinstance(identifier, Incoming):
            identifier.discard()

    @property
    def message_id(self) -> int:
        return int(self._primitive.MessageID or 0)

    @property
    def affected_class(self) -> str:
        """The SOP class that the request itself names."""
        return str(self._primitive.AffectedSOPClassUID or "")

    @property
    def priority(self) -> int:
        """PS3.7 9.3.2.1: medium 0, high 1, low 2."""
        return int(self._primitive.Priority or 0)

    @property
    def move_destination(self) -> str:
        """The AE title, empty unless it is a C-MOVE."""
        return str(getattr(self._primitive, "MoveDestination", "") or "").strip()

    @property
    def encoding(self) -> tuple[bool, bool]:
        """How data sets are written on its context: explicit, little."""
        return syntax_of(self.syntax).encoding

    @property
    def is_cancelled(self) -> bool:
        """Whether the peer has cancelled it, or is gone."""
        return is_cancelled(self.association, self.message_id) or self.is_broken_off

    @property
    def is_broken_off(self) -> bool:
        return has_broken_off(self.association)

    def respond(
        self,
        status: int,
        *,
        identifier: bytes = b"",
        counts: SubOperations | None = None,
        comment: str = "",
    ) -> None:
        """Send one response.

        status: DIMSE status, FF00 or FF01 for one that is not the last.
        identifier: in the encoding of the request's context; empty for none.
        counts: of a C-GET or C-MOVE.
        comment: ASCII, for people; cut to 64 characters.
        Raises PeerFailed when the peer is gone, or takes nothing.
        """
        response = type(self._primitive)()
        response.MessageIDBeingRespondedTo = self.message_id
        response.AffectedSOPClassUID = UID(self.affected_class or self.sop_class)
        response.Status = status
        if identifier:
            response.Identifier = BytesIO(identifier)
        if comment:
            # pynetdicom declares the class attribute, and checks the value elsewhere.
            response.ErrorComment = comment[:COMMENT_CHARACTERS_MAX]  # type: ignore[assignment]
        if counts is not None and not isinstance(response, C_FIND):
            if counts.remaining is not None:
                response.NumberOfRemainingSuboperations = min(counts.remaining, COUNT_MAX)
            response.NumberOfCompletedSuboperations = min(counts.completed, COUNT_MAX)
            response.NumberOfFailedSuboperations = min(counts.failed, COUNT_MAX)
            response.NumberOfWarningSuboperations = min(counts.warning, COUNT_MAX)
        self._wait_for_room()
        send_message(self.association, response, self._context_id)

    def _wait_for_room(self) -> None:
        """What a slow peer does not take is not made either. Raises PeerFailed."""
        deadline = time.monotonic() + float(self.association.network_timeout or 60.0)
        while queued_fragments(self.association) > FRAGMENTS_IN_FLIGHT:
            if self.is_broken_off or time.monotonic() > deadline:
                raise PeerFailed("the peer takes no responses any more")
            time.sleep(ROOM_POLL_S)
