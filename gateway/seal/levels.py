"""How bright a grey image is, in the units of its modality: what a lossy copy with another scale must come to.

Compressors of 8 bits squeeze the values of an image and write the rescale slope, intercept and window that go with it
(dcmcjpeg does). Whether these fit tells an honest copy from one with another scale or window (FORMAT.md, "Levels").
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.dicom.image import PixelFormat
from gateway.dicom.part10 import Part10
from gateway.dicom.window import decimals

_INTERCEPT, _SLOPE, _LUT_SEQUENCE = 0x00281052, 0x00281053, 0x00283000
_CENTER, _WIDTH = 0x00281050, 0x00281051
_WINDOWS_MAX = 16
# Of larger images every second value counts, or every third, and so on.
_VALUES = 1 << 18
# How far mean and deviation of an honest copy may be off, as parts of the deviation, beside a step of the copy.
_MEAN_OFF, _DEVIATION_OFF = 64, 16


@dataclass(frozen=True)
class Levels:
    """Of the values after the Modality LUT (PS3.3 C.11.1).

    mean: of the values.
    deviation: their standard deviation, with the sign of the slope.
    step: what one stored value more comes to.
    windows: centre and width of each (PS3.3 C.11.2.1.2).
    """

    mean: float
    deviation: float
    step: float
    windows: tuple[tuple[float, float], ...]

    def same_scale(self, copy: Levels) -> bool:
        """Whether a lossy copy measures what this image measures."""
        return (
            abs(copy.mean - self.mean) <= abs(self.deviation) / _MEAN_OFF + abs(copy.step)
            and abs(copy.deviation - self.deviation) <= abs(self.deviation) / _DEVIATION_OFF
        )

    def same_windows(self, copy: Levels) -> bool:
        """Whether the windows of a lossy copy show it as those of this image do, whatever its values are scaled to."""
        if len(self.windows) != len(copy.windows) or not self.deviation:
            return False
        factor = copy.deviation / self.deviation
        return all(
            abs(centre - (copy.mean + (sealed_centre - self.mean) * factor))
            <= width / _MEAN_OFF + abs(copy.step)
            and abs(width - sealed_width * factor) <= width / _DEVIATION_OFF
            for (centre, width), (sealed_centre, sealed_width) in zip(copy.windows, self.windows, strict=True)
        )


def of_image(samples: NDArray[Any], shape: PixelFormat, file: Part10) -> Levels | None:
    """None for an image in colour, one with a Modality LUT, and where slope, intercept or a window are no numbers.

    samples: (frames, rows, columns, samples), stored values: the frames from which a likeness is taken.
    """
    slopes, intercepts = decimals(file, _SLOPE), decimals(file, _INTERCEPT)
    centres, widths = decimals(file, _CENTER), decimals(file, _WIDTH)
    if shape.samples != 1 or shape.allocated > 16 or _LUT_SEQUENCE in file.index:
        return None
    if slopes is None or intercepts is None or centres is None or widths is None:
        return None
    slope, intercept = (slopes or [1.0])[0], (intercepts or [0.0])[0]
    if len(centres) != len(widths) or len(centres) > _WINDOWS_MAX or not slope:
        return None
    values = samples.ravel()[:: max(samples.size // _VALUES, 1)].astype(np.int64)
    count, total, squares = values.size, int(values.sum()), int(np.square(values).sum())
    variance = (squares * count - total * total) / (count * count)
    return Levels(
        intercept + slope * total / count,
        slope * math.sqrt(variance),
        slope,
        tuple(zip(centres, widths, strict=True)),
    )


def encode(levels: Levels) -> bytes:
    """Mean, deviation and each window, in doubles, little endian."""
    numbers = [levels.mean, levels.deviation, *(number for window in levels.windows for number in window)]
    return struct.pack(f"<{len(numbers)}d", *numbers)


def decode(data: bytes) -> Levels | None:
    """Without the step, which a copy has. None for what is none."""
    if len(data) < 16 or len(data) % 16 or len(data) > 16 * (1 + _WINDOWS_MAX):
        return None
    numbers = struct.unpack(f"<{len(data) // 8}d", data)
    if not all(map(math.isfinite, numbers)):
        return None
    windows = tuple(zip(numbers[2::2], numbers[3::2], strict=True))
    return Levels(numbers[0], numbers[1], 0.0, windows)
