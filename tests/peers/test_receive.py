"""The receiving side against real senders, well-behaved and not."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE
from pynetdicom.presentation import NonPatientObjectPresentationContexts, build_context
from pynetdicom.sop_class import _STORAGE_CLASSES

from gateway.commands.demo.dcmtk import echoscu
from gateway.commands.demo.process import PEER_ENVIRONMENT, Process, free_port
from gateway.spool import LocalSpool
from gateway.spool.quarantine import Quarantine
from tests.support import pdus
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct, series

LIMITS = """
[limits]
network_timeout_s = 5
acse_timeout_s = 5
free_bytes_min = 0
[queue]
backoff_s = 0.2
backoff_max_s = 1
"""


# Longer than any test here waits, so that nothing in these tests happens because a time-out ended something.
PATIENT = LIMITS.replace("timeout_s = 5", "timeout_s = 600").replace("[limits]", "[limits]\nassociations = 6")
HANG_S = 120.0


def passing_to(folder: Path, port: int, *, extra: str = LIMITS, route: str = "") -> RunningGateway:
    """A gateway (not started) that forwards untouched to a node `pacs` on `port`."""
    return RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="VIEWER", port=port)],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",), extra=route)],
        extra=extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Its destination does not exist, so that what arrives stays."""
    with passing_to(tmp_path_factory.mktemp("gateway"), free_port()) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """It ends nothing because of a time-out, and takes six associations at once."""
    with passing_to(tmp_path_factory.mktemp("patient"), free_port(), extra=PATIENT) as gateway:
        yield gateway


def connected(gateway: RunningGateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.dicom_port), timeout=HANG_S)


def spooled(gateway: RunningGateway) -> list[bytes]:
    spool = LocalSpool(gateway.folder / "data")
    return [spool.read(name) for name in spool.names()]


def association_lines(gateway: RunningGateway) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "association"]


def test_echo_is_answered(lonely: RunningGateway) -> None:
    assert echoscu(lonely.dicom_port, called="SEALGATE")


def test_an_unknown_called_title_is_refused_at_association_time(lonely: RunningGateway) -> None:
    assert pdus.refusal(lonely.dicom_port, calling="MODALITY", called="NOBODY") == (1, 1, 7)
    wait_for(
        lambda: any(line["outcome"] == "rejected" for line in association_lines(lonely)), what="its line"
    )


def test_every_storage_class_and_syntax_is_accepted_as_proposed(lonely: RunningGateway) -> None:
    private = ["1.2.840.113619.4.30", "1.3.12.2.1107.5.9.1"]
    patientless = [str(context.abstract_syntax) for context in NonPatientObjectPresentationContexts]
    classes = [*_STORAGE_CLASSES.values(), *patientless, *private]
    pairs = [(uid, "1.2.840.10008.1.2.1") for uid in classes]
    pairs += [("1.2.840.10008.5.1.4.1.1.2", str(syntax)) for syntax in AllTransferSyntaxes]
    for start in range(0, len(pairs), 128):
        offered = pairs[start : start + 128]
        entity = AE(ae_title="MODALITY")
        association = entity.associate(
            "127.0.0.1",
            lonely.dicom_port,
            [build_context(abstract, syntax) for abstract, syntax in offered],
            ae_title="SEALGATE",
        )
        assert association.is_established
        accepted = {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in association.accepted_contexts
        }
        association.release()
        assert accepted == set(offered)


def test_of_several_syntaxes_the_first_is_taken(lonely: RunningGateway) -> None:
    entity = AE(ae_title="MODALITY")
    proposed = ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
    association = entity.associate(
        "127.0.0.1",
        lonely.dicom_port,
        [build_context("1.2.840.10008.5.1.4.1.1.2", proposed)],
        ae_title="SEALGATE",
    )
    (context,) = association.accepted_contexts
    association.release()
    assert context.transfer_syntax == [proposed[0]]


def test_the_bytes_are_kept_exactly_whatever_they_are(lonely: RunningGateway) -> None:
    odd = [bytes(range(256)) * n + b"\x01" for n in (1, 600, 2000)]
    private = "1.2.840.113619.4.30"
    parcels = [Parcel(private, f"2.25.99{n}", "1.2.840.10008.1.2.1", data) for n, data in enumerate(odd)]
    assert send(parcels, lonely.dicom_port) == [0, 0, 0]
    kept = spooled(lonely)
    assert all(any(file.endswith(data) for file in kept) for data in odd)


def test_storescu_delivers_a_series_and_one_line_tells_about_it(
    lonely: RunningGateway, tmp_path: Path
) -> None:
    for number, file in enumerate(series(5, size=64, seed=3)):
        (tmp_path / f"{number}.dcm").write_bytes(file)
    command = ["/usr/bin/storescu", "-aet", "CT99", "-aec", "SEALGATE", "127.0.0.1", str(lonely.dicom_port)]
    files = [str(path) for path in sorted(tmp_path.glob("*.dcm"))]
    subprocess.run([*command, *files], env=PEER_ENVIRONMENT, check=True, timeout=HANG_S)
    wait_for(lambda: any(line["calling"] == "CT99" for line in association_lines(lonely)), what="its line")
    (line,) = [line for line in association_lines(lonely) if line["calling"] == "CT99"]
    assert (line["objects"], line["failed"], line["outcome"], line["peer"]) == (5, 0, "released", "127.0.0.1")


