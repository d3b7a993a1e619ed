"""Copies compressed with loss, as archives and teleradiology make them, and lies that only say that they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from gateway.dicom.elements import encode
from gateway.dicom.part10 import read
from gateway.dicom.pixels import transcode
from gateway.dicom.syntaxes import EXPLICIT_VR_LE
from gateway.dicom.tags import LOSSY_IMAGE_COMPRESSION
from gateway.errors import InputError
from tests.campaigns.harmless.archives import Archives, transcoded_by_orthanc
from tests.campaigns.harmless.operation import Declined, Operation, Workbench

JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"

HONEST: dict[str, list[list[str]]] = {
    "JPEG baseline, quality 90": [["dcmcjpeg", "+eb"]],
    "JPEG baseline, quality 50": [["dcmcjpeg", "+eb", "+q", "50"]],
    "JPEG baseline, the same instance": [["dcmcjpeg", "+eb", "+un"]],
    "JPEG baseline, whole range": [["dcmcjpeg", "+eb", "+sr"]],
    "JPEG baseline, window 1 applied": [["dcmcjpeg", "+eb", "+Wi", "1"]],
    "JPEG baseline, rescale mapped": [["dcmcjpeg", "+eb", "+rm"]],
    "JPEG baseline in RGB": [["dcmcjpeg", "+eb", "+cr"]],
    "JPEG extended, quality 90": [["dcmcjpeg", "+ee"]],
    "JPEG extended, 12 bits": [["dcmcjpeg", "+ee", "+bt"]],
    "JPEG baseline, decompressed": [["dcmcjpeg", "+eb"], ["dcmdjpeg"]],
    "JPEG extended, decompressed": [["dcmcjpeg", "+ee"], ["dcmdjpeg"]],
    "JPEG baseline, decompressed, JPEG-LS": [["dcmcjpeg", "+eb"], ["dcmdjpeg"], ["dcmcjpls"]],
    "JPEG-LS near-lossless 2": [["dcmcjpls", "+en"]],
    "JPEG-LS near-lossless 10": [["dcmcjpls", "+en", "+md", "10"]],
    "JPEG-LS near-lossless 2, decompressed": [["dcmcjpls", "+en"], ["dcmdjpls"]],
    "JPEG 2000 reversible, cut at 20:1": [["gdcmconv", "--j2k", "--lossy", "-r", "20"]],
    "JPEG 2000 irreversible, 10:1": [["gdcmconv", "--j2k", "--lossy", "--irreversible", "-r", "10"]],
    "JPEG 2000, decompressed": [
        ["gdcmconv", "--j2k", "--lossy", "--irreversible", "-r", "10"], ["gdcmconv", "--raw"],
    ],
    "JPEG, quality 80": [["gdcmconv", "--jpeg", "--lossy", "-q", "80"]],
    "JPEG-LS, error 3": [["gdcmconv", "--jpegls", "--lossy", "-e", "3"]],
}  # fmt: skip


def honest(bench: Workbench) -> Iterator[Operation]:
    for name, commands in HONEST.items():
        tools = dict.fromkeys(command[0] for command in commands)
        yield Operation("loss", name, ", ".join(tools), partial(_lossy, bench=bench, commands=commands))


def honest_archives(archives: Archives) -> Iterator[Operation]:
    for name, syntax in {"JPEG baseline": JPEG_BASELINE, "JPEG extended": JPEG_EXTENDED}.items():
        yield Operation(
            "loss",
            f"transcoded to {name}",
            "Orthanc",
            partial(_by_orthanc, archives=archives, syntax=syntax),
        )


def lies() -> Iterator[Operation]:
    """What must stay tampered."""
    yield Operation("lie", "a quarter copied within the image, header says 01", "gateway", _copied)
    yield Operation("lie", "the same, in JPEG-LS near-lossless without loss", "gateway", _copied_near)
    yield Operation("lie", "the image upside down, header says 01", "gateway", _upside_down)


def _lossy(data: bytes, bench: Workbench, commands: list[list[str]]) -> bytes:
    changed = bench.run(data, *commands)
    if changed == data:
        raise Declined("nothing changed")
    return changed


def _by_orthanc(data: bytes, archives: Archives, syntax: str) -> bytes:
    try:
        return transcoded_by_orthanc(data, archives.orthanc, syntax)
    except OSError as error:
        archives.orthanc.start()
        raise Declined("the archive hangs up") from error


def _native(data: bytes) -> tuple[pydicom.FileDataset, NDArray[Any]]:
    """The object in Explicit VR Little Endian, and its words, (frames, rows, columns * samples)."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(transcode(data, EXPLICIT_VR_LE)))
    except InputError as error:
        raise Declined(str(error)) from error
    width = dataset.Columns * dataset.SamplesPerPixel
    if dataset.get("PlanarConfiguration", 0) or dataset.BitsAllocated not in (8, 16):
        raise Declined("another layout")
    count = int(dataset.get("NumberOfFrames") or 1) * dataset.Rows * width
    words = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}", count)
    return dataset, words.reshape(-1, dataset.Rows, width).copy()


def _with_words(dataset: pydicom.FileDataset, words: NDArray[Any]) -> bytes:
    dataset.PixelData = words.tobytes() + b"\0" * (words.nbytes % 2)
    out = io.BytesIO()
    dataset.save_as(out)
    file = read(out.getvalue())
    said = encode(LOSSY_IMAGE_COMPRESSION, b"CS", b"01", file.encoding)
    return file.edited({LOSSY_IMAGE_COMPRESSION: said})


def _copied(data: bytes) -> bytes:
    dataset, words = _native(data)
    rows, columns = (
        words.shape[1] // 2,
        words.shape[2] // 2 // dataset.SamplesPerPixel * dataset.SamplesPerPixel,
    )
    before = words.copy()
    words[:, :rows, :columns] = words[:, rows : 2 * rows, columns : 2 * columns]
    if np.array_equal(before, words):
        raise Declined("both quarters are the same")
    return _with_words(dataset, words)


def _copied_near(data: bytes) -> bytes:
    try:
        encoded = transcode(_copied(data), JPEG_LS)
    except InputError as error:
        raise Declined(str(error)) from error
    return read(encoded).edited({}, syntax=JPEG_LS_NEAR)


def _upside_down(data: bytes) -> bytes:
    dataset, words = _native(data)
    turned = words[:, ::-1]
    if np.array_equal(turned, words):
        raise Declined("it is the same")
    return _with_words(dataset, np.ascontiguousarray(turned))
