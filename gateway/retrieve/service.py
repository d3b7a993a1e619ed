"""Query/Retrieve as a service of the listener (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Mapping

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.uids import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gateway.dimse.requestor import UNCOMPRESSED
from gateway.dimse.services import EventHandler, Responder
from gateway.retrieve.extension import Extensions
from gateway.retrieve.query import Queries
from gateway.retrieve.retrieval import Retrievals

SOP_CLASSES = (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_MOVE,
    PATIENT_ROOT_GET,
    STUDY_ROOT_GET,
)


class QueryRetrieveService:
    """Answers C-FIND, C-GET and C-MOVE. Who may ask is decided when an association is negotiated."""

    def __init__(self, queries: Queries, retrievals: Retrievals, extensions: Extensions) -> None:
        self._queries, self._retrievals, self._extensions = queries, retrievals, extensions

    def contexts(self) -> list[PresentationContext]:
        """Not deflated: nobody knows how large such a data set becomes."""
        return [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in SOP_CLASSES]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {evt.EVT_SOP_EXTENDED: self._extensions.on_extended}

    def responders(self) -> Mapping[evt.InterventionEvent, Responder]:
        return {
            evt.EVT_C_FIND: self._queries.on_find,
            evt.EVT_C_GET: self._retrievals.on_get,
            evt.EVT_C_MOVE: self._retrievals.on_move,
        }
