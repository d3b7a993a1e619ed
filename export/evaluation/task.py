"""Whether a measurement on the image changes: a fixed classical segmentation of the cover and of other versions.

Vessels: Frangi's filter (Frangi et al. 1998) on green or the only sample, the top tenth of its response inside the
field of view. Tissue: Otsu's threshold (1979) on the image smoothed by one pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.filters import frangi, threshold_otsu

from export.evaluation import measures
from export.evaluation.distortions import Setting, jpeg2000
from export.evaluation.images import Subject, seeded
from export.evaluation.quality import PAYLOAD_BYTES, hidden_in
from gateway.seal.codec import Codec, HideFailed, Profile

_VESSELS = ("fundus", "xa")


@dataclass(frozen=True)
class Row:
    """One image and one version of it.

    path: of the image, in the data folder.
    arm: the version.
    task: `vessels` or `tissue`.
    dice: agreement of the segmentations of version and cover, 0 .. 1 (equal).
    psnr_db: of the version, peak = the range of the image.
    """

    path: str
    arm: str
    kind: str
    task: str
    dice: float
    psnr_db: float


def trials(codec: Codec, subject: Subject) -> Iterator[Row]:
    """One row for every version: containers of both profiles, noise of the same RMS as each, JPEG 2000 at 5:1."""
    task = "vessels" if subject.kind.endswith(_VESSELS) else "tissue"
    segment = _vessels if task == "vessels" else _tissue
    reference = segment(subject.cover)
    for arm, version in _arms(codec, subject):
        segmented = segment(version)
        both = float(segmented.sum() + reference.sum())
        dice = 2 * float((segmented & reference).sum()) / both if both else 1.0
        cost = measures.psnr(subject.cover, version, subject.peak)
        yield Row(subject.name, arm, subject.kind, task, round(dice, 5), round(cost, 2))


def _arms(codec: Codec, subject: Subject) -> Iterator[tuple[str, NDArray[Any]]]:
    cover = subject.cover
    for profile in Profile:
        rng = seeded(subject.name, profile, "task")
        try:
            container = hidden_in(codec, subject, rng.bytes(PAYLOAD_BYTES), profile).container[0]
        except HideFailed:
            continue
        yield f"Sealgate {profile}", container
        yield f"noise, RMS of {profile}", _same_rms(cover, container, rng)
    setting = Setting(subject.grey_level, subject.window, seeded())
    yield "JPEG 2000 5:1", jpeg2000(cover, setting, ratio=5)


def _same_rms(cover: NDArray[Any], container: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The cover with the values of the change, shuffled over all samples that are neither black nor white."""
    change = container.astype(np.int32) - cover
    inside = (cover > 0) & (cover < cover.max())
    change[inside] = rng.permutation(change[inside])
    shuffled: NDArray[Any] = np.clip(cover + change, 0, int(cover.max())).astype(cover.dtype)
    return shuffled


def _vessels(image: NDArray[Any]) -> NDArray[np.bool_]:
    plane = image[..., 1 if image.shape[2] == 3 else 0].astype(np.float64)
    response = frangi(plane / max(plane.max(), 1), sigmas=(1, 2, 3), black_ridges=True)
    field_of_view = gaussian_filter(plane, 8) > 0.1 * plane.max()
    vessels: NDArray[np.bool_] = (response > np.percentile(response[field_of_view], 90)) & field_of_view
    return vessels


def _tissue(image: NDArray[Any]) -> NDArray[np.bool_]:
    plane = gaussian_filter(image[..., 0].astype(np.float64), 1.0)
    tissue: NDArray[np.bool_] = plane > threshold_otsu(plane)
    return tissue
