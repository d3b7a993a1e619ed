"""Lines of text as an image, in a dot-matrix font of five by seven, so that any viewer shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Of the characters from " " to "~": five columns each, the lowest bit on top; the eighth row is for descenders.
_COLUMNS = bytes.fromhex(
    "0000000000" "00005F0000" "0007000700" "147F147F14" "242A7F2A12" "2313086462" "3649562050" "0008070300"
    "001C224100" "0041221C00" "2A1C7F1C2A" "08083E0808" "0080703000" "0808080808" "0000606000" "2010080402"
    "3E5149453E" "00427F4000" "7249494946" "2141494D33" "1814127F10" "2745454539" "3C4A494931" "4121110907"
    "3649494936" "464949291E" "0000140000" "0040340000" "0008142241" "1414141414" "0041221408" "0201590906"
    "3E415D594E" "7C1211127C" "7F49494936" "3E41414122" "7F4141413E" "7F49494941" "7F09090901" "3E41415173"
    "7F0808087F" "00417F4100" "2040413F01" "7F08142241" "7F40404040" "7F021C027F" "7F0408107F" "3E4141413E"
    "7F09090906" "3E4151215E" "7F09192946" "2649494932" "03017F0103" "3F4040403F" "1F2040201F" "3F4038403F"
    "6314081463" "0304780403" "6159494D43" "007F414141" "0204081020" "004141417F" "0402010204" "4040404040"
    "0003070800" "2054547840" "7F28444438" "3844444428" "384444287F" "3854545418" "00087E0902" "18A4A49C78"
    "7F08040478" "00447D4000" "2040403D00" "7F10284400" "00417F4000" "7C04780478" "7C08040478" "3844444438"
    "FC18242418" "18242418FC" "7C08040408" "4854545424" "04043F4424" "3C4040207C" "1C2040201C" "3C4030403C"
    "4428102844" "4C9090907C" "4464544C44" "0008364100" "0000770000" "0041360800" "0201020402"
)  # fmt: skip
FIRST, LAST = " ", "~"
GLYPH_COLUMNS, GLYPH_ROWS = 5, 8
# With the gap to the next character, and to the next line.
ADVANCE, LINE = 6, 12


def lettered(
    lines: Sequence[str], *, columns: int, rows: int, scale: int, margin: int, ink: int = 255
) -> NDArray[np.uint8]:
    """(rows, columns) grey values, 0 behind the letters. What is too long, or too much, is cut off.

    columns, rows: of the image.
    scale: pixels of one dot.
    margin: pixels around the text.
    """
    image = np.zeros((rows, columns), np.uint8)
    across = characters_across(columns, scale=scale, margin=margin)
    for number, line in enumerate(lines):
        top = margin + number * LINE * scale
        if top + GLYPH_ROWS * scale > rows - margin:
            break
        for place, character in enumerate(line[:across]):
            left = margin + place * ADVANCE * scale
            dots = np.kron(_glyph(character), np.full((scale, scale), ink, np.uint8))
            image[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
    return image


def characters_across(columns: int, *, scale: int, margin: int) -> int:
    """How many characters one line of an image holds."""
    return (columns - 2 * margin) // (ADVANCE * scale)


def lines_down(rows: int, *, scale: int, margin: int) -> int:
    """How many lines an image holds."""
    return (rows - 2 * margin) // (LINE * scale)


def _glyph(character: str) -> NDArray[np.uint8]:
    if not FIRST <= character <= LAST:
        character = "?"
    at = (ord(character) - ord(FIRST)) * GLYPH_COLUMNS
    columns = np.frombuffer(_COLUMNS[at : at + GLYPH_COLUMNS], np.uint8)
    dots = (columns[np.newaxis, :] >> np.arange(GLYPH_ROWS, dtype=np.uint8)[:, np.newaxis]) & 1
    return dots.astype(np.uint8)
