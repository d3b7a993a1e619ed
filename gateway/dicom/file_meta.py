"""The wrapper that makes a file of a data set: preamble and file meta information (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import file_meta
from gateway.dicom.tags import (
    MEDIA_STORAGE_SOP_CLASS_UID,
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
)
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.errors import UnreadableObject

_NEEDED = (MEDIA_STORAGE_SOP_CLASS_UID, MEDIA_STORAGE_SOP_INSTANCE_UID, TRANSFER_SYNTAX_UID)


@dataclass(frozen=True)
class Wrapper:
    """What the file meta information says.

    sop_class, sop_instance, syntax: UIDs.
    offset: where the data set begins, in bytes from the start of the file.
    """

    sop_class: str
    sop_instance: str
    syntax: str
    offset: int


def wrap(*, sop_class: str, sop_instance: str, syntax: str) -> bytes:
    """What precedes a data set in a file: preamble, magic and file meta information.

    sop_class, sop_instance, syntax: UIDs.
    """
    elements = (
        struct.pack("<HH2sHI", 2, 0x0001, b"OB", 0, 2)
        + b"\x00\x01"
        + _text(MEDIA_STORAGE_SOP_CLASS_UID, b"UI", sop_class, b"\0")
        + _text(MEDIA_STORAGE_SOP_INSTANCE_UID, b"UI", sop_instance, b"\0")
        + _text(TRANSFER_SYNTAX_UID, b"UI", syntax, b"\0")
        + _text(0x00020012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0")
        + _text(0x00020013, b"SH", IMPLEMENTATION_VERSION, b" ")
    )
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements


def unwrap(data: ByteSource) -> Wrapper:
    """Read the beginning of a file.

    Raises UnreadableObject when the magic or file meta information is missing or damaged.
    """
    if data[128:132] != b"DICM":
        raise UnreadableObject("no DICOM file: the magic is missing")
    meta, at = file_meta(data)
    values = {tag: meta[tag].decode("ascii", "replace").strip(" \0") for tag in _NEEDED if tag in meta}
    missing = [f"{tag:08X}" for tag in _NEEDED if not values.get(tag)]
    if missing:
        raise UnreadableObject(f"file meta information lacks {', '.join(missing)}")
    sop_class, sop_instance, syntax = (values[tag] for tag in _NEEDED)
    return Wrapper(sop_class, sop_instance, syntax, at)


def _text(tag: int, vr: bytes, value: str, padding: bytes) -> bytes:
    raw = value.encode("ascii", "replace")
    raw += padding * (len(raw) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw
