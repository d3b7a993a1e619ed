"""FORMAT.md, "Levels": whether scale and windows of a lossy copy come to what was sealed."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

from tests.second_reader.dicom import File
from tests.second_reader.pixels import Image

CENTRES, WIDTHS, INTERCEPT, SLOPE, EXPLANATION = 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281055
PADDING = (0x00280120, 0x00280121)


@dataclass(frozen=True)
class Levels:
    mean: float
    deviation: float
    windows: list[tuple[float, float]]
    step: float = 0.0


def fitting(stated: bytes, picture: Image, file: File) -> frozenset[int]:
    """The elements that need not count in a lossy copy."""
    sealed, copy = _stated(stated), _of(picture, file)
    fits: set[int] = set()
    if sealed is None or copy is None:
        return frozenset()
    mean_fits = abs(copy.mean - sealed.mean) <= abs(sealed.deviation) / 64 + copy.step
    if mean_fits and abs(copy.deviation - sealed.deviation) <= abs(sealed.deviation) / 16:
        fits |= {INTERCEPT, SLOPE, *(tag for tag in PADDING if tag not in file.elements)}
    elif _windows_fit(sealed, copy):
        fits |= {CENTRES, WIDTHS}
        if re.fullmatch(r"(center=[-0-9.]+/width=[0-9.]+)?", file.text(EXPLANATION)):
            fits |= {EXPLANATION}
    return frozenset(fits)


def _windows_fit(sealed: Levels, copy: Levels) -> bool:
    if not sealed.deviation or len(sealed.windows) != len(copy.windows):
        return False
    f = copy.deviation / sealed.deviation
    return all(
        abs(centre - (copy.mean + f * (c - sealed.mean))) <= width / 64 + copy.step
        and abs(width - f * w) <= width / 16
        for (c, w), (centre, width) in zip(sealed.windows, copy.windows, strict=True)
    )


def _stated(stated: bytes) -> Levels | None:
    numbers = [number for (number,) in struct.iter_unpack("<d", stated)]
    if not numbers or len(numbers) > 34 or not all(map(math.isfinite, numbers)):
        return None
    return Levels(numbers[0], numbers[1], list(zip(numbers[2::2], numbers[3::2], strict=True)))


def _of(picture: Image, file: File) -> Levels | None:
    lists = [_decimals(file, tag) for tag in (SLOPE, INTERCEPT, CENTRES, WIDTHS)]
    if picture.values.shape[3] != 1 or (file.number(0x00280100) or 0) > 16 or 0x00283000 in file.elements:
        return None
    slopes, intercepts, centres, widths = ([] if values is None else values for values in lists)
    slope, intercept = (slopes or [1.0])[0], (intercepts or [0.0])[0]
    if None in lists or not slope or len(centres) != len(widths) or len(centres) > 16:
        return None
    count = picture.values.shape[0]
    frames = picture.values[[i * count // min(count, 8) for i in range(min(count, 8))]].ravel()
    values = frames[:: max(1, frames.size // 262144)].astype("<f8") * slope + intercept
    deviation = math.copysign(float(values.std()), slope)
    return Levels(float(values.mean()), deviation, list(zip(centres, widths, strict=True)), abs(slope))


def _decimals(file: File, tag: int) -> list[float] | None:
    """None where one is no finite number."""
    text = file.text(tag)
    try:
        numbers = [float(part) for part in text.split("\\")] if text else []
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
