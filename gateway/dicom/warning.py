"""A warning, for people and machines, in an object that is passed on although something is wrong."""

from __future__ import annotations

from gateway.dicom import part10
from gateway.dicom.elements import encode
from gateway.dicom.lazy_bytes import ByteSource

IMAGE_COMMENTS = 0x00204000  # LT, up to 10240 characters (PS3.3 C.7.6.1, PS3.5 table 6.2-1)
COMMENT_BYTES_MAX = 10240


def with_warning(data: ByteSource, warning: str) -> ByteSource:
    """The file with `SEALGATE: <warning>` before whatever Image Comments says.

    warning: ASCII, so that it reads the same in every character set. Raises UnreadableObject.
    """
    file = part10.read(data)
    line = f"SEALGATE: {warning}".encode("ascii")
    present = (file.value(IMAGE_COMMENTS) or b"").strip(b" \0")
    if present.startswith(line):
        return data
    value = line + (b"\r\n" + present if present else b"")
    if len(value) > COMMENT_BYTES_MAX:
        value = line
    return file.rewritten({IMAGE_COMMENTS: encode(IMAGE_COMMENTS, b"LT", value, file.encoding)})
