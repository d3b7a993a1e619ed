"""One frame as a picture for a screen (PS3.18 8.3.5, 8.7.4): window, colour, size, PNG or JPEG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gateway.dicom import compressed
from gateway.dicom.image import PixelFormat, Pixels, from_native, pixel_format, to_native
from gateway.dicom.lazy_bytes import flat
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import SAMPLES_MAX, codestreams, decode
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import PIXEL_DATA
from gateway.dicom.window import decimals, voi_window
from gateway.errors import UnsupportedPixels

# Rows or columns of a picture.
SIDE_MAX = 8192
_PALETTES = ((0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203))


@dataclass(frozen=True, kw_only=True)
class Window:
    """center, width: in the values after the modality transformation.

    function: of PS3.3 C.11.2.1.2, C.11.2.1.3.
    """

    center: float
    width: float
    function: Literal["linear", "linear-exact", "sigmoid"] = "linear"


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """media_type: image/png or image/jpeg.

    window: None: the first of the object, or all values that occur.
    columns, rows: of the viewport in which the picture must fit; 0: its own size.
    region: left, top, width, height of the part that is shown, pixels; None: all of it.
    quality: of JPEG, 1 .. 100.
    """

    media_type: str = "image/jpeg"
    window: Window | None = None
    columns: int = 0
    rows: int = 0
    region: tuple[int, int, int, int] | None = None
    quality: int = 90


def frame_pixels(file: Part10, number: int) -> tuple[Pixels, PixelFormat]:
    """One frame, samples of shape (1, rows, columns, samples), and its layout once it is decoded.

    number: from 1.
    Raises UnsupportedPixels when the object has no such frame, or it does not decode.
    """
    shape = pixel_format(file)
    element = file.index.get(PIXEL_DATA)
    if element is None or not 1 <= number <= shape.frames:
        raise UnsupportedPixels("the object has no such frame")
    single = replace(shape, frames=1)
    if single.sample_count > SAMPLES_MAX:
        raise UnsupportedPixels("the object declares more samples than are decoded here")
    if not syntax_of(file.transfer_syntax).native:
        frame = compressed.decode(flat(codestreams(file)[number - 1]), file.transfer_syntax, single)
        return Pixels(frame.samples[np.newaxis], frame.high_bits), single
    wide = element.vr != b"OB"
    if shape.allocated == 1 or (shape.allocated == 8 and not file.encoding.little and wide):
        # Frames may share bytes.
        every = decode(file, shape)
        return Pixels(every.samples[number - 1 : number], every.high_bits), single
    at = element.value + (number - 1) * single.byte_count
    value = file.body[at : min(at + single.byte_count, element.end)]
    return from_native(value, single, little=file.encoding.little, wide_words=wide), single


def native_frame(file: Part10, number: int) -> bytes:
    """One frame as it stands in Explicit VR Little Endian. Raises UnsupportedPixels."""
    pixels, single = frame_pixels(file, number)
    return to_native(pixels, single, little=True, wide_words=single.allocated > 8)


def rendered(file: Part10, number: int, rendering: Rendering) -> bytes:
    """The picture. Raises UnsupportedPixels."""
    pixels, shape = frame_pixels(file, number)
    samples = pixels.samples[0]
    picture = (
        _grey(file, samples[..., 0], shape, rendering) if shape.samples == 1 else _colour(samples, shape)
    )
    picture = _fitted(_cut(picture, rendering), rendering)
    try:
        if rendering.media_type == "image/png":
            return bytes(imagecodecs.png_encode(picture))
        return bytes(imagecodecs.jpeg8_encode(picture, level=rendering.quality))
    except (RuntimeError, ValueError) as error:
        raise UnsupportedPixels("the picture can't be written") from error


def _grey(file: Part10, samples: NDArray[Any], shape: PixelFormat, rendering: Rendering) -> NDArray[np.uint8]:
    if shape.photometric == "PALETTE COLOR":
        return _of_palette(file, samples)
    slope, intercept = (
        decimals(file, tag) or [default] for tag, default in ((0x00281053, 1.0), (0x00281052, 0.0))
    )
    values = samples.astype(np.float64) * (slope[0] or 1.0) + intercept[0]
    shown = _windowed(values, rendering.window or _window_of(file, values))
    # PS3.3 C.11.6.1.2: the shape says the last word.
    inverse = {"INVERSE": True, "IDENTITY": False}.get(
        file.text(0x20500020), shape.photometric == "MONOCHROME1"
    )
    return 255 - shown if inverse else shown


def _window_of(file: Part10, values: NDArray[np.float64]) -> Window:
    """The first window of the object; where it has none, one around all values."""
    centers, widths = decimals(file, 0x00281050), decimals(file, 0x00281051)
    if voi_window(file) is not None and centers and widths:
        function = {"LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}.get(file.text(0x00281056), "linear")
        return Window(center=centers[0], width=widths[0], function=function)  # type: ignore[arg-type]
    low, high = float(values.min()), float(values.max())
    return Window(center=(low + high) / 2, width=max(high - low, 1.0), function="linear-exact")


def _windowed(values: NDArray[np.float64], window: Window) -> NDArray[np.uint8]:
    """0 .. 255 (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == "sigmoid":
        shown = 255 / (1 + np.exp(np.clip(-4 * (values - center) / width, -60, 60)))
    elif window.function == "linear-exact":
        shown = ((values - center) / width + 0.5) * 255
    elif width > 1:
        shown = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    else:
        shown = np.where(values <= center - 0.5, 0.0, 255.0)
    return np.rint(np.clip(shown, 0, 255)).astype(np.uint8)


def _of_palette(file: Part10, samples: NDArray[Any]) -> NDArray[np.uint8]:
    planes = []
    for described, data in _PALETTES:
        raw, table = file.value(described) or b"", file.value(data) or b""
        if len(raw) < 6 or not table:
            raise UnsupportedPixels("the palette is missing, or segmented")
        count, first, bits = np.frombuffer(raw[:6], file.encoding.order + "u2").astype(int)
        count = count or 65536
        if len(table) >= 2 * count:
            entries = np.frombuffer(table[: 2 * count], file.encoding.order + "u2")
            entries = (entries >> 8 if bits > 8 else entries).astype(np.uint8)
        else:
            entries = np.frombuffer(table[:count], np.uint8)
        if not len(entries):
            raise UnsupportedPixels("the palette is empty")
        planes.append(entries[np.clip(samples.astype(np.int64) - first, 0, len(entries) - 1)])
    return np.stack(planes, -1)


def _colour(samples: NDArray[Any], shape: PixelFormat) -> NDArray[np.uint8]:
    if shape.samples != 3:
        raise UnsupportedPixels("pixels of other than one or three samples are not shown")
    picture = samples >> (shape.depth - 8) if shape.depth > 8 else samples
    if shape.photometric not in ("YBR_FULL", "YBR_FULL_422"):
        return picture.astype(np.uint8)
    # PS3.3 C.7.6.3.1.2.
    y, cb, cr = (picture[..., at].astype(np.float64) - (128 if at else 0) for at in range(3))
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)


