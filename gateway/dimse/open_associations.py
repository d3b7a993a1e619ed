"""The associations that peers have opened to us, and how many of them may be open."""

from __future__ import annotations

import threading

from pynetdicom.association import Association

from gateway.config import Limits
from gateway.dimse.admission import LIMIT_EXCEEDED, Refusal
from gateway.dimse.association import AssociationState


class OpenAssociations:
    """All methods are for several threads at once."""

    def __init__(self, limits: Limits, *, nodes_configured: bool) -> None:
        """nodes_configured: half of the associations are then kept free for nodes, however many strangers come."""
        self._limits = limits
        self._kept_free = limits.associations // 2 if nodes_configured else 0
        self._states: dict[Association, AssociationState] = {}
        self._lock = threading.Lock()

    def add(self, state: AssociationState) -> None:
        with self._lock:
            self._states[state.association] = state

    def state_of(self, association: Association) -> AssociationState:
        """The state of an association that was added and has not been taken out."""
        return self._states[association]

    def open_ones(self) -> list[AssociationState]:
        """Those whose thread is running."""
        with self._lock:
            return [state for state in self._states.values() if state.is_open]

    def admit(self, state: AssociationState) -> Refusal | None:
        """Count the association as let in, or return why that would be one too many."""
        limits = self._limits
        with self._lock:
            admitted = [other for other in self._states.values() if other.admitted and other.is_open]
            of_peer = sum(other.peer == state.peer for other in admitted)
            strangers = sum(other.node is None for other in admitted)
            state.admitted = (
                len(admitted) < limits.associations
                and of_peer < limits.associations_per_peer
                and (state.node is not None or strangers < limits.associations - self._kept_free)
            )
        if state.admitted:
            return None
        if of_peer >= limits.associations_per_peer:
            return Refusal(
                "peer-limit",
                LIMIT_EXCEEDED,
                f"{of_peer} associations from this address are open",
                "Let the sender close what it does not use, or raise limits.associations_per_peer.",
            )
        return Refusal(
            "limit", LIMIT_EXCEEDED, f"{len(admitted)} associations are open", "Raise limits.associations."
        )

    def take_ended(self) -> list[AssociationState]:
        """Remove and return those that have ended."""
        with self._lock:
            ended = [state for state in self._states.values() if state.has_ended]
            for state in ended:
                del self._states[state.association]
        return ended
