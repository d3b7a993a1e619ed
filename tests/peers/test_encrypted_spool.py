"""With `gateway.spool_key` a stolen disk shows no image, and everything else is as without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from gateway import keys
from gateway.commands.demo.dcmtk import storescu
from gateway.commands.demo.process import free_port
from gateway.seal.codec import Codec
from gateway.seal.restoring import restore
from gateway.spool.cipher import write_spool_key
from tests.cli.terminal import sealgate
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct, multi_frame

MARK = b"SYN-00000"  # the patient id of the objects sent
VARIABLE = "SEALGATE_GATEWAY__SPOOL_KEY"
LARGE_FRAMES = 700  # of 128x128x16 bit: more than is kept in memory


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """Not started; its destination does not exist yet."""
    write_spool_key(tmp_path / "spool.key")
    yield RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="pacs", ae_title="VIEWER", port=free_port())],
        routes=[
            DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
            DemoRoute(called="VERIFY", action="verify", to=("pacs",)),
        ],
        extra="[queue]\nbackoff_s = 0.2\nbackoff_max_s = 0.5\n[limits]\nfree_bytes_min = 0\n",
        environment={VARIABLE: str(tmp_path / "spool.key")},
        dicom_port=free_port(),
        http_port=free_port(),
    )


def stored(gateway: RunningGateway) -> list[Path]:
    return [path for path in (gateway.folder / "data").rglob("*") if path.is_file()]


def test_nothing_clear_is_on_the_disk_and_what_waits_is_delivered_after_a_restart(
    gateway: RunningGateway, tmp_path: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large.dcm"
    large.write_bytes(multi_frame(frames=LARGE_FRAMES))
    with gateway:
        assert send([parcel(ct(), fallback_uid="2.25.1")], gateway.dicom_port) == [0]
        storescu(gateway.dicom_port, [large])
        assert send([parcel(ct(seed=1), fallback_uid="2.25.2")], gateway.dicom_port, called="VERIFY") == [0]
        wait_for(lambda: gateway.metric("sealgate_sealed_total") == 2, what="both sealed", timeout_s=360)
        gateway.until_metric("sealgate_quarantined_total", 1)
    files = stored(gateway)
    assert sum(path.stat().st_size for path in files) > 2 * large.stat().st_size
    assert not [path.name for path in files if MARK in path.read_bytes()]
    (pacs,) = gateway.nodes
    with Storescp(tmp_path / "pacs") as storescp:
        gateway.nodes = [DemoDestination(name=pacs.name, ae_title=pacs.ae_title, port=storescp.port)]
        with gateway:
            wait_for(lambda: len(storescp.files()) == 2, what="both delivered")
            listed = sealgate(["quarantine", "list", "--json", *_with(gateway)], gateway.folder)
            assert listed.returncode == 0, listed.stderr
            (entry,) = map(json.loads, listed.stdout.splitlines())
            target = tmp_path / "exported.dcm"
            without = sealgate(
                ["quarantine", "export", entry["id"], str(target), *_with(gateway)], gateway.folder
            )
            assert without.returncode == 2
            assert "gateway.spool_key" in without.stderr
            monkeypatch.setenv(VARIABLE, str(tmp_path / "spool.key"))
            done = sealgate(
                ["quarantine", "export", entry["id"], str(target), *_with(gateway)], gateway.folder
            )
            assert done.returncode == 0, done.stderr
            assert dcmread(target).PixelData == dcmread(DicomBytesIO(ct(seed=1))).PixelData
        delivered = [path.read_bytes() for path in storescp.files()]
    recipient_key = keys.load_recipient_key(gateway.keys / "recipient.key")
    sent = {bytes(dcmread(DicomBytesIO(data)).PixelData) for data in (ct(), large.read_bytes())}
    restored = [restore(data, recipient_key=recipient_key, codec=codec)[0] for data in delivered]
    assert {bytes(dcmread(DicomBytesIO(data)).PixelData) for data in restored if data} == sent


def _with(gateway: RunningGateway) -> list[str]:
    return ["--config", str(gateway.config)]
