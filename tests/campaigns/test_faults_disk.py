"""A disk that is full or can't be written: refused in time, nothing acknowledged is lost, and it goes on by itself.

Full and read-only disks are real file systems (tmpfs, ext4) in a mount namespace of the gateway, or mounted for the
test; that needs root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.commands.demo.dcmtk import echoscu
from tests.campaigns.faults_gateway import jobs, node, sending_to
from tests.campaigns.faults_peers import Mood, Patient
from tests.support.campaign import write_figures
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series

pytestmark = pytest.mark.campaign

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
DISK_BYTES, WATERMARK_BYTES = 24 << 20, 8 << 20


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)} (as root?): {done.stderr}"


def mounting(*mounts: tuple[Path, int]) -> list[str]:
    """A wrapper that gives the gateway tmpfs file systems of its own: (folder, bytes) each."""
    steps = [
        f"mkdir -p '{folder}' && mount -t tmpfs -o size={size} none '{folder}'" for folder, size in mounts
    ]
    return ["unshare", "--mount", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh"]


def pid(gateway: RunningGateway) -> int:
    assert gateway.process is not None
    return gateway.process.pid


def inside(gateway: RunningGateway) -> Path:
    """Its data folder as it sees it, reached from outside of its namespace."""
    return Path(f"/proc/{pid(gateway)}/root") / str(gateway.folder / "data").lstrip("/")


def in_spool(gateway: RunningGateway) -> list[Path]:
    return list((inside(gateway) / "spool").glob("*/*"))


def test_a_full_disk_is_answered_a700_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    parcels = [parcel(file, fallback_uid="") for file in series(160, size=256)]
    folder = tmp_path / "gateway"
    with (
        Patient(Mood.REFUSING_A700) as patient,
        sending_to(
            folder,
            [node("pacs", patient)],
            action="seal",
            environment={"SEALGATE_LIMITS__FREE_BYTES_MIN": str(WATERMARK_BYTES)},
            wrapper=mounting((folder / "data", DISK_BYTES)),
        ) as gateway,
    ):
        statuses = send(parcels, gateway.dicom_port)
        assert set(statuses) == {SUCCESS, OUT_OF_RESOURCES}
        taken = statuses.count(SUCCESS)
        assert not gateway.ready()
        assert echoscu(gateway.dicom_port)
        patient.cure()
        wait_for(lambda: len(patient.received) == taken, what="what was taken is delivered", timeout_s=120)
        wait_for(gateway.ready, what="ready by itself")
        assert set(send(parcels[:20], gateway.dicom_port)) == {SUCCESS}

        ballast = inside(gateway) / "ballast"
        fill(ballast)
        assert set(send(parcels[-20:], gateway.dicom_port)) == {OUT_OF_RESOURCES}
        assert not gateway.ready()
        assert echoscu(gateway.dicom_port)
        ballast.unlink()
        wait_for(gateway.ready, what="ready by itself")
        wait_for(
            lambda: set(send(parcels, gateway.dicom_port)) == {SUCCESS},
            what="everything taken",
            timeout_s=120,
        )
        wait_for(lambda: jobs(gateway) == 0, what="an empty queue", timeout_s=120)
        assert len(patient.received) == len(parcels)
        wait_for(lambda: in_spool(gateway) == [], what="an empty spool")
        assert gateway.metric("sealgate_parked_total") == 0
    write_figures(
        "fault-disk-full",
        objects=len(parcels),
        missing=0,
        doubled=0,
        **{"taken before the watermark": taken, "refused with A700": len(parcels) - taken},
    )


def fill(ballast: Path) -> None:
    """To the last byte, as another program may."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:  # no space left on device: that is what we want
                continue


def test_a_spool_that_turns_read_only_refuses_and_takes_again_when_it_is_writable(tmp_path: Path) -> None:
    parcels = [parcel(file, fallback_uid="") for file in series(20, size=64)]
    first, during = parcels[:10], parcels[10:]
    spool = tmp_path / "gateway" / "data" / "spool"
    with (
        Patient(Mood.REFUSING_A700) as patient,
        sending_to(
            tmp_path / "gateway",
            [node("pacs", patient)],
            action="seal",
            wrapper=mounting((spool, DISK_BYTES)),
        ) as gateway,
    ):
        assert set(send(first, gateway.dicom_port)) == {SUCCESS}
        wait_for(lambda: gateway.metric("sealgate_sealed_total") == len(first), what="everything sealed")
        remount(gateway, spool, "ro")
        assert set(send(during, gateway.dicom_port)) == {OUT_OF_RESOURCES}
        assert echoscu(gateway.dicom_port)
        patient.cure()
        wait_for(lambda: len(patient.received) >= len(first), what="delivered from a read-only spool")
        remount(gateway, spool, "rw")
        assert set(send(parcels, gateway.dicom_port)) == {SUCCESS}
        wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
        wait_for(lambda: len(set(patient.received)) == len(parcels), what="everything delivered")
        again = len(patient.received) - len(parcels)
        assert again <= len(first)
    write_figures("fault-spool-read-only", objects=len(parcels), missing=0, **{"sent again": again})


def remount(gateway: RunningGateway, folder: Path, how: str) -> None:
    run("nsenter", "-t", str(pid(gateway)), "-m", "mount", "-o", f"remount,{how}", str(folder))


@contextmanager
def disk(image: Path, folder: Path) -> Iterator[None]:
    """An ext4 file system in the file `image`, mounted as `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
    try:
        yield
    finally:
        run("umount", str(folder))


def test_a_disk_the_kernel_turned_read_only_after_an_error_refuses_and_loses_nothing(tmp_path: Path) -> None:
    parcels = [parcel(file, fallback_uid="") for file in series(20, size=64)]
    first, during = parcels[:10], parcels[10:]
    image, data = tmp_path / "disk", tmp_path / "gateway" / "data"
    with image.open("wb") as file:
        os.truncate(file.fileno(), 64 << 20)
    run("mkfs.ext4", "-q", str(image))
    with Patient(Mood.REFUSING_A700) as patient:
        gateway = sending_to(tmp_path / "gateway", [node("pacs", patient)], action="seal")
        with disk(image, data), gateway:
            assert set(send(first, gateway.dicom_port)) == {SUCCESS}
            run("mount", "-o", "remount,abort", str(data))  # what the kernel does after an I/O error
            assert set(send(during, gateway.dicom_port)) == {OUT_OF_RESOURCES}
            assert echoscu(gateway.dicom_port)
            assert not gateway.ready()
            assert gateway.stop() is not None
        patient.cure()
        with disk(image, data), gateway:
            wait_for(lambda: len(patient.received) >= len(first), what="what was acknowledged")
            assert set(send(parcels, gateway.dicom_port)) == {SUCCESS}
            wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
            assert gateway.stop() == 0
        assert len(set(patient.received)) == len(patient.received) == len(parcels)
    write_figures("fault-disk-read-only", objects=len(parcels), missing=0, doubled=0)
