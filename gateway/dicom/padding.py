"""Pixel padding: stored values that show no part of the image."""

from __future__ import annotations

from gateway.dicom.image import PixelFormat
from gateway.dicom.part10 import Part10

_PADDING_VALUE, _PADDING_LIMIT = 0x00280120, 0x00280121


def padding_values(file: Part10, shape: PixelFormat) -> tuple[int, ...]:
    """The stored values that mean "no image here" (PS3.3 C.7.5.1.1.2): a range when the object gives a limit."""

    def stored_value(tag: int) -> int | None:
        raw = file.value(tag)
        if not raw or len(raw) < 2:
            return None
        return int.from_bytes(raw[:2], "little" if file.encoding.little else "big", signed=shape.signed)

    value = stored_value(_PADDING_VALUE)
    if value is None:
        return ()
    limit = stored_value(_PADDING_LIMIT)
    low, high = sorted((value, value if limit is None else limit))
    return tuple(range(low, high + 1))
