"""Large objects are written to disk while they arrive: whole, or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from gateway.commands.demo.process import free_port
from gateway.dicom.file_meta import unwrap, wrap
from gateway.spool import LocalSpool
from gateway.spool.stored import IN_MEMORY_BYTES
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import as_file, ct

FILE_BYTES_MAX = IN_MEMORY_BYTES + (6 << 20)


def keeping(folder: Path) -> RunningGateway:
    """A gateway (not started) whose destination does not exist, so that what arrives stays.

    Writing more than FILE_BYTES_MAX into a file fails, as on a full disk.
    """
    return RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="NOBODY", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",), extra='modality = "CT"')],
        extra="[limits]\nfree_bytes_min = 0\n",
        listener='accept = "any"\nunreadable = "refuse"',
        wrapper=("prlimit", f"--fsize={FILE_BYTES_MAX}"),
        dicom_port=free_port(),
        http_port=free_port(),
    )


def large(mib: int, **elements: Any) -> Parcel:
    """An object of about so many MiB, most of it in a private element."""
    dataset = dcmread(io.BytesIO(ct(rows=32, columns=32, **elements)))
    dataset.private_block(0x0099, "TEST", create=True).add_new(0x01, "OB", bytes(range(256)) * (mib << 12))
    return parcel(as_file(dataset), fallback_uid="1.2.3")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with keeping(tmp_path_factory.mktemp("large")) as running:
        yield running


def being_written(gateway: RunningGateway) -> list[Path]:
    return list((gateway.folder / "data" / "spool" / "tmp").iterdir())


def test_a_large_object_is_kept_in_the_very_bytes_that_were_sent_and_only_once(
    gateway: RunningGateway,
) -> None:
    item = large(18)
    assert send([item, item], gateway.dicom_port) == [0, 0]
    spool = LocalSpool(gateway.folder / "data")
    prefix = wrap(sop_class=item.sop_class, sop_instance=item.sop_instance, syntax=item.syntax)
    assert [spool.read(name) == prefix + item.dataset for name in spool.names()] == [True]
    assert unwrap(prefix).sop_instance == item.sop_instance
    gateway.until_metric("sealgate_repeated_total", 1)
    assert being_written(gateway) == []


def test_a_large_object_that_no_route_takes_leaves_nothing(gateway: RunningGateway) -> None:
    before = set(LocalSpool(gateway.folder / "data").names())
    assert send([large(20, Modality="MR", seed=2)], gateway.dicom_port) == [0x0124]
    assert being_written(gateway) == []
    assert set(LocalSpool(gateway.folder / "data").names()) == before


def test_a_peer_that_goes_away_inside_a_large_object_leaves_nothing(gateway: RunningGateway) -> None:
    item = large(20, seed=3)
    entity = AE(ae_title="MODALITY")
    association = entity.associate(
        "127.0.0.1",
        gateway.dicom_port,
        contexts=[build_context(item.sop_class, item.syntax)],
        ae_title="SEALGATE",
    )
    request, message = C_STORE(), C_STORE_RQ()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = item.sop_class, item.sop_instance
    request.DataSet = io.BytesIO(item.dataset)
    message.primitive_to_message(request)
    context = association.accepted_contexts[0].context_id
    assert context is not None
    fragments = list(message.encode_msg(context, association.dimse.maximum_pdu_size))
    for fragment in fragments[: len(fragments) * 9 // 10]:
        association.dul.send_pdu(fragment)
    wait_for(lambda: bool(being_written(gateway)), what="a file that is being written")
    association.abort()
    wait_for(lambda: not being_written(gateway), what="nothing left of it")


def test_a_disk_that_fills_up_inside_a_large_object_gives_a700_and_leaves_nothing(
    gateway: RunningGateway,
) -> None:
    before = set(LocalSpool(gateway.folder / "data").names())
    items = [large(40, seed=4), large(18, seed=5)]
    assert send(items, gateway.dicom_port) == [0xA700, 0]
    assert being_written(gateway) == []
    assert len(set(LocalSpool(gateway.folder / "data").names()) - before) == 1


def test_a_large_object_that_cannot_be_read_is_quarantined_in_its_bytes_where_the_rule_says_so(
    gateway: RunningGateway,
) -> None:
    item = large(20, seed=6)
    damaged = Parcel(item.sop_class, item.sop_instance, item.syntax, item.dataset[:-1000])
    assert send([damaged], gateway.dicom_port) == [0xC000]
    (copy,) = (gateway.folder / "data" / "quarantine").glob("*.dcm")
    assert copy.read_bytes().endswith(damaged.dataset)
    assert being_written(gateway) == []
