"""What peers may send: requests of the services that are there, on their contexts, within bounds."""

from __future__ import annotations

import pytest
from pynetdicom import evt

from gateway.dicom.uids import STORAGE_COMMITMENT, VERIFICATION
from gateway.dimse import pynetdicom_private as private
from gateway.dimse.terms import ArchiveTerms, MemoryBudget, MessageTerms
from gateway.errors import ProtocolBroken

CT = "1.2.840.10008.5.1.4.1.1.2"
TERMS = MessageTerms(
    [
        (frozenset({VERIFICATION}), [evt.EVT_C_ECHO]),
        (frozenset(), [evt.EVT_C_STORE]),
        (frozenset({STORAGE_COMMITMENT}), [evt.EVT_N_ACTION, evt.EVT_N_EVENT_REPORT]),
    ]
)


def test_each_request_has_its_own_bound() -> None:
    assert TERMS.data_set_bytes_max(private.C_ECHO_RQ(), VERIFICATION) == 0
    assert TERMS.data_set_bytes_max(private.C_STORE_RQ(), CT) is None
    for message in (private.N_ACTION_RQ(), private.N_EVENT_REPORT_RQ()):
        assert TERMS.data_set_bytes_max(message, STORAGE_COMMITMENT) == 2 << 20


@pytest.mark.parametrize("kind", [private.C_FIND_RQ, private.C_CANCEL_RQ, private.C_STORE_RSP])
def test_what_no_service_takes_ends_the_association(kind: type[private.DIMSEMessage]) -> None:
    with pytest.raises(ProtocolBroken, match="no request of a service"):
        TERMS.data_set_bytes_max(kind(), VERIFICATION)


@pytest.mark.parametrize("context", [VERIFICATION, CT, None])
def test_storage_commitment_is_taken_on_its_own_contexts_alone(context: str | None) -> None:
    with pytest.raises(ProtocolBroken, match="context of another service"):
        TERMS.data_set_bytes_max(private.N_ACTION_RQ(), context)


def test_a_service_that_is_asked_for_data_takes_what_follows_the_request() -> None:
    terms = MessageTerms([(frozenset({"1.2.3"}), [evt.EVT_C_GET])])
    assert terms.data_set_bytes_max(private.C_GET_RQ(), "1.2.3") == 1 << 20
    assert terms.data_set_bytes_max(private.C_STORE_RSP(), CT) == 0
    assert terms.data_set_bytes_max(private.C_CANCEL_RQ(), "1.2.3") == 0


def test_memory_that_was_taken_is_missing_until_it_is_given_back() -> None:
    memory = MemoryBudget(100)
    assert memory.take(60)
    assert not memory.take(41)
    assert memory.take(40)
    memory.give_back(60)
    assert memory.take(60)
    assert not memory.take(1)


def test_an_archive_sends_answers_and_objects_and_nothing_else() -> None:
    terms = ArchiveTerms()
    assert terms.data_set_bytes_max(private.C_STORE_RQ(), CT) is None
    for answer in (private.C_FIND_RSP(), private.C_GET_RSP(), private.C_MOVE_RSP()):
        assert terms.data_set_bytes_max(answer, "1.2.3") == ArchiveTerms.RESPONSE_BYTES_MAX
        with pytest.raises(ProtocolBroken):
            terms.data_set_bytes_max(answer, None)
    for other in (
        private.C_FIND_RQ(),
        private.C_ECHO_RQ(),
        private.N_EVENT_REPORT_RQ(),
        private.C_CANCEL_RQ(),
    ):
        with pytest.raises(ProtocolBroken, match="answers nothing"):
            terms.data_set_bytes_max(other, "1.2.3")
