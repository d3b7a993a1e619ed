"""Why nothing came of a file, for people."""

from __future__ import annotations

from gateway.dicom.foreign import kind_of
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import UnreadableObject


def why(reason: str, data: ByteSource) -> str:
    """The code word, and what the file is when that is why it can't be read."""
    kind = kind_of(data) if reason == UnreadableObject.code else None
    return f"{reason}: {kind}, not DICOM" if kind else reason
