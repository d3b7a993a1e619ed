"""What one object may cost the service's own process; what peers do without an end is in tests/campaigns."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from gateway.commands.demo.process import free_port
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import DEFLATED_LE
from gateway.dicom.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.spool import LocalSpool
from gateway.spool.quarantine import Quarantine
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct
from tests.support.storing_peer import StoringPeer
from tests.support.vitals import peak

CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG_LS = "1.2.840.10008.1.2.4.80"
# One object in memory, and what is looked at of it.
GROWTH_MIB = 100.0
INFLATED_BYTES = 384 << 20


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def bomb(sop_instance: str) -> bytes:
    """Half a megabyte that inflates to a thousand times as much, in front of the element that a route asks for."""
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = element(SOP_CLASS_UID, b"UI", CT.encode() + b"\0" * (len(CT) % 2))
    head += element(SOP_INSTANCE_UID, b"UI", sop_instance.encode() + b"\0" * (len(sop_instance) % 2))
    head += struct.pack("<HH2sHI", 8, 0x19, b"UN", 0, INFLATED_BYTES)
    zeros = bytes(1 << 20)
    pieces = [engine.compress(head), *(engine.compress(zeros) for _ in range(INFLATED_BYTES >> 20))]
    return b"".join([*pieces, engine.compress(element(0x00080060, b"CS", b"CT")), engine.flush()])


@pytest.mark.parametrize(
    ("unreadable", "condition", "status"),
    [
        ("quarantine", 'modality = "CT"', 0xC000),
        ("quarantine", "", 0),
        # Whether it can be read is not seen at a glance: the worker finds out.
        ("refuse", "", 0),
    ],
)
def test_a_deflated_bomb_costs_the_service_no_more_than_a_small_object(
    tmp_path: Path, unreadable: str, condition: str, status: int
) -> None:
    pacs = DemoDestination(name="pacs", ae_title="PACS", port=free_port())
    gateway = RunningGateway(
        tmp_path,
        nodes=[pacs],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",), extra=condition)],
        listener=f'accept = "any"\nunreadable = "{unreadable}"',
        dicom_port=free_port(),
        http_port=free_port(),
    )
    with gateway:
        assert gateway.process is not None
        before = peak(gateway.process.pid)
        parcels = [Parcel(CT, uid, DEFLATED_LE, bomb(uid)) for uid in ("2.25.1", "2.25.2")]
        assert send(parcels, gateway.dicom_port) == [status] * 2
        assert peak(gateway.process.pid) < before + GROWTH_MIB
        held = [entry.note.reason for entry in Quarantine(gateway.folder / "data").entries()]
        assert held == (["header-too-large"] * 2 if status else [])


def test_a_bomb_that_would_have_to_be_converted_is_parked_and_the_service_stays_small(tmp_path: Path) -> None:
    """The destination takes no deflated data sets. What can be converted goes on, by the same process."""
    uid, good = "2.25.3", transcode(ct(rows=64, columns=64), JPEG_LS)
    with StoringPeer() as peer:
        pacs = DemoDestination(name="pacs", ae_title="PEER", port=peer.port)
        gateway = RunningGateway(
            tmp_path,
            nodes=[pacs],
            routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
            extra=f"[limits]\nworker_memory_bytes = {512 << 20}\n",
            dicom_port=free_port(),
            http_port=free_port(),
        )
        with gateway:
            assert gateway.process is not None
            before = peak(gateway.process.pid)
            parcels = [Parcel(CT, uid, DEFLATED_LE, bomb(uid)), parcel(good, fallback_uid=uid)]
            assert send(parcels, gateway.dicom_port) == [0, 0]
            gateway.until_metric("sealgate_parked_total", 1, step="deliver", code="too-much-memory")
            gateway.until_metric("sealgate_transcoded_total", 1, destination="pacs")
            assert peak(gateway.process.pid) < before + GROWTH_MIB
            assert len(peer.received) == 1
            wait_for(
                lambda: len(list(LocalSpool(tmp_path / "data").names())) == 1, what="the parked one alone"
            )
