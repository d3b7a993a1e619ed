"""A service is plugged into the listener: it says what may be negotiated, and answers its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.presentation import PresentationContext, build_context

from gateway.config import Config
from gateway.dicom.uids import VERIFICATION
from gateway.dimse.association import AssociationState
from gateway.dimse.listener import Listener
from gateway.dimse.services import EchoService, EventHandler, handlers_of
from gateway.observe import Metrics, logger
from gateway.spool import LocalSpool
from gateway.tls import Certificates

# Modality Worklist Information Model - FIND, PS3.4 K.6.1. Anybody may negotiate it.
WORKLIST = "1.2.840.10008.5.1.4.31"


class QueryService:
    """Two matches for every question."""

    def contexts(self) -> list[PresentationContext]:
        return [build_context(WORKLIST)]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {evt.EVT_C_FIND: self.find}

    def find(self, event: evt.Event, state: AssociationState) -> Iterator[tuple[int, Dataset | None]]:
        for number in (1, 2):
            match = Dataset()
            match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            match.PatientID = f"{state.calling} {number}"
            yield 0xFF00, match


def test_two_services_do_not_answer_one_event() -> None:
    with pytest.raises(ValueError, match="two services answer EVT_C_ECHO"):
        handlers_of([EchoService(), EchoService()])


def test_a_service_that_the_listener_does_not_know_answers_with_many_data_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The listener sets these for the whole process; here they are restored afterwards.
    for option in ("UNRESTRICTED_STORAGE_SERVICE", "LOG_HANDLER_LEVEL"):
        monkeypatch.setattr(_config, option, getattr(_config, option))
    table = {
        "gateway": {"data_dir": str(tmp_path)},
        "listener": {"accept": "any", "host": "127.0.0.1", "port": 0},
        "destination": [{"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104}],
        "route": [{"called": "SEALGATE", "action": "pass", "to": ["pacs"]}],
    }
    config = Config.model_validate(table)
    listener = Listener(
        lambda: config,
        certificates=Certificates(config),
        spool=LocalSpool(tmp_path, free_bytes_min=0),
        services=[EchoService(), QueryService()],
        metrics=Metrics(),
        log=logger(),
    )
    port = listener.start()["dicom_port"]
    try:
        contexts = [build_context(uid, ImplicitVRLittleEndian) for uid in (VERIFICATION, WORKLIST)]
        association = AE(ae_title="ASKS").associate("127.0.0.1", port, contexts, ae_title="SEALGATE")
        assert association.is_established
        assert association.send_c_echo().Status == 0
        question = Dataset()
        question.QueryRetrieveLevel = "STUDY"
        answers = [*association.send_c_find(question, WORKLIST)]
        association.release()
    finally:
        listener.stop(drain_s=2)
    assert [status.Status for status, _ in answers] == [0xFF00, 0xFF00, 0x0000]
    assert [match.PatientID for _, match in answers if match is not None] == ["ASKS 1", "ASKS 2"]
