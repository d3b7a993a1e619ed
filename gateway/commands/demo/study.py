"""The study that the demo sends: a real one, or a small series that is made from an image of pydicom."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import generate_uid

from gateway.errors import UsageError

REAL_STUDY = Path("shared/data/dicom/series/mr_t1_mprage_philips_170")
SLICES = 12


def find(given: Path | None, *, beside: Path) -> tuple[str, list[Path]]:
    """A description of the study, and its files; there are none when no real study is at hand, and one must be made.

    given: a folder that the user named.
    beside: the folder whose neighbour `shared/` may hold a real series.
    Raises UsageError when the folder has no files.
    """
    folder = given or beside.parent / REAL_STUDY
    if given is None and not folder.is_dir():
        return f"a series of {SLICES} slices made from a CT image that pydicom ships", []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise UsageError(f"there are no files in {folder}", hint="Name a folder with DICOM files.")
    return f"{len(files)} files of {folder.name}", files


def make_series(folder: Path) -> list[Path]:
    """A series of different slices made from one real CT image: enlarged, shifted, and with new UIDs.

    Raises UsageError when pydicom has no such image.
    """
    source = get_testdata_file("CT_small.dcm", download=False)
    if source is None:
        raise UsageError(
            "this pydicom ships no test files", hint="Name a study: sealgate demo --study FOLDER."
        )
    template = dcmread(str(source))
    stored = template.pixel_array
    study, series = generate_uid(), generate_uid()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(1, SLICES + 1):
        pixels = np.roll(
            np.kron(stored, np.ones((2, 2), stored.dtype)), (number * 3, number * 5), axis=(0, 1)
        )
        dataset = dcmread(str(source))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = str(number)
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.tobytes()
        path = folder / f"slice{number:03d}.dcm"
        dataset.save_as(path)
        written.append(path)
    return written


def headers(files: Sequence[Path]) -> dict[str, tuple[Path, Dataset]]:
    """SOP Instance UID -> file and header (without pixels), for every readable object among the files."""
    by_uid: dict[str, tuple[Path, Dataset]] = {}
    for path in files:
        dataset = dcmread(path, stop_before_pixels=True, force=True)
        if "SOPInstanceUID" in dataset:
            by_uid[str(dataset.SOPInstanceUID)] = (path, dataset)
    return by_uid


def with_one_pixel_changed(data: bytes, *, row: int, column: int) -> bytes:
    """A copy of an uncompressed object, in which the lowest bit of one stored value differs."""
    dataset = dcmread(io.BytesIO(data))
    size = dataset.BitsAllocated // 8
    position = (row * dataset.Columns + column) * size * dataset.SamplesPerPixel
    pixels = bytearray(dataset.PixelData)
    pixels[position] ^= 1
    dataset.PixelData = bytes(pixels)
    return _written(dataset)


def with_a_patch(data: bytes) -> bytes:
    """A copy of an uncompressed object with another look in the middle: a sixteenth of the first frame, inverted."""
    dataset = dcmread(io.BytesIO(data))
    size = dataset.BitsAllocated // 8 * dataset.SamplesPerPixel
    pixels, width = bytearray(dataset.PixelData), dataset.Columns // 4 * size
    most = (1 << dataset.BitsStored) - 1 if dataset.SamplesPerPixel == 1 else (1 << dataset.BitsAllocated) - 1
    mask = most.to_bytes(dataset.BitsAllocated // 8, "little") * (width // (dataset.BitsAllocated // 8))
    for row in range(dataset.Rows * 3 // 8, dataset.Rows * 5 // 8):
        start = row * dataset.Columns * size + dataset.Columns * 3 // 8 * size
        piece = int.from_bytes(pixels[start : start + width], "little") ^ int.from_bytes(mask, "little")
        pixels[start : start + width] = piece.to_bytes(width, "little")
    dataset.PixelData = bytes(pixels)
    return _written(dataset)


def alterations(header: Dataset) -> list[tuple[str, str, dict[str, Any]]]:
    """Changes that show or measure something else: a name, what was done, and keyword -> new value."""
    orientation = [-float(number) for number in header.get("ImageOrientationPatient") or ()]
    side = {"ImageOrientationPatient": orientation} if orientation else {"ImageLaterality": "R"}
    spacing = [2 * float(number) for number in header.get("PixelSpacing") or ()]
    scale = {"PixelSpacing": spacing} if spacing else {"RescaleSlope": "2"}
    return [
        ("other-window", "another window", {"WindowCenter": "1", "WindowWidth": "2"}),
        ("other-side", "left and right exchanged", side),
        ("other-scale", "a scale of 2", scale),
    ]


def with_elements(data: bytes, elements: Mapping[str, Any]) -> bytes:
    """Copy with these elements set."""
    dataset = dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return _written(dataset)


def _written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()
