"""The wrapper of a DICOM file around data set bytes that are kept as they are (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.errors import UnreadableObject

IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.8.498.71019472284130562984"
IMPLEMENTATION_VERSION = "SEALGATE_0.1"
# Value representations with a length of 32 bits (PS3.5 7.1.2)
_LONG = frozenset(b"OB OW OF OD OL OV SQ UC UN UR UT SV UV".split())
_SOP_CLASS, _SOP_INSTANCE, _SYNTAX = 0x00020002, 0x00020003, 0x00020010


@dataclass(frozen=True)
class Wrapper:
    """What the file meta information says, and where the data set begins (bytes from the start of the file)."""

    sop_class: str
    sop_instance: str
    syntax: str
    offset: int


def wrap(*, sop_class: str, sop_instance: str, syntax: str) -> bytes:
    """Preamble, magic and file meta information: what precedes a data set in a file."""
    elements = (
        struct.pack("<HH2sHI", 2, 0x0001, b"OB", 0, 2)
        + b"\x00\x01"
        + _text(_SOP_CLASS, b"UI", sop_class, b"\0")
        + _text(_SOP_INSTANCE, b"UI", sop_instance, b"\0")
        + _text(_SYNTAX, b"UI", syntax, b"\0")
        + _text(0x00020012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0")
        + _text(0x00020013, b"SH", IMPLEMENTATION_VERSION, b" ")
    )
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements


def unwrap(data: bytes) -> Wrapper:
    """Read the beginning of a file. Raises UnreadableObject when meta information is missing or damaged."""
    if data[128:132] != b"DICM":
        raise UnreadableObject("no DICOM file: the magic is missing")
    values: dict[int, str] = {}
    at = 132
    try:
        while data[at : at + 2] == b"\x02\x00":
            element, vr = struct.unpack_from("<H2s", data, at + 2)
            form, start = ("<I", at + 12) if vr in _LONG else ("<H", at + 8)
            (length,) = struct.unpack_from(form, data, start - struct.calcsize(form))
            if start + length > len(data):
                raise UnreadableObject("the file meta information runs past the end")
            values[0x00020000 | element] = (
                data[start : start + length].decode("ascii", "replace").strip(" \0")
            )
            at = start + length
    except struct.error as error:
        raise UnreadableObject("the file meta information is cut off") from error
    missing = [f"{tag:08X}" for tag in (_SOP_CLASS, _SOP_INSTANCE, _SYNTAX) if not values.get(tag)]
    if missing:
        raise UnreadableObject(f"file meta information lacks {', '.join(missing)}")
    return Wrapper(values[_SOP_CLASS], values[_SOP_INSTANCE], values[_SYNTAX], at)


def _text(tag: int, vr: bytes, value: str, padding: bytes) -> bytes:
    raw = value.encode("ascii", "replace")
    raw += padding * (len(raw) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw
