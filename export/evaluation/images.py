"""Evaluation images, as the codec gets them."""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from export.data import Item, manifest, stored_values

SMALLEST = 64  # pixels a side; smaller images are thumbnails and test patterns
LARGEST = 512  # pixels a side in the recovery and comparison tables, cut from the centre


@dataclass(frozen=True)
class Subject:
    """One image.

    name: path of the file in the data folder.
    kind: see `export.data.Item`.
    cover: stored values less their minimum, (rows, columns, samples), uint8 or uint16; 1 or 3 samples.
    bits_stored: of the file.
    window: (low, high), the values of the cover that are shown as black and white: its VOI window, or else the central
        99 % of its values.
    voi: the window is that of the file.
    """

    name: str
    kind: str
    cover: NDArray[Any]
    bits_stored: int
    window: tuple[float, float]
    voi: bool = False

    @property
    def known_window(self) -> tuple[float, float] | None:
        """The window that the gateway gives to the codec: the VOI window of a file of more than 8 bits."""
        return self.window if self.voi and self.bits_stored > 8 else None

    @property
    def peak(self) -> int:
        """The image's own range, in stored values."""
        return int(self.cover.max())

    @property
    def grey_level(self) -> float:
        """A 255th of the range, at least one stored value."""
        return max(1.0, self.peak / 255)


def evaluation_items(folder: Path) -> list[Item]:
    """The images that are kept for measuring, and the CT and MR objects that trained no network."""
    kinds = ("images/eval", "dicom/series/ct", "dicom/modalities/CT", "dicom/modalities/MR")
    return [item for item in manifest(folder) if not item.trains and item.kind.startswith(kinds)]


def sample(items: list[Item], per_kind: int) -> list[Item]:
    """At most `per_kind` items of every kind, spread evenly over the order of the manifest."""
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        kinds[item.kind].append(item)
    return [
        members[i * len(members) // per_kind] if len(members) > per_kind else members[i]
        for members in kinds.values()
        for i in range(min(per_kind, len(members)))
    ]


def load(item: Item, folder: Path) -> Subject | None:
    """Read an image.

    folder: the data folder.

    Returns None for an image that is never sealed in its pixels: it has no readable integers, is too small, or has
    more than 16 bits.
    """
    try:
        values = stored_values(item.path)
    except (ValueError, AttributeError, RuntimeError, NotImplementedError, InvalidDicomError):
        return None
    low, high = int(values.min()), int(values.max())
    if min(values.shape[:2]) < SMALLEST or values.shape[2] not in (1, 3) or high - low > 65535:
        return None
    bits, window = 8 if high < 256 else 16, None
    if item.path.suffix == ".dcm":
        header = pydicom.dcmread(item.path, stop_before_pixels=True)
        if "BitsStored" not in header:
            # the samples are no integers
            return None
        bits, window = int(header.BitsStored), _voi_window(header, low)
    cover: NDArray[np.integer[Any]] = (values - low).astype(np.uint8 if high - low < 256 else np.uint16)
    voi = window is not None and window[0] < min(high - low, window[1]) and window[1] > 0
    if window is None or not voi:
        window = float(np.percentile(cover, 0.5)), float(np.percentile(cover, 99.5))
    if window[1] <= window[0]:
        window = 0.0, float(max(1, high - low))
    return Subject(str(item.path.relative_to(folder)), item.kind, cover, bits, window, voi)


def _voi_window(header: pydicom.Dataset, low: int) -> tuple[float, float] | None:
    """The first VOI window (PS3.3 C.11.2.1.2), in stored values less `low`."""
    if not header.get("WindowCenter") or not header.get("WindowWidth"):
        return None
    centre = float(np.atleast_1d(header.WindowCenter)[0])
    width = float(np.atleast_1d(header.WindowWidth)[0])
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    ends = [(centre + side * width / 2 - intercept) / slope - low for side in (-1, 1)]
    return min(ends), max(ends)


def centre(subject: Subject) -> Subject:
    """The central part of the image, of at most `LARGEST` pixels a side."""
    rows, columns = subject.cover.shape[:2]
    top, left = max(0, rows - LARGEST) // 2, max(0, columns - LARGEST) // 2
    part = np.ascontiguousarray(subject.cover[top : top + LARGEST, left : left + LARGEST])
    return replace(subject, cover=part)


def windowed(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Render in 8 bits: the window becomes 0 .. 255."""
    low, high = window
    return np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def shown(subject: Subject) -> Subject:
    """The image in 8 bits; a deeper one is rendered through its window."""
    if subject.cover.dtype == np.uint8:
        return subject
    return Subject(subject.name, subject.kind, windowed(subject.cover, subject.window), 8, (0.0, 255.0))


def seeded(*names: object) -> np.random.Generator:
    """A generator that depends on the names alone, so that any single row can be measured again."""
    return np.random.default_rng(zlib.crc32("|".join(map(str, names)).encode()))
