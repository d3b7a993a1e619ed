"""A multi-frame object of more than a gigabyte passes through every process in bounded memory, there and back.

The campaign takes its size from SEALGATE_LARGE_MIB.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from gateway.commands.demo.process import free_port
from gateway.dicom.file_meta import unwrap
from gateway.dicom.lazy_bytes import ByteRange, pieces
from gateway.dicom.part10 import read
from gateway.spool.stored import StoredFile
from tests.support.campaign import number, write_figures
from tests.support.dcmtk import Storescp, storescu
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.objects import as_file, multi_frame, picture
from tests.support.orthanc import Orthanc
from tests.support.vitals import family, peak
from tests.support.way_back import OPEN, movescu, with_way_back

ROWS, COLUMNS = 1000, 512
DIFFERENT_FRAMES = 16  # then they come again
JPEG_LS = "1.2.840.10008.1.2.4.80"
WAIT_S = 900.0


@dataclass(frozen=True)
class Passage:
    """What one object did to the gateway. peaks: MiB resident at most; of several workers the largest."""

    level: str
    sealed_s: float
    restored_s: float
    peaks: dict[str, float]


def test_an_object_of_160_mib_never_is_in_memory_as_a_whole(tmp_path: Path) -> None:
    source = native(tmp_path, mib=160, bits=8)
    passage = there_and_back(tmp_path, source)
    assert passage.level == "digest"
    assert passage.peaks["service"] < 256, passage
    assert passage.peaks["worker"] < 256, passage


def test_an_object_of_160_mib_is_retrieved_without_being_in_memory_as_a_whole(tmp_path: Path) -> None:
    source = native(tmp_path, mib=160, bits=8)
    with (
        Orthanc(tmp_path / "pacs", settings=OPEN) as pacs,
        Storescp(tmp_path / "viewer") as viewer,
        with_way_back(
            tmp_path / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            viewers=[DemoDestination(name="viewer", ae_title=viewer.ae_title, port=viewer.port)],
            listener='accept = "any"',
        ) as gateway,
    ):
        _passed(gateway, source, "SEALGATE", viewer, ())
        study = dcmread(source, stop_before_pixels=True).StudyInstanceUID
        answered = movescu(
            gateway.dicom_port, viewer.ae_title, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"
        )
        assert "Completed Suboperations       : 1" in answered.text, gateway.log
        assert gateway.process is not None
        service, *workers = family(gateway.process.pid)
        peaks = {"service": peak(service), "worker": max(map(peak, workers))}
        (came,) = viewer.files()
        assert same_data_set(source, came)
    assert peaks["service"] < 256, peaks
    assert peaks["worker"] < 256, peaks


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", ["native", "encapsulated"])
def test_an_object_of_more_than_a_gigabyte_stays_below_one_in_every_process(
    tmp_path: Path, form: str
) -> None:
    mib = number("SEALGATE_LARGE_MIB", 1200)
    build = {"native": native, "encapsulated": compressed}[form]
    source = build(tmp_path, mib=mib, bits=16)
    passage = there_and_back(tmp_path, source, options=["-xt"] if form == "encapsulated" else ())
    write_figures(
        f"large-{form}",
        mib=round(source.stat().st_size / 2**20),
        level=passage.level,
        sealed_s=round(passage.sealed_s, 1),
        restored_s=round(passage.restored_s, 1),
        peak_mib={name: round(most) for name, most in passage.peaks.items()},
    )
    assert max(passage.peaks.values()) < 1024, passage


def there_and_back(folder: Path, source: Path, *, options: Sequence[str] = ()) -> Passage:
    """Through a route that seals, to a PACS; from there through a route that restores, to a viewer."""
    with Storescp(folder / "pacs", ae_title="PACS") as pacs, Storescp(folder / "viewer") as viewer:
        gateway = RunningGateway(
            folder / "gateway",
            nodes=[
                DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.port),
                DemoDestination(name="viewer", ae_title=viewer.ae_title, port=viewer.port),
            ],
            routes=[
                DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
                DemoRoute(called="VERIFY", action="restore", to=("viewer",)),
            ],
            dicom_port=free_port(),
            http_port=free_port(),
        )
        with gateway:
            sealed_s = _passed(gateway, source, "SEALGATE", pacs, options)
            sealed = pacs.files()[0]
            restored_s = _passed(gateway, sealed, "VERIFY", viewer, options)
            assert gateway.process is not None
            service, *workers = family(gateway.process.pid)
            peaks = {"service": peak(service), "worker": max(map(peak, workers))}
            level = next(
                name
                for name in ("full", "digest", "pass")
                if gateway.metric("sealgate_sealed_total", level=name)
            )
        assert same_data_set(source, viewer.files()[0])
    return Passage(level, sealed_s, restored_s, peaks)


def native(folder: Path, *, mib: int, bits: int) -> Path:
    """Uncompressed frames, written one after another behind the header of a small object."""
    length = (mib << 20) // (ROWS * COLUMNS * bits // 8)
    frames = [frame.astype(f"<u{bits // 8}").tobytes() for frame in _frames(bits)]
    path = folder / "source.dcm"
    with path.open("wb") as file:
        file.write(_header(length, bits, "1.2.840.10008.1.2.1"))
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length * len(frames[0])))
        for number_of_frame in range(length):
            file.write(frames[number_of_frame % DIFFERENT_FRAMES])
    return path


def compressed(folder: Path, *, mib: int, bits: int) -> Path:
    """Frames in JPEG-LS, a fragment for each, without a table of offsets."""
    frames = [imagecodecs.jpegls_encode(frame.astype(f"u{bits // 8}")) for frame in _frames(bits)]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    length = (mib << 20) // (sum(map(len, frames)) // DIFFERENT_FRAMES)
    path = folder / "source.dcm"
    with path.open("wb") as file:
        file.write(_header(length, bits, JPEG_LS))
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
        file.write(struct.pack("<HHI", 0xFFFE, 0xE000, 0))
        for number_of_frame in range(length):
            frame = frames[number_of_frame % DIFFERENT_FRAMES]
            file.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame)
        file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    return path


def _frames(bits: int) -> list[NDArray[np.int32]]:
    return [picture(ROWS, COLUMNS, 0, (1 << min(bits, 12)) - 1, seed) for seed in range(DIFFERENT_FRAMES)]


def _header(frames: int, bits: int, syntax: str) -> bytes:
    """A file up to its pixel data."""
    dataset = dcmread(io.BytesIO(multi_frame(frames=2)))
    stored = min(bits, 12)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = ROWS, COLUMNS, frames
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored, stored - 1
    del dataset.PixelData
    file = read(as_file(dataset))
    return file.edited({}, syntax=syntax)


def same_data_set(one: Path, other: Path) -> bool:
    """Byte for byte, file meta information apart."""
    with closing(StoredFile(one)) as first, closing(StoredFile(other)) as second:
        ours, theirs = (ByteRange(file, unwrap(file).offset, len(file)) for file in (first, second))
        return len(ours) == len(theirs) and all(
            a == b for a, b in zip(pieces(ours), pieces(theirs), strict=True)
        )


def _passed(
    gateway: RunningGateway, path: Path, called: str, peer: Storescp, options: Sequence[str]
) -> float:
    """Seconds from the first byte until the object is with its destination."""
    before, started = gateway.metric("sealgate_forwarded_total"), time.monotonic()
    storescu(gateway.dicom_port, [path], called=called, options=options)
    wait_for(
        lambda: gateway.metric("sealgate_forwarded_total") > before, what=peer.ae_title, timeout_s=WAIT_S
    )
    return time.monotonic() - started
