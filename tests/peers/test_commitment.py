"""Storage commitment: a modality learns that it may delete what it sent, and not before."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import build_role

from gateway.commands.demo.process import free_port
from gateway.commitment.messages import COMMITMENT_INSTANCE
from gateway.dicom.uids import STORAGE_COMMITMENT
from tests.cli.terminal import sealgate
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct, series, uid
from tests.support.orthanc import Orthanc
from tests.support.storing_peer import CT, StoringPeer

QUICK = "[queue]\nbackoff_s = 0.2\nbackoff_max_s = 0.5\n[limits]\nfree_bytes_min = 0\n"
SUCCESSFUL, FAILURES_EXIST = 1, 2


@dataclass
class Requester:
    """The modality's side: asks with N-ACTION, takes reports on a port of its own."""

    port: int = 0
    ae_title: str = "MODALITY"
    status: int = 0x0000  # its answer to reports
    confirms_role: bool = True
    reports: list[tuple[int, Dataset]] = field(default_factory=list)
    _server: Any = None

    def __enter__(self) -> Requester:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def listen(self) -> None:
        entity = AE(ae_title=self.ae_title)
        role = True if self.confirms_role else None
        entity.add_supported_context(STORAGE_COMMITMENT, scu_role=role, scp_role=role)
        entity.add_supported_context("1.2.840.10008.1.1")
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._reported)]
        )
        self.port = int(self._server.server_address[1])

    def hang_up(self) -> None:
        self._server.shutdown()

    def _reported(self, event: evt.Event) -> tuple[int, None]:
        if self.status == 0:
            self.reports.append((cast(int, event.event_type), event.event_information))
        return self.status, None

    def ask(
        self, port: int, instances: list[str], *, transaction: str = "", action: int = 1, drop: str = ""
    ) -> int | None:
        """The status of N-ACTION; None when the context was refused. drop: an element to leave out."""
        entity = AE(ae_title=self.ae_title)
        entity.add_requested_context(STORAGE_COMMITMENT)
        association = entity.associate("127.0.0.1", port, ae_title="SEALGATE")
        assert association.is_established or association.is_aborted
        if not association.accepted_contexts:
            return None
        information = Dataset()
        information.TransactionUID = transaction or generate_uid()
        information.ReferencedSOPSequence = [_reference(instance) for instance in instances]
        if drop:
            delattr(information, drop)
        try:
            status, _ = association.send_n_action(
                information, action, STORAGE_COMMITMENT, COMMITMENT_INSTANCE
            )
        finally:
            association.release()
        return int(status.Status)


def _reference(instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, instance
    return item


@pytest.fixture
def modality() -> Iterator[Requester]:
    # Not a port that the system gives to outgoing connections: it is closed and opened again.
    with Requester(port=free_port()) as requester:
        yield requester


def gateway_for(
    folder: Path,
    modality: Requester,
    destinations: dict[str, int],
    *,
    action: str = "pass",
    extra: str = "",
    to: tuple[str, ...] = (),
) -> RunningGateway:
    """Sends all it gets to every destination, and `to`. Not started."""
    nodes = [DemoDestination(name=name, ae_title="PEER", port=port) for name, port in destinations.items()]
    node = (
        f'[[node]]\nname = "ct1"\nae_title = "{modality.ae_title}"\nhosts = "127.0.0.1"\nreport_to = "ct1"\n'
    )
    return RunningGateway(
        folder,
        nodes=[*nodes, DemoDestination(name="ct1", ae_title=modality.ae_title, port=modality.port)],
        routes=[DemoRoute(called="SEALGATE", action=action, to=(*destinations, *to))],
        extra=QUICK + extra + node,
        dicom_port=free_port(),
        http_port=free_port(),
    )


def sent(port: int, count: int = 3) -> list[str]:
    parcels = [parcel(data, fallback_uid="2.25.1") for data in series(count, size=64)]
    assert set(send(parcels, port)) == {0}
    return [one.sop_instance for one in parcels]


def test_commitment_is_reported_when_every_destination_has_every_instance(
    tmp_path: Path, modality: Requester
) -> None:
    moods = {"answer": 0xA700}
    with (
        StoringPeer() as good,
        StoringPeer(answer=lambda _: moods["answer"]) as busy,
        gateway_for(tmp_path, modality, {"a": good.port, "b": busy.port}, action="seal") as gateway,
    ):
        instances = sent(gateway.dicom_port)
        assert modality.ask(gateway.dicom_port, instances, transaction="2.25.77") == 0
        wait_for(lambda: len(good.received) == 3, what="the first destination")
        time.sleep(2)
        assert not modality.reports, "the second destination has nothing yet"
        moods["answer"] = 0x0000
        wait_for(lambda: bool(modality.reports), what="the report")
    ((kind, information),) = modality.reports
    assert kind == SUCCESSFUL
    assert information.TransactionUID == "2.25.77"
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == instances
    assert {item.ReferencedSOPClassUID for item in information.ReferencedSOPSequence} == {CT}
    assert "FailedSOPSequence" not in information


def test_what_never_came_and_what_was_dropped_is_named_as_failed(tmp_path: Path, modality: Requester) -> None:
    with (
        StoringPeer(answer=lambda number: 0xC000 if number == 0 else 0x0000) as pacs,
        gateway_for(tmp_path, modality, {"pacs": pacs.port}) as gateway,
    ):
        instances = sent(gateway.dicom_port)
        wait_for(lambda: len(pacs.received) == 2, what="two of three delivered")
        wait_for(lambda: gateway.metric("sealgate_queue_jobs", state="parked") == 1, what="one parked")
        assert modality.ask(gateway.dicom_port, [*instances, uid("never sent")]) == 0
        time.sleep(1.5)
        assert not modality.reports, "a person may still retry what is parked"
        dropped = sealgate(
            ["queue", "drop", "--state", "parked", "--config", str(gateway.config)], gateway.folder
        )
        assert dropped.returncode == 0, dropped.stderr
        wait_for(lambda: bool(modality.reports), what="the report")
    ((kind, information),) = modality.reports
    assert kind == FAILURES_EXIST
    assert len(information.ReferencedSOPSequence) == 2
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in information.FailedSOPSequence}
    assert failed.pop(uid("never sent")) == 0x0112
    assert set(failed) < set(instances)
    assert len(failed) == 1


