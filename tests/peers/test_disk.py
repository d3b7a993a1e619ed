"""What lies on the gateway's disk, and who can read it."""

from __future__ import annotations

from pathlib import Path

from gateway.commands.demo.process import free_port
from gateway.spool import LocalSpool
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway
from tests.support.modality import parcel, send
from tests.support.objects import ct


def test_the_spool_holds_clear_images_and_nobody_else_on_the_machine_can_read_them(tmp_path: Path) -> None:
    """Somebody who takes the disk away can read them, unless the platform encrypts the disk."""
    gateway = RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="pacs", ae_title="PACS", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
    )
    item = parcel(ct(rows=64, columns=64), fallback_uid="1.2.3")
    with gateway:
        assert send([item], gateway.dicom_port) == [0]
        gateway.kill()
    data_dir = gateway.folder / "data"
    spool = LocalSpool(data_dir)
    (name,) = spool.names()
    assert item.dataset in spool.read(name)
    open_to_others = [path for path in (data_dir, *data_dir.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []
