"""The tools of the people who change objects, and the tools that show that they did."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway.commands.demo.dcmtk import run
from tests.campaigns.tampering.change import Scene
from tests.support.dcmtk import tool

Edit = Callable[[Dataset], None]


# ---- writing


def dcmodify(scene: Scene, target: Path, *arguments: str) -> None:
    """DCMTK's dcmodify on a copy: no backup, UIDs of the file meta information as they are."""
    shutil.copyfile(scene.source, target)
    tool("dcmodify", "-nb", "-imt", *arguments, target)


def with_pydicom(scene: Scene, target: Path, edit: Edit) -> None:
    """A few lines of Python."""
    dataset = dcmread(scene.source)
    edit(dataset)
    dataset.save_as(target)


def with_orthanc(scene: Scene, target: Path, *, replace: dict[str, str] | None = None) -> None:
    """The archive's own function: modify, with all UIDs kept that are not replaced."""
    assert scene.orthanc is not None, "this change needs an Orthanc"
    orthanc = scene.orthanc
    orthanc.reset()
    orthanc.upload(scene.source.read_bytes())
    (identifier,) = orthanc.instances()
    if not replace:
        target.write_bytes(orthanc.download(identifier))
        return
    kept = [uid for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID") if uid not in replace]
    body = {"Replace": replace, "Keep": kept, "Force": True}
    changed = orthanc.request("POST", f"/instances/{identifier}/modify", json.dumps(body).encode())
    target.write_bytes(changed)


def with_bytes(scene: Scene, target: Path, edit: Callable[[bytes], bytes]) -> None:
    """A hex editor."""
    target.write_bytes(edit(scene.source.read_bytes()))


def samples_of(dataset: Dataset) -> NDArray[Any]:
    """(frames, rows, columns, samples), stored values of native pixel data, interleaved."""
    size = dataset.BitsAllocated // 8
    kind = "i" if dataset.PixelRepresentation else "u"
    order = "<" if dataset.original_encoding[1] is not False else ">"
    frames, samples = int(dataset.get("NumberOfFrames", 1) or 1), int(dataset.SamplesPerPixel)
    count = frames * dataset.Rows * dataset.Columns * samples
    values = np.frombuffer(dataset.PixelData, f"{order}{kind}{size}", count)
    return values.reshape(frames, dataset.Rows, dataset.Columns, samples).copy()


def put_samples(dataset: Dataset, samples: NDArray[Any]) -> None:
    """The reverse; Rows, Columns and Number of Frames follow the shape."""
    frames, dataset.Rows, dataset.Columns, _ = samples.shape
    if "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = frames
    raw = samples.tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)


def on_samples(work: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Scene, Path], None]:
    """A change of native pixel data with NumPy."""

    def apply(scene: Scene, target: Path) -> None:
        def edit(dataset: Dataset) -> None:
            samples = samples_of(dataset)
            put_samples(dataset, np.ascontiguousarray(work(samples.copy())).astype(samples.dtype))

        with_pydicom(scene, target, edit)

    return apply


# ---- bytes


def element_bytes(
    keyword_or_tag: str | int, vr: bytes, value: bytes, *, implicit: bool, little: bool
) -> bytes:
    """One encoded element, of the short kinds or with a length of four bytes."""
    tag = tag_of(keyword_or_tag)
    order = "<" if little else ">"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(order + "I", len(value)) + value
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"OD"}:
        return head + vr + b"\0\0" + struct.pack(order + "I", len(value)) + value
    return head + vr + struct.pack(order + "H", len(value)) + value


def tag_of(keyword: str | int) -> int:
    tag = keyword if isinstance(keyword, int) else tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


def encoded(data: bytes) -> tuple[bool, bool]:
    """Whether a file is in Implicit VR, and whether it is little endian."""
    syntax = str(dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta.TransferSyntaxUID)
    return syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"


def find_element(data: bytes, keyword: str | int) -> int:
    """The offset of the first top-level element of a tag, by DCMTK's reckoning of nothing: our own walk."""
    from gateway.dicom.part10 import read

    file = read(data)
    return len(data) - len(file.body) + file.index[tag_of(keyword)].start


def end_of_element(data: bytes, keyword: str | int) -> int:
    from gateway.dicom.part10 import read

    file = read(data)
    return len(data) - len(file.body) + file.index[tag_of(keyword)].end


# ---- proofs: read again, with another tool than the one that wrote


def dumped(path: Path, keyword: str | int) -> str:
    """What dcmdump prints of an element, at every depth."""
    tag = tag_of(keyword)
    done = run("dcmdump", ["+L", "+P", f"{tag >> 16:04x},{tag & 0xFFFF:04x}", str(path)])
    return done.stdout


def differs(*keywords: str | int) -> Callable[[Path, Path], bool]:
    """Whether dcmdump prints something else for each of the elements."""

    def proof(before: Path, after: Path) -> bool:
        return all(dumped(before, keyword) != dumped(after, keyword) for keyword in keywords)

    return proof


def pixels_differ(before: Path, after: Path) -> bool:
    """Whether the pixel data is other bytes, or of another shape."""
    one, two = dcmread(before), dcmread(after)
    return (one.PixelData, one.Rows, one.Columns) != (two.PixelData, two.Rows, two.Columns)


def bytes_differ(before: Path, after: Path) -> bool:
    return before.read_bytes() != after.read_bytes()


def is_there(*keywords: str | int) -> Callable[[Path, Path], bool]:
    """Whether elements were absent before and are there now."""

    def proof(before: Path, after: Path) -> bool:
        return all(not dumped(before, keyword) and dumped(after, keyword) for keyword in keywords)

    return proof


def is_gone(*keywords: str | int) -> Callable[[Path, Path], bool]:
    def proof(before: Path, after: Path) -> bool:
        return is_there(*keywords)(after, before)

    return proof