def test_log_and_queue_hold_no_patient_data(lonely: RunningGateway) -> None:
    file = ct(rows=32, columns=32, seed=4711, PatientName="Geheim^Name", PatientID="GEHEIM-1")
    (item,) = [parcel(file, fallback_uid="1.2.3")]
    assert send([item], lonely.dicom_port) == [0]
    stored = b"".join(path.read_bytes() for path in (lonely.folder / "data").glob("queue.sqlite*"))
    names = " ".join(str(path) for path in (lonely.folder / "data").rglob("*"))
    for secret in ("Geheim", "GEHEIM", item.sop_instance):
        assert secret not in lonely.log
        assert secret.encode() not in stored
        assert secret not in names


def test_a_peer_that_stalls_inside_a_pdu_is_let_go(lonely: RunningGateway) -> None:
    with connected(lonely) as stalling:
        stalling.sendall(b"\x01\x00\x00\x00\x10\x00half")
        while stalling.recv(1000):
            pass


def test_a_peer_that_drips_bytes_is_let_go_too(lonely: RunningGateway) -> None:
    with connected(lonely) as dripping:
        dripping.sendall(b"\x01\x00\x00\x00\x10\x00")
        deadline = time.monotonic() + HANG_S
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                dripping.sendall(b"x")
                time.sleep(0.3)


def test_a_length_that_asks_for_all_memory_is_not_believed(patient: RunningGateway) -> None:
    """The connection is closed at once, not when a time-out ends it."""
    with connected(patient) as greedy:
        greedy.sendall(b"\x01\x00\xff\xff\xff\xff")
        while greedy.recv(1000):
            pass


def test_a_silent_connection_does_not_keep_others_waiting(patient: RunningGateway) -> None:
    with connected(patient) as silent:
        assert echoscu(patient.dicom_port, called="SEALGATE")
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is still there
            silent.recv(1)


def test_above_the_limit_associations_are_refused_for_now(patient: RunningGateway) -> None:
    patient.until_metric("sealgate_associations_active", 0)
    contexts = [build_context("1.2.840.10008.1.1")]
    held = [AE().associate("127.0.0.1", patient.dicom_port, contexts, ae_title="SEALGATE") for _ in range(6)]
    try:
        assert all(association.is_established for association in held)
        assert pdus.refusal(patient.dicom_port, calling="MODALITY") == (2, 3, 2)
    finally:
        for association in held:
            association.release()


def test_readiness_and_metrics_tell_what_waits(lonely: RunningGateway) -> None:
    assert send([parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")], lonely.dicom_port) == [0]
    assert json.loads(lonely.get("/readyz")) == {"ready": True, "problems": [], "notices": []}
    assert lonely.metric("sealgate_queue_jobs", step="deliver", destination="pacs") > 0
    assert lonely.metric("sealgate_destination_up", destination="pacs") == 0
    assert lonely.metric("sealgate_parked_total") == 0


def test_below_the_watermark_the_answer_is_a700_and_readiness_says_so(tmp_path: Path) -> None:
    extra = LIMITS.replace("free_bytes_min = 0", f"free_bytes_min = {1 << 62}")
    gateway = passing_to(tmp_path, free_port(), extra=extra)
    gateway.prepare()
    command = [gateway.python, "-m", "gateway.commands.main", "serve", "--config", str(gateway.config)]
    process = Process(command, log=tmp_path / "gateway.log")  # by hand, for it never becomes ready
    with process:
        process.start()
        gateway.until_logged('"event": "started"')
        wait_for(gateway.alive, what="an answer over HTTP")
        assert not gateway.ready()
        assert send([parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")], gateway.dicom_port) == [0xA700]
        assert list(LocalSpool(tmp_path / "data").names()) == []


def test_unreadable_objects_are_refused_where_the_rule_says_so(tmp_path: Path) -> None:
    gateway = passing_to(tmp_path, free_port())
    gateway.environment["SEALGATE_LISTENER__UNREADABLE"] = "refuse"
    with gateway:
        garbage = Parcel("1.2.840.10008.5.1.4.1.1.7", "2.25.1", "1.2.840.10008.1.2.1", b"garbage" * 99)
        good = parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")
        assert send([garbage, good], gateway.dicom_port) == [0xC000, 0x0000]
        quarantine = Quarantine(tmp_path / "data")
        (kept,) = quarantine.entries()
        assert quarantine.read(kept).endswith(garbage.dataset)
        assert (kept.note.reason, kept.note.job) == ("unreadable", None)
        assert (kept.note.calling, kept.note.called) == ("MODALITY", "SEALGATE")


def test_an_object_that_no_route_takes_is_not_acknowledged(tmp_path: Path) -> None:
    with passing_to(tmp_path, free_port(), route='modality = "MR"') as gateway:
        assert send([parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")], gateway.dicom_port) == [0x0124]


def test_what_passes_through_arrives_byte_for_byte(tmp_path: Path, storescp: Storescp) -> None:
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(4, size=64)]
    with passing_to(tmp_path / "gateway", storescp.port) as gateway:
        assert send(parcels, gateway.dicom_port) == [0] * 4
        wait_for(lambda: len(storescp.files()) == 4, what="4 objects delivered")
        wait_for(lambda: gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
        wait_for(lambda: list(LocalSpool(tmp_path / "gateway" / "data").names()) == [], what="an empty spool")
    arrived = [path.read_bytes() for path in storescp.files()]
    assert all(any(file.endswith(item.dataset) for file in arrived) for item in parcels)