def test_what_is_not_delivered_in_time_is_reported_as_failed(tmp_path: Path, modality: Requester) -> None:
    impatient = "[commitment]\nwait_hours = 0.0005\n"
    with gateway_for(tmp_path, modality, {"pacs": free_port()}, extra=impatient) as gateway:
        instances = sent(gateway.dicom_port, 1)
        assert modality.ask(gateway.dicom_port, instances) == 0
        wait_for(lambda: bool(modality.reports), what="the report")
    ((kind, information),) = modality.reports
    assert kind == FAILURES_EXIST
    assert [item.FailureReason for item in information.FailedSOPSequence] == [0x0110]
    assert "ReferencedSOPSequence" not in information


def test_a_request_survives_the_death_of_the_gateway_and_a_requester_that_is_away(
    tmp_path: Path, modality: Requester
) -> None:
    with StoringPeer() as pacs:
        gateway = gateway_for(tmp_path, modality, {"pacs": pacs.port})
        with gateway:
            instances = sent(gateway.dicom_port)
            modality.hang_up()
            assert modality.ask(gateway.dicom_port, instances) == 0
            gateway.until_logged("commitment not reported")
            gateway.kill()
        modality.listen()
        with gateway:
            wait_for(lambda: bool(modality.reports), what="the report after the restart")
            time.sleep(1.5)
    assert [kind for kind, _ in modality.reports] == [SUCCESSFUL], "reported once"


def test_a_report_that_the_requester_does_not_take_is_sent_again(tmp_path: Path, modality: Requester) -> None:
    modality.status, modality.confirms_role = 0x0110, False
    with StoringPeer() as pacs, gateway_for(tmp_path, modality, {"pacs": pacs.port}) as gateway:
        instances = sent(gateway.dicom_port)
        assert modality.ask(gateway.dicom_port, instances) == 0
        gateway.until_logged("commitment not reported")
        modality.status = 0x0000
        wait_for(lambda: bool(modality.reports), what="the next one")
        gateway.until_metric("sealgate_commitments_total", 1, outcome="committed")
        gateway.until_metric("sealgate_commitments_open", 0)


# pydicom says so of "not a UID".
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning:pydicom")
def test_repeated_and_wrong_requests_promise_nothing_new(tmp_path: Path, modality: Requester) -> None:
    stranger = Requester(ae_title="STRANGER")
    with StoringPeer() as pacs, gateway_for(tmp_path, modality, {"pacs": pacs.port}) as gateway:
        port, instances = gateway.dicom_port, sent(gateway.dicom_port)
        assert [modality.ask(port, instances, transaction="2.25.5") for _ in range(3)] == [0, 0, 0]
        assert modality.ask(port, instances, action=2) == 0x0123
        assert modality.ask(port, []) == 0x0115
        assert modality.ask(port, instances, drop="TransactionUID") == 0x0115
        assert modality.ask(port, instances, drop="ReferencedSOPSequence") == 0x0115
        assert modality.ask(port, ["not a UID"]) == 0x0115
        assert stranger.ask(port, instances) == 0x0110, "there is nobody to report to"
        wait_for(lambda: bool(modality.reports), what="the one report")
        time.sleep(1.5)
        assert len(modality.reports) == 1
        gateway.until_metric("sealgate_commitment_requests_total", 1)


