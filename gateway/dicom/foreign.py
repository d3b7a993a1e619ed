"""What a file is that is not DICOM, so that people are told a word they know."""

from __future__ import annotations

from gateway.dicom.lazy_bytes import ByteSource

# First bytes -> what they are the beginning of.
BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"BM", "a BMP image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"-----BEGIN ", "a PEM file, such as a key or a certificate"),
    (b"<?xml", "an XML file"),
    (b"<!DOCTYPE html", "an HTML page"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x5c\x01\0\0", "a NIfTI image"),
    (b"NRRD0", "an NRRD image"),
)
LOOKED_AT = 512
# Of a text: what may stand in it besides letters.
BLANKS = frozenset("\t\n\r\f")


def kind_of(data: ByteSource) -> str | None:
    """Such as "a PNG image"; None when nobody here knows. Only for what can't be read as DICOM.

    The preamble of a DICOM file may be that of a TIFF image (PS3.10 7.1), so that a beginning alone proves nothing.
    """
    head = data[:LOOKED_AT]
    if not head:
        return "an empty file"
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if data[257:262] == b"ustar":
        return "a tar archive"
    if not head.strip(b"\0"):
        return "a file of zeros"
    return "a text file" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut off at the end.
        text = head.decode("utf-8") if len(head) < LOOKED_AT else head[:-3].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in BLANKS for character in text)
