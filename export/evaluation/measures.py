"""Measures of the distance from a container to its cover. Images are (rows, columns, samples) integers."""

from __future__ import annotations

import math
from typing import Any

import cbor2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, uniform_filter
from skimage.metrics import structural_similarity

from gateway.seal.codec import Hidden
from gateway.seal.undo import restoring_element

Image = NDArray[Any]
REGION = 32  # pixels a side
CELL = 8  # pixels a side
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)


def psnr(cover: Image, container: Image, peak: float) -> float:
    """Decibels over all samples; infinite for equal images."""
    error = np.square(container.astype(np.float64) - cover).mean()
    return math.inf if error == 0 else 20 * math.log10(peak) - 10 * math.log10(error)


def similarity(cover: Image, container: Image) -> float:
    """SSIM (Wang et al. 2004) with a gaussian of sigma 1.5 in 11 x 11; the data range is max - min of the cover."""
    return float(
        structural_similarity(
            cover.astype(np.float64),
            container.astype(np.float64),
            data_range=float(cover.max() - cover.min()),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2,
        )
    )


def worst_cell_psnr(cover: Image, container: Image, peak: float) -> float:
    """PSNR of the 8 x 8 cell with the largest error, so that a change confined to a corner is seen, too."""
    rows, columns = (n // CELL * CELL for n in cover.shape[:2])
    error = np.square(container.astype(np.float64) - cover)[:rows, :columns].mean(axis=2)
    worst = float(error.reshape(rows // CELL, CELL, columns // CELL, CELL).mean(axis=(1, 3)).max())
    return math.inf if worst == 0 else 20 * math.log10(peak) - 10 * math.log10(worst)


def region_mean_shift(cover: Image, container: Image) -> float:
    """The largest change of the mean of a 32 x 32 region, at any position, in stored values."""
    change = container.astype(np.float64) - cover
    half = REGION // 2
    if min(change.shape[:2]) < REGION:
        return float(np.abs(change.mean(axis=(0, 1))).max())
    means = uniform_filter(change, size=(REGION, REGION, 1), mode="constant")
    rows, columns = change.shape[:2]
    whole = means[half : rows - half + 1, half : columns - half + 1]
    return float(np.abs(whole).max())


def rms_against_noise(cover: Image, container: Image) -> float:
    """The RMS of the change relative to the noise of the cover: the median over 32 x 32 regions.

    Regions without noise do not count. Of a colour image, the sample with the largest change counts. The noise is
    estimated after Immerkaer, "Fast noise variance estimation" (1996).

    Returns infinity when no region has noise.
    """
    change = container.astype(np.float64) - cover
    sample = int(np.square(change).sum(axis=(0, 1)).argmax())
    laplacian = np.abs(convolve(cover[..., sample].astype(np.float64), _LAPLACIAN, mode="nearest"))
    noise = math.sqrt(math.pi / 2) / 6 * _region_means(laplacian)
    rms = np.sqrt(_region_means(np.square(change[..., sample])))
    noisy = noise > 0
    return float(np.median(rms[noisy] / noise[noisy])) if noisy.any() else math.inf


def _region_means(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    size = min(REGION, *plane.shape)
    rows, columns = (n // size for n in plane.shape)
    whole = plane[: rows * size, : columns * size]
    means: NDArray[np.float64] = whole.reshape(rows, size, columns, size).mean(axis=(1, 3))
    return means


def restoring_share(cover: Image, hidden: Hidden) -> float:
    """The bytes that undo the change, as the restoring element stores them, relative to those of the pixel data."""
    undoing = restoring_element.coded(
        restoring_element.change_of(cover[None], hidden.container), hidden.synthesis
    )
    return len(cbor2.dumps(undoing, canonical=True)) / cover.nbytes


def jpegls_growth(cover: Image, container: Image) -> float:
    """Growth of the image when it is compressed without loss; 0.01 is one per cent."""
    before, after = (len(imagecodecs.jpegls_encode(np.squeeze(image))) for image in (cover, container))
    return after / before - 1