def test_orthanc_as_the_modality_asks_and_understands_the_report(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "DicomModalities": {"gateway": {"AET": "SEALGATE", "Host": "127.0.0.1", "Port": port}},
        "StorageCommitmentReportsSize": 10,
    }
    with (
        Orthanc(tmp_path / "orthanc", ae_title="MODALITY", settings=settings) as orthanc,
        StoringPeer() as pacs,
    ):
        requester = Requester(port=orthanc.dicom_port)
        gateway = gateway_for(tmp_path / "gateway", requester, {"pacs": pacs.port})
        gateway.dicom_port = port
        with gateway:
            orthanc.upload(ct())
            (instance,) = orthanc.instances()
            orthanc.request("POST", "/modalities/gateway/store", instance.encode())
            asked = orthanc.request(
                "POST", "/modalities/gateway/storage-commitment", f'{{"Resources": ["{instance}"]}}'.encode()
            )
            assert b"Path" in asked
            report = f"/storage-commitment/{json.loads(asked)['ID']}"
            wait_for(lambda: orthanc.get(report)["Status"] == "Success", what="Orthanc's report")


# -- the gateway as the user of an archive's storage commitment


@dataclass
class Archive:
    """A storage SCP that is asked for commitment, and answers on the same association or on another, or not at all."""

    gateway_port: int
    same: bool = True
    silent: int = 0  # questions that it leaves unanswered
    status: int = 0x0000  # its answer to N-ACTION
    failing: frozenset[str] = frozenset()
    ae_title: str = "ARCHIVE"
    calling: str = "ARCHIVE"  # when it reports
    asked: list[str] = field(default_factory=list)  # transaction UIDs
    answers: list[int] = field(default_factory=list)  # the gateway's, to reports
    port: int = 0
    _server: Any = None

    def __enter__(self) -> Archive:
        entity = AE(ae_title=self.ae_title)
        entity.add_supported_context(CT)
        entity.add_supported_context(STORAGE_COMMITMENT)
        handlers: list[EventHandlerType] = [
            (evt.EVT_C_STORE, lambda _event: 0x0000),
            (evt.EVT_N_ACTION, self._action),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _action(self, event: evt.Event) -> tuple[int, None]:
        information = event.action_information
        self.asked.append(str(information.TransactionUID))
        if self.status == 0 and len(self.asked) > self.silent:
            threading.Thread(target=self._report, args=(event.assoc, information), daemon=True).start()
        return self.status, None

    def _report(self, association: Any, asked: Dataset) -> None:
        time.sleep(0.3)
        information = Dataset()
        information.TransactionUID = asked.TransactionUID
        references = list(asked.ReferencedSOPSequence)
        good = [item for item in references if item.ReferencedSOPInstanceUID not in self.failing]
        bad = [item for item in references if item.ReferencedSOPInstanceUID in self.failing]
        for item in bad:
            item.FailureReason = 0x0112
        if good:
            information.ReferencedSOPSequence = good
        if bad:
            information.FailedSOPSequence = bad
        if not self.same:
            entity = AE(ae_title=self.calling)
            entity.add_requested_context(STORAGE_COMMITMENT)
            role = build_role(STORAGE_COMMITMENT, scp_role=True)
            association = entity.associate(
                "127.0.0.1", self.gateway_port, ae_title="SEALGATE", ext_neg=[role]
            )
        kind = FAILURES_EXIST if bad else SUCCESSFUL
        status, _ = association.send_n_event_report(
            information, kind, STORAGE_COMMITMENT, COMMITMENT_INSTANCE
        )
        self.answers.append(int(status.get("Status", -1)))
        if not self.same:
            association.release()


def archiving(folder: Path, modality: Requester, archive: Any, *, extra: str = "") -> RunningGateway:
    """Sends all it gets to `archive`, which must commit. Not started."""
    tables = (
        f'[[destination]]\nname = "archive"\nae_title = "{archive.ae_title}"\nhost = "127.0.0.1"\n'
        f"port = {archive.port}\ncommitment = true\n"
        f'[[node]]\nname = "archive"\nae_title = "{archive.ae_title}"\nhosts = "127.0.0.1"\nservices = "report"\n'
    )
    gateway = gateway_for(folder, modality, {}, extra=extra + tables, to=("archive",))
    gateway.dicom_port = archive.gateway_port
    return gateway


@pytest.mark.parametrize("same", [True, False], ids=["same association", "another association"])
def test_an_archive_that_must_commit_is_asked_and_its_failures_are_named(
    tmp_path: Path, modality: Requester, same: bool
) -> None:
    with Archive(free_port(), same=same) as archive, archiving(tmp_path, modality, archive) as gateway:
        instances = sent(gateway.dicom_port)
        archive.failing = frozenset(instances[:1])
        assert modality.ask(gateway.dicom_port, instances) == 0
        wait_for(lambda: bool(modality.reports), what="the report")
        wait_for(lambda: bool(archive.answers), what="the archive's report is answered")
        gateway.until_metric("sealgate_archive_commitments_total", 1, destination="archive", outcome="failed")
    ((kind, information),) = modality.reports
    assert kind == FAILURES_EXIST
    (failed,) = information.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (instances[0], 0x0112)
    assert {item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence} == set(instances[1:])
    assert archive.answers == [0]
    assert len(archive.asked) == 1


def test_an_archive_that_does_not_answer_is_asked_anew_also_after_a_restart(
    tmp_path: Path, modality: Requester
) -> None:
    impatient = "[commitment]\nanswer_minutes = 0.05\n"
    with Archive(free_port(), same=False, silent=2) as archive:
        gateway = archiving(tmp_path, modality, archive, extra=impatient)
        with gateway:
            instances = sent(gateway.dicom_port)
            assert modality.ask(gateway.dicom_port, instances) == 0
            wait_for(lambda: len(archive.asked) == 1, what="the first question")
            gateway.kill()
        with gateway:
            wait_for(lambda: bool(modality.reports), what="the report")
    assert [kind for kind, _ in modality.reports] == [SUCCESSFUL]
    assert len(set(archive.asked)) == len(archive.asked) >= 3


def test_without_the_archives_word_nothing_is_committed(tmp_path: Path, modality: Requester) -> None:
    """The report comes from a peer with another name than the archive, and is refused."""
    terms = "[commitment]\nwait_hours = 0.004\nanswer_minutes = 1.0\n"
    with (
        Archive(free_port(), same=False, calling="MODALITY") as archive,
        archiving(tmp_path, modality, archive, extra=terms) as gateway,
    ):
        instances = sent(gateway.dicom_port)
        assert modality.ask(gateway.dicom_port, instances) == 0
        wait_for(lambda: bool(archive.answers), what="the false report")
        wait_for(lambda: bool(modality.reports), what="the report of failure")
        assert set(archive.answers) == {0x0110}
    ((kind, information),) = modality.reports
    assert kind == FAILURES_EXIST
    assert len(information.FailedSOPSequence) == 3


def test_the_log_says_that_an_archive_refuses_the_question(tmp_path: Path, modality: Requester) -> None:
    with (
        Archive(free_port(), status=0x0110) as archive,
        archiving(tmp_path, modality, archive) as gateway,
    ):
        assert modality.ask(gateway.dicom_port, sent(gateway.dicom_port)) == 0
        gateway.until_logged("commitment not asked")
        assert not modality.reports
        archive.status = 0x0000
        wait_for(lambda: bool(modality.reports), what="the report, once it answers")


def test_check_warns_where_an_archive_could_not_report_to_us(tmp_path: Path, modality: Requester) -> None:
    gateway = archiving(tmp_path, modality, Archive(free_port(), port=free_port()))
    gateway.prepare()
    command = ["check", "--config", str(gateway.config)]
    tables = gateway.config.read_text().replace('accept = "any"', 'accept = "nodes"')
    gateway.config.write_text(tables)
    assert "storage commitment" not in sealgate(command, tmp_path).stderr
    gateway.config.write_text(tables.replace('services = "report"', 'services = "echo"'))
    done = sealgate(command, tmp_path)
    assert 'archive: no [[node]] ARCHIVE has services = "report"' in done.stderr
    assert done.returncode == 0


def test_orthanc_as_the_archive_commits_and_names_what_it_lost(tmp_path: Path, modality: Requester) -> None:
    port = free_port()
    settings = {"DicomModalities": {"gateway": {"AET": "SEALGATE", "Host": "127.0.0.1", "Port": port}}}
    with Orthanc(tmp_path / "orthanc", ae_title="ARCHIVE", settings=settings) as orthanc:
        archive = Archive(
            port, port=orthanc.dicom_port
        )  # only its address and title: Orthanc itself is there
        with archiving(tmp_path / "gateway", modality, archive) as gateway:
            instances = sent(gateway.dicom_port)
            assert modality.ask(gateway.dicom_port, instances) == 0
            wait_for(lambda: len(modality.reports) == 1, what="Orthanc's commitment")
            orthanc.request("DELETE", f"/instances/{orthanc.instances()[0]}")
            assert modality.ask(gateway.dicom_port, instances) == 0
            wait_for(lambda: len(modality.reports) == 2, what="the second report")
    assert [kind for kind, _ in modality.reports] == [SUCCESSFUL, FAILURES_EXIST]
    assert len(modality.reports[1][1].FailedSOPSequence) == 1
