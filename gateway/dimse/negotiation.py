"""What is negotiated with an association, where pynetdicom leaves something out."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from gateway.dicom.syntaxes import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dimse.pynetdicom_private import ACSE, accepted_contexts_by_id, reject_context
from gateway.dimse.users import UserIdentity

# PS3.8 9.3.3.2
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3


class Negotiation(ACSE):
    """Accepts nothing before `let_in`, and can refuse single presentation contexts (PS3.8 9.3.3.2).

    Two things end the association here: a request that can't be negotiated, and an error while it was decided who is
    let in. pynetdicom's own negotiation leaves the connection open after the first, and lets everybody in after the
    second; and it can't refuse a single context.
    """

    def __init__(self, association: Association, on_broken: Callable[[BaseException], None]) -> None:
        """on_broken: is told what was wrong with a request."""
        super().__init__(association)
        self._on_broken = on_broken
        self._may: Callable[[str], bool] | None = None

    def let_in(self, may: Callable[[str], bool]) -> None:
        """Let the association be accepted.

        may: whether contexts of this SOP class are accepted.
        """
        self._may = may

    def negotiate_association(self) -> None:
        if self._may is None:
            self.assoc.abort()
            return
        try:
            super().negotiate_association()
        # Whatever a peer provokes ends its association and is reported.
        except Exception as error:  # noqa: BLE001
            self._on_broken(error)
            self.assoc.abort()

    def send_accept(self) -> None:
        for context_id, context in accepted_contexts_by_id(self.assoc).items():
            if self._may is None or not self._may(str(context.abstract_syntax)):
                reject_context(self.assoc, context_id, ABSTRACT_SYNTAX_NOT_SUPPORTED)
        super().send_accept()


def plausible(uid: str) -> bool:
    """Whether it has the characters and the length of a UID (PS3.5 9.1).

    Components with leading zeros, which the standard forbids, occur in practice and pass.
    """
    return re.fullmatch(r"[0-9.]{1,64}", uid) is not None


def stated_identity(association: Association) -> UserIdentity | None:
    """The identity that the requestor states, None when it states none."""
    item = association.requestor.user_identity
    if item is None:
        return None
    return UserIdentity(
        int(item.user_identity_type or 0), item.primary_field or b"", item.secondary_field or b""
    )


def confirm_identity(association: Association) -> None:
    """Answer, if the requestor asks for an answer, that its identity was checked (PS3.7 D.3.3.7.2)."""
    item = association.requestor.user_identity
    if item is not None and item.positive_response_requested:
        answer = UserIdentityNegotiation()
        # Only tickets have a response of their own.
        answer.server_response = b""
        association.acceptor.add_negotiation_item(answer)


def known_first(proposed: list[UID]) -> list[UID]:
    """The transfer syntaxes in the proposer's order, but last those that no edition of the standard names."""
    return sorted(proposed, key=lambda syntax: UID(syntax).type != "Transfer Syntax")


def plain_first(proposed: list[UID]) -> list[UID]:
    """The same, but first those that are not compressed: every object that is sent back can be written in one."""
    return sorted(proposed, key=lambda syntax: str(syntax) not in (EXPLICIT_VR_LE, IMPLICIT_VR_LE))