def _cut(picture: NDArray[np.uint8], rendering: Rendering) -> NDArray[np.uint8]:
    if rendering.region is None:
        return picture
    left, top, width, height = rendering.region
    part = picture[top : top + height, left : left + width]
    if not part.size:
        raise UnsupportedPixels("the region lies outside of the image")
    return part


def _fitted(picture: NDArray[np.uint8], rendering: Rendering) -> NDArray[np.uint8]:
    """Scaled so that it fits into the viewport, with its proportions; by neighbours, averaged where it shrinks."""
    rows, columns = picture.shape[:2]
    if not (rendering.rows and rendering.columns):
        return np.ascontiguousarray(picture)
    scale = min(rendering.rows / rows, rendering.columns / columns)
    step = int(1 / scale) if scale < 1 else 1
    if step > 1:
        # Whole blocks first, so that no detail falls between the pixels that are taken.
        trimmed = picture[: rows // step * step, : columns // step * step].astype(np.uint32)
        blocks = trimmed.reshape(rows // step, step, columns // step, step, *picture.shape[2:])
        picture = (blocks.sum((1, 3)) // (step * step)).astype(np.uint8)
    height, width = (min(max(round(side * scale), 1), SIDE_MAX) for side in (rows, columns))
    down = np.arange(height) * picture.shape[0] // height
    across = np.arange(width) * picture.shape[1] // width
    return np.ascontiguousarray(picture[down][:, across])
