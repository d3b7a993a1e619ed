"""The window with which a viewer opens an image, in stored values."""

from __future__ import annotations

import math

from gateway.dicom.part10 import Part10

_CENTER, _WIDTH, _INTERCEPT, _SLOPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053


def voi_window(file: Part10) -> tuple[float, float] | None:
    """The stored values that the first VOI window shows as black and as white (PS3.3 C.11.2.1.2, linear function).

    None when the header has no window, or one that does not make sense.
    """
    centre, width = _first(file, _CENTER), _first(file, _WIDTH)
    slope, intercept = _first(file, _SLOPE, 1.0), _first(file, _INTERCEPT, 0.0)
    if centre is None or width is None or slope is None or intercept is None or width < 1 or not slope:
        return None
    ends = [(centre + side * width / 2 - intercept) / slope for side in (-1, 1)]
    return min(ends), max(ends)


def decimals(file: Part10, tag: int) -> list[float] | None:
    """The values of a Decimal String; empty when there is none, None when one is no finite number."""
    text = file.text(tag)
    values = [_finite(part) for part in text.split("\\")] if text else []
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _first(file: Part10, tag: int, absent: float | None = None) -> float | None:
    """The first value of a Decimal String; `absent` when there is none, None when it is no finite number."""
    text = file.text(tag).split("\\")[0].strip()
    return _finite(text) if text else absent


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
