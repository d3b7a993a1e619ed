"""Carries out who is let in: asks `gateway.dimse.admission`, then accepts the association or refuses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import cast

from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ASSOCIATE

from gateway.config import Config
from gateway.config.nodes import RETRIEVING, Node, service_of
from gateway.dimse.admission import AssociationPolicy, AssociationRequest, Refusal
from gateway.dimse.association import AssociationState
from gateway.dimse.connections import PendingConnections
from gateway.dimse.negotiation import (
    confirm_identity,
    known_first,
    plain_first,
    stated_identity,
)
from gateway.dimse.open_associations import OpenAssociations
from gateway.dimse.pynetdicom_private import reject_association
from gateway.observe import Log, Metrics, where

# A refused connection is closed after this even if the peer goes on sending.
REFUSED_LINGER_S = 2.0


class Acceptor:
    """`on_requested` runs in association threads, several at a time."""

    def __init__(
        self,
        config: Callable[[], Config],
        *,
        associations: OpenAssociations,
        pending: PendingConnections,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """config: the configuration in force, asked for each association; time-outs are those at the start."""
        self._config = config
        self._policy = AssociationPolicy(config)
        self._linger_s = min(REFUSED_LINGER_S, config().limits.acse_timeout_s)
        self._associations = associations
        self._pending = pending
        self._metrics = metrics
        self._log = log

    def on_requested(self, event: evt.Event) -> None:
        """Let the association in or refuse it, once its request has arrived."""
        try:
            self._decide(self._associations.state_of(event.assoc))
        # A defect of ours is reported, and nobody is let in.
        except Exception as error:  # noqa: BLE001
            self._log.error("association failed", code="internal", problem=where(error))

    def _decide(self, state: AssociationState) -> None:
        association = state.association
        primitive = cast(A_ASSOCIATE, association.requestor.primitive)
        request = AssociationRequest(
            calling=state.calling,
            called=state.called,
            address=state.peer,
            fingerprint=state.connection.fingerprint,
        )
        refusal = self._refusal(state, request)
        if refusal is not None:
            self._refuse(state, request, refusal)
            return
        if state.user:
            confirm_identity(association)
        self._pending.leave(state.connection)
        association.acceptor.ae_title = request.called
        if state.node is not None:
            self._report_refused_contexts(primitive, state.node, state.peer)
        # Of each context, pynetdicom takes the first transfer syntax.
        gets = {
            str(sop_class)
            for sop_class, role in association.requestor.role_selection.items()
            if role.scp_role
        }
        for context in primitive.presentation_context_definition_list:
            known = known_first(context.transfer_syntax)
            is_got = str(context.abstract_syntax) in gets
            context.transfer_syntax = [*(plain_first(known) if is_got else known)]
        state.messages.let_in(state.may_store)
        state.negotiation.let_in(partial(self._may_negotiate, state))

    def _may_negotiate(self, state: AssociationState, sop_class: str) -> bool:
        """Whether a context is accepted. Strangers never query or retrieve, and nobody does under another title."""
        table = self._config().retrieve
        if service_of(sop_class) in RETRIEVING and (
            state.node is None or table is None or state.called != table.ae_title
        ):
            return False
        return state.may_negotiate(sop_class)

    def _refusal(self, state: AssociationState, request: AssociationRequest) -> Refusal | None:
        """Why the association is refused, None when it is let in. Node and user are noted in `state`."""
        node = self._policy.admit(request)
        if isinstance(node, Refusal):
            return node
        state.node = node
        user = self._policy.identify(stated_identity(state.association))
        if isinstance(user, Refusal):
            return user
        state.user = user
        return self._associations.admit(state)

    def _refuse(self, state: AssociationState, request: AssociationRequest, refusal: Refusal) -> None:
        self._metrics.count("sealgate_associations_refused_total", reason=refusal.code)
        self._log.warning(
            "association refused",
            peer=request.address,
            calling=request.calling,
            called=request.called,
            code=refusal.code,
            problem=refusal.problem,
            hint=refusal.hint,
        )
        reject_association(state.association, refusal.answer, linger_s=self._linger_s)

    def _report_refused_contexts(self, primitive: A_ASSOCIATE, node: Node, peer: str) -> None:
        """Count and log the proposed contexts that the node may not use."""
        proposed = [
            str(context.abstract_syntax) for context in primitive.presentation_context_definition_list
        ]
        refused = [sop_class for sop_class in proposed if not node.may(sop_class)]
        for service, count in Counter(service_of(sop_class) for sop_class in refused).items():
            self._metrics.count("sealgate_contexts_refused_total", count, node=node.name, service=service)
        if refused:
            self._log.warning(
                "contexts refused",
                node=node.name,
                peer=peer,
                sop_classes=sorted(set(refused)),
                hint="If the node may send these, correct its services and sop_classes.",
            )
