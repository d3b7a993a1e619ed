"""Sending: bytes stay untouched, refusals are understood, failures retried; a peer that is down loses no object."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom.sop_class import _STORAGE_CLASSES

from gateway.commands.demo.process import free_port
from gateway.config import Destination, Limits
from gateway.dicom.file_meta import unwrap, wrap
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.pixels import transcode
from gateway.dimse.requestor import Requestor
from gateway.dimse.store_scu import CONVERTED_BYTES_MAX, Sent, StoreScu
from gateway.errors import (
    PeerFailed,
    PeerUnreachable,
    RefusedByPeer,
    UnsupportedPixels,
)
from gateway.queue import Job, State
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.spool.stored import StoredFile
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct, report, series
from tests.support.storing_peer import CT, PLAIN, SlowLine, StoringPeer

JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def requestor(port: int, **limits: Any) -> Requestor:
    destination = Destination(name="peer", ae_title="PEER", host="127.0.0.1", port=port)
    return Requestor(destination, Limits(**limits), calling="SEALGATE")


class Sender:
    """A StoreScu whose objects are converted in memory."""

    def __init__(self, to_peer: Requestor) -> None:
        self._store_scu = StoreScu(to_peer)
        self.offer = self._store_scu.offer

    def send(self, file: ByteSource, **options: Any) -> Sent:
        return self._store_scu.send(
            file, converted=lambda syntax: nullcontext(transcode(file[:], syntax)), **options
        )


@contextmanager
def sender(port: int, **limits: Any) -> Iterator[Sender]:
    to_peer = requestor(port, **limits)
    try:
        yield Sender(to_peer)
    finally:
        to_peer.close()


def body(file: bytes) -> bytes:
    return file[unwrap(file).offset :]


def test_many_objects_go_on_one_association_byte_for_byte() -> None:
    files = series(5, size=64)
    with StoringPeer() as peer, sender(peer.port) as to_peer:
        assert [to_peer.send(file).status for file in files] == [0] * 5
        assert peer.associations == 1
        assert [data for _, data in peer.received] == [body(file) for file in files]


def test_damaged_bytes_are_not_mended_on_the_way() -> None:
    file = wrap(sop_class=CT, sop_instance="1.2.3", syntax=PLAIN[0]) + b"not a data set at all" * 1000
    with StoringPeer() as peer, sender(peer.port) as to_peer:
        to_peer.send(file)
        assert peer.received == [(PLAIN[0], body(file))]


def test_each_syntax_has_a_context_of_its_own() -> None:
    plain = ct(rows=32, columns=32)
    packed = transcode(plain, JPEG_LS)
    with StoringPeer(syntaxes=[*PLAIN, JPEG_LS]) as peer, sender(peer.port) as to_peer:
        assert not to_peer.send(plain).transcoded
        assert not to_peer.send(packed).transcoded
        assert peer.received == [(PLAIN[0], body(plain)), (JPEG_LS, body(packed))]


def test_a_refused_syntax_is_converted_without_loss() -> None:
    plain = ct(rows=32, columns=32)
    with StoringPeer() as peer, sender(peer.port) as to_peer:
        sent = to_peer.send(transcode(plain, JPEG_LS))
        assert (sent.transcoded, sent.syntax) == (True, PLAIN[0])
        arrived = dcmread(
            io.BytesIO(wrap(sop_class=CT, sop_instance="1", syntax=PLAIN[0]) + peer.received[0][1])
        )
        assert arrived.PixelData == dcmread(io.BytesIO(plain)).PixelData


def test_what_is_too_large_to_be_converted_in_memory_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    path.write_bytes(transcode(ct(rows=32, columns=32), JPEG_LS))
    os.truncate(path, CONVERTED_BYTES_MAX + 1)
    with StoringPeer() as peer, sender(peer.port) as to_peer, closing(StoredFile(path)) as file:
        with pytest.raises(RefusedByPeer, match="too large to convert") as caught:
            to_peer.send(file)
        assert "Enable the transfer syntax" in caught.value.hint
        assert peer.received == []


def test_lossy_pixels_are_not_decompressed_to_please_a_peer() -> None:
    head = unwrap(ct(rows=32, columns=32))
    lossy = wrap(sop_class=CT, sop_instance=head.sop_instance, syntax=JPEG_BASELINE) + body(
        ct(rows=32, columns=32)
    )
    with StoringPeer() as peer, sender(peer.port) as to_peer, pytest.raises(UnsupportedPixels):
        to_peer.send(lossy)
    assert peer.received == []


def test_a_refused_sop_class_is_reported_with_a_hint() -> None:
    with StoringPeer() as peer, sender(peer.port) as to_peer:
        to_peer.send(ct(rows=16, columns=16))
        with pytest.raises(RefusedByPeer, match="Encapsulated PDF") as caught:
            to_peer.send(report())
        assert "Enable the SOP class" in caught.value.hint
        to_peer.send(ct(rows=16, columns=16))


def test_a_peer_that_accepts_nothing_of_an_object_refuses_that_object_and_is_not_unreachable() -> None:
    with StoringPeer() as peer, sender(peer.port) as to_peer:
        with pytest.raises(RefusedByPeer, match="Encapsulated PDF"):
            to_peer.send(report())
        assert to_peer.send(ct(rows=16, columns=16)).status == 0


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_counts_as_delivered(status: int) -> None:
    with StoringPeer(answer=lambda _n: status) as peer, sender(peer.port) as to_peer:
        assert to_peer.send(ct(rows=16, columns=16)).status == status


@pytest.mark.parametrize(
    ("status", "error"),
    [(0xA700, PeerFailed), (0x0110, PeerFailed), (0xA900, RefusedByPeer), (0xC001, RefusedByPeer)],
)
def test_a_failure_status_becomes_an_error_and_the_association_stays(
    status: int, error: type[Exception]
) -> None:
    with StoringPeer(answer=lambda n: status if n == 0 else 0) as peer, sender(peer.port) as to_peer:
        with pytest.raises(error, match=f"{status:04X}"):
            to_peer.send(ct(rows=16, columns=16))
        assert to_peer.send(ct(rows=16, columns=16)).status == 0
        assert peer.associations == 1


def test_after_an_abort_a_new_association_is_opened() -> None:
    with StoringPeer(answer=lambda n: None if n == 0 else 0) as peer, sender(peer.port) as to_peer:
        with pytest.raises(PeerFailed):
            to_peer.send(ct(rows=16, columns=16))
        assert to_peer.send(ct(rows=16, columns=16)).status == 0
        assert peer.associations == 2


def test_a_peer_that_is_not_there_is_unreachable() -> None:
    with sender(free_port()) as to_nobody, pytest.raises(PeerUnreachable, match="can't be reached"):
        to_nobody.send(ct(rows=16, columns=16))


def test_a_peer_that_answers_too_late_is_given_up() -> None:
    given_up = threading.Event()

    def late(_number: int) -> int:
        given_up.wait(120)
        return 0

    with StoringPeer(answer=late) as peer, sender(peer.port, dimse_timeout_s=0.5) as to_peer:
        try:
            with pytest.raises(PeerFailed, match="in time"):
                to_peer.send(ct(rows=16, columns=16))
        finally:
            given_up.set()


def test_a_slow_line_is_not_taken_for_a_dead_peer() -> None:
    """32 MB at 4 MB/s take 8 s, with less than 5 s for the answer: its time-out must not run while bytes still flow.

    The system buffers up to 4 MB of what was sent; they take one second of the time for the answer.
    """
    file = wrap(sop_class=CT, sop_instance="1.2.3", syntax=PLAIN[0]) + bytes(range(256)) * (128 << 10)
    with StoringPeer() as peer, SlowLine(peer.port, bytes_s=4 << 20) as line:
        with sender(line.port, dimse_timeout_s=1.5) as to_peer:
            assert to_peer.send(file).status == 0
        assert peer.received == [(PLAIN[0], body(file))]


def test_a_peer_that_takes_a_little_now_and_then_is_given_up() -> None:
    """16 MB at 500 kB/s, of which the system buffers a part; the least is 16 MB/s, after four seconds of grace."""
    file = wrap(sop_class=CT, sop_instance="1.2.3", syntax=PLAIN[0]) + bytes(16 << 20)
    with StoringPeer() as peer, SlowLine(peer.port, bytes_s=500_000) as line:
        slow = sender(line.port, network_timeout_s=4, send_bytes_s_min=16 << 20)
        with slow as to_peer, pytest.raises(PeerFailed, match="too slowly"):
            to_peer.send(file)
        assert peer.received == [], "it was given up before its end"


def test_echo_measures_the_time_and_reports_a_peer_that_is_not_there() -> None:
    with StoringPeer() as peer:
        started = time.monotonic()
        took_ms = requestor(peer.port).echo()
        assert 0 < took_ms < (time.monotonic() - started) * 1000
    with pytest.raises(PeerUnreachable):
        requestor(free_port()).echo()


def test_more_kinds_than_contexts_are_sent_in_turns() -> None:
    classes = sorted(_STORAGE_CLASSES.values())[:100]
    with StoringPeer(sop_classes=classes) as peer, sender(peer.port) as to_peer:
        to_peer.offer((sop_class, PLAIN[0]) for sop_class in classes)
        for sop_class in classes[::10]:
            to_peer.send(wrap(sop_class=sop_class, sop_instance="1.2", syntax=PLAIN[0]) + b"\x08\x00" * 50)
        assert len(peer.received) == 10


# -- through a running gateway


def passing_to(folder: Path, port: int, *, attempts: int = 3) -> RunningGateway:
    extra = f"[queue]\nbackoff_s = 0.1\nbackoff_max_s = 0.5\nattempts = {attempts}"
    return RunningGateway(
        folder,
        nodes=[DemoDestination(name="peer", ae_title="PEER", port=port)],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("peer",))],
        extra=extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )


def parked(gateway: RunningGateway) -> list[Job]:
    desk = SqliteQueueAdmin(gateway.folder / "data" / "queue.sqlite")
    jobs = desk.list(state=State.PARKED)
    desk.close()
    return jobs


def test_objects_wait_for_a_destination_that_is_down(tmp_path: Path) -> None:
    port = free_port()
    with passing_to(tmp_path, port, attempts=1) as gateway:
        files = series(3, size=32)
        send((parcel(file, fallback_uid="1.2.3") for file in files), gateway.dicom_port)
        wait_for(
            lambda: gateway.metric("sealgate_failures_total", code="peer-unreachable") >= 3, what="attempts"
        )
        assert parked(gateway) == []
        with StoringPeer(port=port) as peer:
            wait_for(lambda: len(peer.received) == 3, what="delivery after its return")
            wait_for(lambda: gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")


def test_a_file_that_changed_on_disk_is_not_sent_and_the_modality_mends_it(tmp_path: Path) -> None:
    port = free_port()
    with passing_to(tmp_path, port) as gateway:
        files = series(3, size=32)
        send((parcel(file, fallback_uid="1.2.3") for file in files), gateway.dicom_port)
        (damaged,) = [path for path in (tmp_path / "data" / "spool").rglob("*.dcm") if holds(path, files[1])]
        content = bytearray(damaged.read_bytes())
        content[-7] ^= 0x10
        damaged.write_bytes(content)
        with StoringPeer(port=port) as peer:
            wait_for(lambda: parked(gateway) != [], what="the damaged one parked")
            wait_for(lambda: len(peer.received) == 2, what="the others")
            (job,) = parked(gateway)
            assert (job.attempts, job.reason) == (1, "spool-corrupt")
            assert "send the object again" in (job.hint or "")
            gateway.until_metric("sealgate_spool_corrupt_total", 1, step="deliver")
            gateway.until_logged('"spool-corrupt"')
            assert send([parcel(files[1], fallback_uid="1.2.3")], gateway.dicom_port) == [0]
            wait_for(lambda: len(peer.received) == 3, what="delivery after it was sent again")
            assert [data for _, data in peer.received] == [body(files[n]) for n in (0, 2, 1)]
            wait_for(lambda: parked(gateway) == [], what="nothing parked")


def holds(path: Path, file: bytes) -> bool:
    return body(path.read_bytes()) == body(file)


def test_temporary_failures_are_retried_and_then_parked_for_a_person(tmp_path: Path) -> None:
    with (
        StoringPeer(answer=lambda n: 0xA700 if n < 3 else 0) as peer,
        passing_to(tmp_path, peer.port) as gateway,
    ):
        send([parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")], gateway.dicom_port)
        wait_for(lambda: parked(gateway) != [], what="parked after three attempts")
        (job,) = parked(gateway)
        assert (job.attempts, job.reason) == (3, "peer-failed")
        assert "A700" in (job.hint or "")
        desk = SqliteQueueAdmin(tmp_path / "data" / "queue.sqlite")
        desk.retry([job.id])
        desk.close()
        wait_for(lambda: len(peer.received) == 1, what="delivery after a person said so")


def test_a_permanent_refusal_is_parked_at_once_and_others_go_on(tmp_path: Path) -> None:
    with (
        StoringPeer(answer=lambda n: 0xC000 if n == 0 else 0) as peer,
        passing_to(tmp_path, peer.port) as gateway,
    ):
        files = series(3, size=32)
        send((parcel(file, fallback_uid="1.2.3") for file in files), gateway.dicom_port)
        wait_for(lambda: len(peer.received) == 2, what="the others")
        wait_for(lambda: len(parked(gateway)) == 1, what="the parked one")
        (job,) = parked(gateway)
        assert (job.attempts, job.reason) == (1, "refused-by-peer")
        gateway.until_metric("sealgate_parked_total", 1, step="deliver", code="refused-by-peer")


def test_a_changed_instance_follows_its_older_version(tmp_path: Path) -> None:
    older = ct(rows=32, columns=32, seed=5)
    newer = ct(rows=32, columns=32, seed=5, ImageComments="changed")
    with (
        StoringPeer(answer=lambda n: 0xA700 if n == 0 else 0) as peer,
        passing_to(tmp_path, peer.port) as gateway,
    ):
        send([parcel(older, fallback_uid="1.2.3"), parcel(newer, fallback_uid="1.2.3")], gateway.dicom_port)
        wait_for(lambda: len(peer.received) == 2, what="both versions")
        assert [data for _, data in peer.received] == [body(older), body(newer)]


def test_a_reload_takes_new_destinations_and_a_broken_file_changes_nothing(
    tmp_path: Path, storescp: Storescp
) -> None:
    with passing_to(tmp_path / "gateway", free_port()) as gateway:
        assert gateway.process is not None
        good = gateway.config.read_text()
        gateway.config.write_text(good.replace("[listener]", "[listner]"))
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not reloaded" in gateway.log, what="the complaint")
        node = asdict(gateway.nodes[0])
        changed = good.replace(str(node["port"]), str(storescp.port)).replace(
            '"PEER"', f'"{storescp.ae_title}"'
        )
        gateway.config.write_text(changed)
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: '"reloaded"' in gateway.log, what="the reload")
        assert send([parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")], gateway.dicom_port) == [0]
        wait_for(lambda: len(storescp.files()) == 1, what="delivery to the new destination")
