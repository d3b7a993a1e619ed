"""Nothing acknowledged is lost, nothing is doubled: the gateway killed, stopped and restarted in the middle of work."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from gateway import keys
from gateway.commands.demo.dcmtk import storescu
from gateway.seal.codec import Codec
from gateway.seal.verifying import Verdict, verify
from tests.support.gateway import sealing_to, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series
from tests.support.orthanc import Orthanc

OBJECTS = 300


def test_after_kill_9_in_the_middle_of_300_objects_all_300_arrive_intact(
    tmp_path: Path, orthanc: Orthanc, codec: Codec
) -> None:
    files = series(OBJECTS, size=256)  # large enough that sealing lags behind receiving
    gateway = sealing_to(tmp_path / "gateway", orthanc)
    gateway.start()
    acknowledged: list[int] = []

    def send_until_killed() -> None:
        for start in range(0, OBJECTS, 10):
            try:
                parcels = [parcel(file, fallback_uid="1.2.3") for file in files[start : start + 10]]
                statuses = send(parcels, gateway.dicom_port)
            except Exception:  # noqa: BLE001 - the connection breaks in one of many ways when the gateway is killed
                return
            acknowledged.extend(start + position for position, status in enumerate(statuses) if status == 0)

    sender = threading.Thread(target=send_until_killed)
    sender.start()
    wait_for(lambda: orthanc.count() >= 20, what="the first objects delivered", timeout_s=240)
    # The archive stands still, so that much is in flight when the gateway dies, however slow the modality is.
    assert orthanc.process is not None
    orthanc.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: len(acknowledged) >= 150, what="half-way", timeout_s=240)
        gateway.kill()
    finally:
        orthanc.process.send_signal(signal.SIGCONT)
    sender.join(240)
    assert not sender.is_alive()
    delivered = orthanc.count()
    assert delivered < OBJECTS, "killed too late to prove anything"
    assert len(acknowledged) > delivered, "nothing was in flight"

    with gateway:
        # What was acknowledged is not sent again; the modality only repeats what it got no answer for.
        again = tmp_path / "again"
        again.mkdir()
        for number in set(range(OBJECTS)) - set(acknowledged):
            (again / f"{number}.dcm").write_bytes(files[number])
        if list(again.iterdir()):
            storescu(gateway.dicom_port, [again])
        wait_for(lambda: orthanc.count() == OBJECTS, what="all objects delivered", timeout_s=480)
        wait_for(lambda: gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
        assert gateway.stop() == 0

    stored = orthanc.files()
    trusted = keys.load_trusted_signers(gateway.keys / "signer.pub")
    reports = [verify(data, trusted=trusted, recipient_key=None, codec=codec) for data in stored]
    assert len({report.sop_instance_uid for report in reports}) == OBJECTS
    assert {report.verdict for report in reports} == {Verdict.INTACT}
    assert list((gateway.folder / "data" / "spool").glob("*/*")) == []


def test_sigterm_finishes_what_is_in_hand_and_a_second_start_does_the_rest(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    files = series(40, size=96)
    gateway = sealing_to(tmp_path / "gateway", orthanc)
    with gateway:
        assert set(send((parcel(file, fallback_uid="1.2.3") for file in files), gateway.dicom_port)) == {0}
        assert gateway.stop() == 0
    with gateway:
        wait_for(lambda: orthanc.count() == len(files), what="all objects delivered")
    assert "leases expired" not in gateway.log


def test_a_worker_that_hangs_does_not_keep_the_gateway_from_stopping(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    """It would hang for ever; `stop` kills what has not ended after minutes, and then does not return 0."""
    (file,) = series(1, size=96)
    gateway = sealing_to(tmp_path / "gateway", orthanc, extra="[limits]\ndrain_s = 1")
    with gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGSTOP)
        assert send([parcel(file, fallback_uid="1.2.3")], gateway.dicom_port) == [0]
        assert gateway.stop() == 0
    with gateway:
        wait_for(lambda: orthanc.count() == 1, what="the object that was in hand")


def test_bytes_that_arrive_again_are_acknowledged_and_not_sent_twice(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(3, size=96)]
    with sealing_to(tmp_path / "gateway", orthanc) as gateway:
        assert send(parcels, gateway.dicom_port) == [0, 0, 0]
        wait_for(lambda: orthanc.count() == 3, what="3 objects delivered")
        before = sorted(orthanc.files())
        assert send(parcels, gateway.dicom_port) == [0, 0, 0]
        gateway.until_metric("sealgate_repeated_total", 3)
        assert gateway.metric("sealgate_received_total") == 3
        wait_for(lambda: gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
        assert sorted(orthanc.files()) == before
