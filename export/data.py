"""Training images, and the cells that are cut from them.

A data folder holds a MANIFEST.tsv (columns path, sha256, ..., note) and the files that it names. A row whose note
starts with "use=train" may train a network, and only such a row. `export.evaluation.images` lists the others.
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
"""The data folder, unless a command says otherwise."""


@dataclass(frozen=True)
class Item:
    """One row of the manifest.

    path: the file.
    kind: the first three folders of its path, for example `images/train/ct`.
    source: the collection that it comes from.
    licence: of the file.
    sha256: of the file, hexadecimal.
    trains: the file may train a network.
    """

    path: Path
    kind: str
    source: str
    licence: str
    sha256: str
    trains: bool


def manifest(folder: Path) -> list[Item]:
    """All rows of the manifest of a data folder, in its order."""
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
    """The items that networks are trained with, in the order of the manifest."""
    kinds = ("images/train", "dicom/series", "dicom/modalities")
    return [item for item in manifest(folder) if item.trains and item.kind.startswith(kinds)]


def split(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """Divide the items into those that train and those that are held out.

    A tenth of the subjects of `images/train`, at least one, is held out: networks are measured with their images. A
    subject is a folder and the start of a file name: up to the first number that follows "__", or up to the first
    number where there is no "__". Only the names of the subjects decide which of them are held out.

    Returns (items that train, items held out).
    Raises ValueError for fewer than two subjects.
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
    """SHA-256 over the sorted hashes of the files; it names the training set in the model card."""
    return hashlib.sha256("\n".join(sorted(item.sha256 for item in items)).encode()).hexdigest()


def stored_values(path: Path) -> NDArray[np.int32]:
    """Read a PNG, TIFF, JPEG or DICOM file.

    A colour image whose samples are all equal becomes an image of one sample. Of a DICOM object with several
    frames the middle one is read.

    Returns stored values, (rows, columns, samples); 1 or 3 samples.
    """
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
    """The size of one grey level of an 8-bit rendering of the whole range, in stored values, at least 1."""
    return max(1.0, float(values.max() - values.min()) / 255)


@dataclass(frozen=True)
class Cells:
    """The cells of one image that are not flat.

    values: (N, 64) stored values.
    unit: see `unit_of`.
    low: the smallest value of the image.
    high: the largest value of the image.
    """

    values: NDArray[np.int32]
    unit: float
    low: int
    high: int


def cells_of(values: NDArray[np.int32], *, sample: int | None) -> Cells:
    """Cut the cells of a plane that are not flat.

    values: (rows, columns, samples).
    sample: the plane of a colour image, 0 .. 2, or None for its rounded luma.
    """
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
    """The cells of each item that has any.

    sample: see `cells_of`.
    most: so many cells of an item at most, drawn at random.
    seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    for item in items:
        cells = cells_of(stored_values(item.path), sample=sample)
        if len(cells.values) > most:
            drawn = rng.choice(len(cells.values), most, replace=False)
            cells = Cells(cells.values[drawn], cells.unit, cells.low, cells.high)
        if len(cells.values):
            yield cells
