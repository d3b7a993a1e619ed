"""The VRs of the standard elements, as the format fixes them (FORMAT.md, "Signed header").

pydicom has such a dictionary too. But a digest must not change because a library learned a new element, so the format
has its own, with a number, that never changes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydicom.datadict import keyword_for_tag

EDITION = 1
# Repeating groups of PS3.5 7.6: curves and overlays.
_REPEATED = range(0x00, 0x20, 2)


@cache
def vrs(edition: int = EDITION) -> dict[int, str]:
    """Tag -> VR; several are joined by a slash, as in `US/SS`."""
    table: dict[int, str] = {}
    text = files("gateway.seal.header").joinpath(f"dictionary-{edition}.txt").read_text("ascii")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        group, vr, *elements = line.split()
        repeated = group.endswith("xx")
        for step in _REPEATED if repeated else [0]:
            number = int(group[:2], 16) << 8 | step if repeated else int(group, 16)
            table |= {number << 16 | int(element, 16): vr for element in elements}
    return table


def name_of(tag: int) -> str:
    """The keyword of an element, or its tag as `(GGGG,EEEE)` when it has none. Overlays get their group in front."""
    keyword = keyword_for_tag(tag)
    if not keyword:
        return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    repeats = tag >> 24 in (0x50, 0x60) and tag >> 16 & 0xFF
    return f"{keyword}({tag >> 16:04X})" if repeats else keyword
