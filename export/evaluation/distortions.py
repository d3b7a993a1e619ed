"""The distortions that a container may meet on its way, in grades; all with real codecs, on integer pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from export.evaluation.images import windowed

Image = NDArray[Any]


@dataclass(frozen=True)
class Setting:
    """What a distortion needs to know of the image.

    grey_level: a 255th of its range, at least one stored value.
    window: (low, high) stored values that are shown as black and white.
    rng: for what is random.
    voi: the window is that of the file.
    """

    grey_level: float
    window: tuple[float, float]
    rng: np.random.Generator
    voi: bool = False


@dataclass(frozen=True)
class Distortion:
    """One distortion.

    name: in the tables.
    group: distortions that differ in their grade only.
    apply: takes (rows, columns, samples) integers and returns what arrives.
    deep: only for images of more than 8 bits.
    """

    name: str
    group: str
    apply: Callable[[Image, Setting], Image]
    deep: bool = False


def _rounded(values: NDArray[Any], like: Image) -> Image:
    """Round and clip values to the type of another image."""
    top = np.iinfo(like.dtype).max
    image: Image = np.clip(np.rint(values), 0, top).astype(like.dtype)
    return image


def _noise(image: Image, setting: Setting, *, levels: float) -> Image:
    """Gaussian noise; `levels` is its standard deviation, grey levels of the image."""
    return _rounded(image + setting.rng.normal(0, levels * setting.grey_level, image.shape), image)


def _eight_bits(image: Image, setting: Setting) -> NDArray[np.uint8]:
    """Render deeper images through their VOI window, or else over their whole range, for JPEG baseline takes 8 bits."""
    if image.dtype == np.uint8:
        return image
    return windowed(image, setting.window if setting.voi else (0.0, float(image.max())))


def _jpeg(image: Image, setting: Setting, *, quality: int) -> Image:
    """Baseline JPEG; colour images have chroma at half resolution (4:2:0)."""
    coded = imagecodecs.jpeg_encode(_plain(_eight_bits(image, setting)), level=quality, subsampling="420")
    return imagecodecs.jpeg_decode(coded).reshape(image.shape)


def _jpegls(image: Image, _: Setting, *, near: int) -> Image:
    """Near-lossless JPEG-LS: no stored value changes by more than `near`."""
    return imagecodecs.jpegls_decode(imagecodecs.jpegls_encode(_plain(image), level=near)).reshape(
        image.shape
    )


def jpeg2000(image: Image, _: Setting, *, ratio: float) -> Image:
    """Irreversible JPEG 2000.

    ratio: of the bits that the image uses to those of the compressed image. The quality is searched until the ratio
        is met to 2 %, in seven steps at most.
    """
    bits = max(8, int(image.max()).bit_length())
    target = image.size * bits / 8 / ratio
    # `level` may be a fraction, although the annotations of the library say int
    encode: Callable[..., bytes | bytearray] = partial(
        imagecodecs.jpeg2k_encode, _plain(image), reversible=False, bitspersample=bits
    )
    # decibels; with each of them the size grows by about six per cent
    level, slope = 45.0, 0.06
    coded = encode(level=level)
    for _turn in range(7):
        miss = math.log(target / len(coded))
        if abs(miss) < 0.02:
            break
        previous_level, previous_size = level, len(coded)
        level = min(max(level + min(max(miss / slope, -15), 15), 10.0), 100.0)
        coded = encode(level=level)
        if level != previous_level and len(coded) != previous_size:
            growth = math.log(len(coded) / previous_size)
            slope = min(max(growth / (level - previous_level), 0.02), 0.3)
    return imagecodecs.jpeg2k_decode(coded).reshape(image.shape).astype(image.dtype)


def _lossless(image: Image, _: Setting, *, syntax: str) -> Image:
    if syntax == "JPEG-LS":
        decoded = imagecodecs.jpegls_decode(imagecodecs.jpegls_encode(_plain(image)))
    else:
        decoded = imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(_plain(image), reversible=True))
    return decoded.reshape(image.shape)


def _gain(image: Image, _: Setting, *, factor: float) -> Image:
    return _rounded(image * factor, image)


def _blur(image: Image, _: Setting, *, sigma: float) -> Image:
    return _rounded(gaussian_filter(image.astype(np.float64), sigma=(sigma, sigma, 0)), image)


def _export(image: Image, setting: Setting) -> Image:
    return windowed(image, setting.window)


def _export_jpeg(image: Image, setting: Setting, *, quality: int) -> Image:
    return _jpeg(windowed(image, setting.window), setting, quality=quality)


def _geometry(image: Image, _: Setting, *, change: Callable[[Image], Image]) -> Image:
    return np.ascontiguousarray(change(image))


def _plain(image: Image) -> Image:
    """Without the axis of the samples where there is only one sample, as the codecs take it."""
    return image[..., 0] if image.shape[2] == 1 else image


DISTORTIONS: tuple[Distortion, ...] = (
    *(
        Distortion(f"lossless {syntax}", "lossless", partial(_lossless, syntax=syntax))
        for syntax in ("JPEG-LS", "JPEG 2000")
    ),
    *(
        Distortion(f"noise {levels:g}", "gaussian noise, grey levels", partial(_noise, levels=levels))
        for levels in (0.5, 1, 2)
    ),
    *(Distortion(f"JPEG Q{q}", "JPEG quality", partial(_jpeg, quality=q)) for q in (95, 90, 75, 50)),
    *(Distortion(f"JPEG 2000 {r}:1", "JPEG 2000 ratio", partial(jpeg2000, ratio=r)) for r in (5, 10, 20)),
    *(Distortion(f"JPEG-LS near {n}", "JPEG-LS near", partial(_jpegls, near=n)) for n in (1, 2, 4)),
    *(Distortion(f"gain {p} %", "gain", partial(_gain, factor=1 + p / 100)) for p in (1, 2, 5)),
    *(Distortion(f"blur {s:g}", "gaussian blur, pixels", partial(_blur, sigma=s)) for s in (0.4, 0.6, 1.0)),
    Distortion("window to 8 bit", "8-bit export", _export, deep=True),
    Distortion("window to 8 bit, JPEG Q75", "8-bit export", partial(_export_jpeg, quality=75), deep=True),
    Distortion("crop 8 rows", "geometry", partial(_geometry, change=lambda image: image[8:])),
    Distortion("crop 5 rows, 3 columns", "geometry", partial(_geometry, change=lambda image: image[5:, 3:])),
    Distortion("flip left-right", "geometry", partial(_geometry, change=lambda image: image[:, ::-1])),
    Distortion("flip top-bottom", "geometry", partial(_geometry, change=lambda image: image[::-1])),
)
