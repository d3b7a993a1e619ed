"""A warning for people and machines, in an object that is passed on although something is wrong with it."""

from __future__ import annotations

from gateway.dicom import part10
from gateway.dicom.elements import encode
from gateway.dicom.lazy_bytes import ByteSource

# LT, up to 10240 characters (PS3.3 C.7.6.1, PS3.5 table 6.2-1).
IMAGE_COMMENTS = 0x00204000
COMMENT_BYTES_MAX = 10240


def with_warning(data: ByteSource, warning: str) -> ByteSource:
    """The file with `SEALGATE: <warning>` before the present Image Comments.

    A comment that begins with this warning stays as it is. Present comments that leave no room are dropped.

    warning: ASCII, so that it reads the same in every character set.
    Raises UnreadableObject when the file can't be parsed.
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
