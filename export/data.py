"""Training images: cells cut from the items of a manifest that may train a network.

A data folder holds MANIFEST.tsv (columns path, sha256, ..., note) and the files it names. Only rows whose note starts
with "use=train" are used, and only for training; `evaluation_images` lists the others.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from gateway.seal.codec.layout import CELL, PIXELS

COLLECTION = Path(__file__).parents[2] / "shared" / "data"
"""Where the images are unless a command says otherwise."""


@dataclass(frozen=True)
class Item:
    """One row of the manifest."""

    path: Path
    kind: str
    source: str
    licence: str
    sha256: str
    trains: bool


def manifest(folder: Path) -> list[Item]:
    with (folder / "MANIFEST.tsv").open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    return [
        Item(
            path=folder / row["path"],
            kind="/".join(Path(row["path"]).parts[:3]),
            source=row["source_repo"],
            licence=row["licence"],
            sha256=row["sha256"],
            trains=row["note"].startswith("use=train"),
        )
        for row in rows
    ]


def training_items(folder: Path) -> list[Item]:
    wanted = ("images/train", "dicom/series", "dicom/modalities")
    return [i for i in manifest(folder) if i.trains and i.kind.startswith(wanted)]


def split(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """(to train with, held out): a tenth of the subjects of `images/train`, at least one, is only measured with.

    A subject is a folder and the start of a file name up to the first number that follows "__", or the first at all.
    The choice depends on the hashes of the names of the subjects alone. Raises ValueError for fewer than two subjects.
    """

    def subject(item: Item) -> str:
        start = re.match(r"(?:.*?__)?\D*\d*", item.path.name)
        return f"{item.kind}/{start[0] if start else item.path.name}"

    subjects = {subject(item) for item in items if item.kind.startswith("images/")}
    if len(subjects) < 2:
        raise ValueError("training needs images of at least two subjects in images/train")
    order = sorted(subjects, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = set(order[: max(1, len(order) // 10)])
    return (
        [item for item in items if subject(item) not in held_out],
        [item for item in items if subject(item) in held_out],
    )


def data_hash(items: list[Item]) -> str:
    """SHA-256 over the sorted file hashes: names the training set in the model card."""
    return hashlib.sha256("\n".join(sorted(i.sha256 for i in items)).encode()).hexdigest()


def stored_values(path: Path) -> NDArray[np.int32]:
    """(rows, columns, samples) stored values of a PNG, TIFF, JPEG or DICOM file; samples 1 or 3."""
    if path.suffix == ".dcm":
        pixels = pydicom.dcmread(path).pixel_array
        pixels = pixels[len(pixels) // 2] if pixels.ndim == 3 and pixels.shape[-1] != 3 else pixels
    else:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    pixels = pixels.astype(np.int32)
    if pixels.ndim == 3 and (pixels[..., :1] == pixels).all():
        pixels = pixels[..., 0]
    return pixels.reshape(*pixels.shape[:2], -1)


def unit_of(values: NDArray[np.int32]) -> float:
    """What one grey level of an 8-bit rendering is, in stored values, at least 1."""
    return max(1.0, float(values.max() - values.min()) / 255)


@dataclass(frozen=True)
class Cells:
    """Cells of one image with something in them.

    values: (N, 64) stored values; unit: see `unit_of`; low, high: the image's own range.
    """

    values: NDArray[np.int32]
    unit: float
    low: int
    high: int


def cells_of(values: NDArray[np.int32], *, sample: int | None) -> Cells:
    """Non-flat cells of a sample plane, or of the rounded luma when `sample` is None."""
    if values.shape[2] == 1:
        plane = values[..., 0]
    elif sample is None:
        plane = np.rint(values @ np.array([0.299, 0.587, 0.114])).astype(np.int32)
    else:
        plane = values[..., sample]
    rows, columns = (n // CELL for n in plane.shape)
    grid = plane[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).swapaxes(1, 2)
    cells = grid.reshape(-1, PIXELS)
    return Cells(cells[np.ptp(cells, axis=1) > 0], unit_of(values), int(plane.min()), int(plane.max()))


def load_cells(items: list[Item], *, sample: int | None, most: int, seed: int) -> Iterator[Cells]:
    """Cells of every item that has any, at most `most` of each."""
    rng = np.random.default_rng(seed)
    for item in items:
        cells = cells_of(stored_values(item.path), sample=sample)
        if len(cells.values) > most:
            kept = rng.choice(len(cells.values), most, replace=False)
            cells = Cells(cells.values[kept], cells.unit, cells.low, cells.high)
        if len(cells.values):
            yield cells
