"""Query/Retrieve as a service of the listener (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Mapping

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.uids import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from gateway.dimse.requestor import UNCOMPRESSED
from gateway.dimse.services import EventHandler, Responder
from gateway.retrieve.query import Queries

SOP_CLASSES = (PATIENT_ROOT_FIND, STUDY_ROOT_FIND)


class QueryRetrieveService:
    """Answers C-FIND. Who may ask is decided when an association is negotiated."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def contexts(self) -> list[PresentationContext]:
        """Not deflated: nobody knows how large such a data set becomes."""
        return [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in SOP_CLASSES]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {}

    def responders(self) -> Mapping[evt.InterventionEvent, Responder]:
        return {evt.EVT_C_FIND: self._queries.on_find}
