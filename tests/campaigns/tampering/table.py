"""All rows, in the order of the document."""

from __future__ import annotations

from tests.campaigns.tampering import (
    block,
    display,
    geometry,
    harmless,
    identity,
    pixels,
    quantity,
    readers,
    structure,
)
from tests.campaigns.tampering.change import Change

CHANGES: tuple[Change, ...] = (
    *identity.CHANGES,
    *pixels.CHANGES,
    *display.CHANGES,
    *geometry.CHANGES,
    *quantity.CHANGES,
    *structure.CHANGES,
    *readers.CHANGES,
    *block.CHANGES,
)
HARMLESS: tuple[Change, ...] = harmless.CHANGES
