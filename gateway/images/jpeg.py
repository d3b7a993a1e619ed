"""Baseline JPEG streams (ITU-T T.81), as PS3.5 8.2.1 has them in pixel data."""

from __future__ import annotations

from dataclasses import dataclass

_SOF0, _EOI, _SOS, _COM, _DAC = 0xC0, 0xD9, 0xDA, 0xFE, 0xCC
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
# JFIF and Adobe say how colours are coded. Others (Exif, XMP, comments, previews) may tell who and where.
_APP0, _APP14 = 0xE0, 0xEE


@dataclass(frozen=True)
class Baseline:
    """A stream that may stand in pixel data. rgb: its components are RGB, not YCbCr."""

    stream: bytes
    rgb: bool


def baseline(data: bytes) -> Baseline | None:
    """The JPEG without application data and comments, its compressed pixels as they are.

    None when it is no sequential Huffman-coded JPEG of 8 bits with one or three components, or is not complete.
    """
    kept, at, components, rgb = bytearray(b"\xff\xd8"), 2, b"", False
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            if not components:
                return None
            break
        if marker in _WITHOUT_LENGTH:
            return None
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            return None
        content = data[at + 4 : end]
        if marker in _FRAMES:
            if marker != _SOF0 or components or len(content) < 6 or content[0] != 8:
                return None
            components = content[6::3]
            if len(components) not in (1, 3):
                return None
        if marker == _DAC:
            return None
        if marker == _APP14 and content[:5] == b"Adobe" and len(content) >= 12:
            rgb = content[11] == 0
            kept += data[at:end]
        elif marker == _APP0 and content[:5] == b"JFIF\0":
            # Its thumbnail is left out.
            kept += b"\xff\xe0\x00\x10" + content[:12] + b"\0\0" if len(content) >= 14 else b""
        elif not (0xE0 <= marker <= 0xEF or marker == _COM):
            kept += data[at:end]
        at = end
        if marker == _SOS:
            following = _end_of_scan(data, at)
            if following is None:
                return None
            kept += data[at:following]
            at = following
            if data[at + 1] == _EOI:
                break
    kept += b"\xff\xd9"
    return Baseline(bytes(kept), (rgb and len(components) == 3) or components == b"RGB")


def _end_of_scan(data: bytes, at: int) -> int | None:
    """Where the next marker stands that ends the entropy-coded data from `at` on; None when there is none."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] not in {0x00, 0xFF, *range(0xD0, 0xD8)}:
            return at
        at += 1 if data[at + 1] == 0xFF else 2
    return None
