"""What is negotiated with an association, where pynetdicom leaves something out."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.presentation import (
    NonPatientObjectPresentationContexts,
    PresentationContext,
    build_context,
)

from gateway.dimse.users import UserIdentity

ABSTRACT_SYNTAX_NOT_SUPPORTED = 3  # PS3.8 9.3.3.2


class Negotiation(ACSE):
    """Accepts nothing before `let_in`; refuses single presentation contexts (PS3.8 9.3.3.2), as pynetdicom's does not.

    A request that can't be negotiated, and an error while it was decided who may come in, end the association. In the
    original the one leaves the connection behind, and the other lets everybody in.
    """

    def __init__(self, association: Association, broken: Callable[[BaseException], None]) -> None:
        """broken: told what was wrong with a request."""
        super().__init__(association)
        self._broken = broken
        self._may: Callable[[str], bool] | None = None

    def let_in(self, may: Callable[[str], bool]) -> None:
        """may: whether a SOP class is accepted."""
        self._may = may

    def negotiate_association(self) -> None:
        if self._may is None:
            self.assoc.abort()
            return
        try:
            super().negotiate_association()
        except Exception as error:  # noqa: BLE001 - whatever a peer provokes ends its association, and is told
            self._broken(error)
            self.assoc.abort()

    def send_accept(self) -> None:
        association = self.assoc
        for number, context in list(association._accepted_cx.items()):
            if self._may is None or not self._may(str(context.abstract_syntax)):
                context.result = ABSTRACT_SYNTAX_NOT_SUPPORTED
                association._rejected_cx.append(association._accepted_cx.pop(number))
        super().send_accept()


def plausible(uid: str) -> bool:
    """Of the characters and the length of a UID (PS3.5 9.1); zeros that lead a component occur, and are let through."""
    return re.fullmatch(r"[0-9.]{1,64}", uid) is not None


def stated_identity(association: Association) -> UserIdentity | None:
    """Of the requestor, None when it states none."""
    item = association.requestor.user_identity
    if item is None:
        return None
    return UserIdentity(
        int(item.user_identity_type or 0), item.primary_field or b"", item.secondary_field or b""
    )


def confirm_identity(association: Association) -> None:
    """Answer, where that is asked for, that the identity was checked (PS3.7 D.3.3.7.2)."""
    item = association.requestor.user_identity
    if item is not None and item.positive_response_requested:
        answer = UserIdentityNegotiation()
        answer.server_response = b""  # only tickets have one
        association.acceptor.add_negotiation_item(answer)


def non_patient_contexts() -> list[PresentationContext]:
    """Palettes, protocols, templates (PS3.4 GG): stored with C-STORE, but of another service class than images.

    The unrestricted storage service takes what it does not know, and it knows that these are not Storage.
    """
    return [
        build_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
        for context in NonPatientObjectPresentationContexts
    ]


def known_first(proposed: list[UID]) -> list[UID]:
    """The proposer's order, but transfer syntaxes that no edition of the standard names come last."""
    return sorted(proposed, key=lambda syntax: UID(syntax).type != "Transfer Syntax")
