"""The wrapper of a DICOM file around data set bytes that are kept as they are (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import file_meta
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.errors import UnreadableObject

_NEEDED = _SOP_CLASS, _SOP_INSTANCE, _SYNTAX = 0x00020002, 0x00020003, 0x00020010


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


def unwrap(data: ByteSource) -> Wrapper:
    """Read the beginning of a file. Raises UnreadableObject when meta information is missing or damaged."""
    if data[128:132] != b"DICM":
        raise UnreadableObject("no DICOM file: the magic is missing")
    meta, at = file_meta(data)
    values = {tag: meta[tag].decode("ascii", "replace").strip(" \0") for tag in _NEEDED if tag in meta}
    missing = [f"{tag:08X}" for tag in _NEEDED if not values.get(tag)]
    if missing:
        raise UnreadableObject(f"file meta information lacks {', '.join(missing)}")
    return Wrapper(values[_SOP_CLASS], values[_SOP_INSTANCE], values[_SYNTAX], at)


def _text(tag: int, vr: bytes, value: str, padding: bytes) -> bytes:
    raw = value.encode("ascii", "replace")
    raw += padding * (len(raw) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw
