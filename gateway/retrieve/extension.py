"""Extended negotiation of queries (PS3.4 C.5.1.1): what a viewer proposes is proposed to the archive, which decides.

Relational queries, combined date and time matching, fuzzy matching and so on are the archive's to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import cast

from pydicom.uid import UID
from pynetdicom import evt

from gateway.config import Config
from gateway.dicom.uids import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from gateway.dimse.association import AssociationState
from gateway.errors import GatewayError
from gateway.observe import Log
from gateway.retrieve.archive import Archive, query_contexts

# An archive that was configured anew is asked again after that, seconds.
KEPT_S = 300.0
KEPT_MAX = 64
# Of a service class application information; PS3.4 names six bytes.
BYTES_MAX = 64
EXTENDED = (PATIENT_ROOT_FIND, STUDY_ROOT_FIND)


class Extensions:
    """`on_extended` runs in association threads, several at a time."""

    def __init__(self, archive: Archive, *, config: Callable[[], Config], log: Log) -> None:
        """config: the configuration in force."""
        self._archive, self._config, self._log = archive, config, log
        self._known: dict[tuple[str, bytes], tuple[float, bytes]] = {}
        self._lock = threading.Lock()

    def on_extended(self, event: evt.Event, state: AssociationState) -> dict[UID, bytes]:
        """What is accepted of what the peer proposes: SOP class -> service class application information."""
        table = self._config().retrieve
        if table is None or state.node is None or state.called != table.ae_title:
            return {}
        for sop_class, proposed in cast(Mapping[UID, bytes], event.app_info).items():  # type: ignore[attr-defined]
            if sop_class in EXTENDED and state.may_negotiate(str(sop_class)) and len(proposed) <= BYTES_MAX:
                answer = self._answer(str(sop_class), bytes(proposed))
                if answer:
                    state.extended[str(sop_class)] = answer
        return {UID(sop_class): answer for sop_class, answer in state.extended.items()}

    def _answer(self, sop_class: str, proposed: bytes) -> bytes:
        """The archive's answer; empty where it has none, or can't be asked."""
        with self._lock:
            until, answer = self._known.get((sop_class, proposed), (0.0, b""))
        if time.monotonic() < until:
            return answer
        try:
            with self._archive.associated(query_contexts(sop_class), extended={sop_class: proposed}) as scu:
                answer = scu.extended.get(sop_class, b"")[:BYTES_MAX]
        except GatewayError as error:
            self._log.warning(
                "extended negotiation not passed on", code=error.code, problem=str(error), hint=error.hint
            )
            return b""
        with self._lock:
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            self._known[(sop_class, proposed)] = (time.monotonic() + KEPT_S, answer)
        return answer
