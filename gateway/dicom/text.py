"""Text values: from bytes in the character set of an object to Unicode, strictly (PS3.5 6.1.2, PS3.3 C.12.1.1.2).

For people, pydicom decodes as well as it can. Here text is decoded to be compared: what does not decode is no text.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Defined terms (PS3.3 tables C.12-2 to C.12-5) -> Python codec. An undefined term counts as the default repertoire.
CODECS = {
    "": "latin-1", "ISO_IR 6": "latin-1", "ISO 2022 IR 6": "latin-1",
    "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859-2", "ISO_IR 109": "iso8859-3", "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6", "ISO_IR 126": "iso8859-7", "ISO_IR 138": "iso8859-8",
    "ISO_IR 148": "iso8859-9", "ISO_IR 203": "iso8859-15", "ISO_IR 166": "tis-620",
}  # fmt: skip
# Escape sequence -> codec, and whether two bytes of seven bits make a character until the next escape (PS3.5 6.1.2.5).
_ESCAPES = {
    b"\x1b(B": ("latin-1", False), b"\x1b-A": ("latin-1", False), b"\x1b-B": ("iso8859-2", False),
    b"\x1b-C": ("iso8859-3", False), b"\x1b-D": ("iso8859-4", False), b"\x1b-L": ("iso8859-5", False),
    b"\x1b-G": ("iso8859-6", False), b"\x1b-F": ("iso8859-7", False), b"\x1b-H": ("iso8859-8", False),
    b"\x1b-M": ("iso8859-9", False), b"\x1b-b": ("iso8859-15", False), b"\x1b-T": ("tis-620", False),
    b"\x1b)I": ("shift_jis", False), b"\x1b(J": ("shift_jis", False),
    b"\x1b$B": ("iso2022_jp", True), b"\x1b$(D": ("iso2022_jp_2", True),
    b"\x1b$)C": ("euc_kr", False), b"\x1b$)A": ("gb2312", False),
}  # fmt: skip
_ESCAPE = re.compile(b"|".join(re.escape(escape) for escape in sorted(_ESCAPES, key=len, reverse=True)))
# Behind one of these the first character set holds again (PS3.5 6.1.2.5.3).
_DELIMITER = re.compile(rb"[\\^=\r\n\f\t]")


def decoded(raw: bytes, charset: bytes) -> str | None:
    """The text of a value, or None when the bytes are no text in this character set.

    raw: of VR SH, LO, UC, ST, LT, UT or PN.
    charset: the value of Specific Character Set; empty for the default repertoire.
    """
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    codec = _first_codec(charset)
    try:
        text = _with_escapes(raw, codec) if b"\x1b" in raw else raw.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if "\N{REPLACEMENT CHARACTER}" in text or "\x1b" in text else text


def encoded(text: str, charset: bytes) -> bytes | None:
    """The inverse of `decoded`, without escape sequences: None when the first character set does not hold the text."""
    if text.isascii():
        return text.encode("ascii")
    try:
        return text.encode(_first_codec(charset)) if charset else None
    except UnicodeEncodeError:
        return None


@lru_cache(maxsize=64)
def _first_codec(charset: bytes) -> str:
    term = charset.split(b"\\")[0].decode("latin-1").strip(" \0")
    return CODECS.get(term.replace("ISO 2022 IR", "ISO_IR"), "latin-1")


def _with_escapes(raw: bytes, first: str) -> str:
    """Raises UnicodeDecodeError."""
    escapes = list(_ESCAPE.finditer(raw))
    ends = [match.start() for match in escapes[1:]] + [len(raw)]
    pieces = [raw[: escapes[0].start() if escapes else len(raw)].decode(first)]
    for match, end in zip(escapes, ends if escapes else [], strict=True):
        codec, two_bytes = _ESCAPES[match.group()]
        if two_bytes:
            # Delimiters are no delimiters among double bytes; the codec wants to see the escape sequence.
            pieces.append(raw[match.start() : end].decode(codec))
            continue
        content = raw[match.end() : end]
        delimiter = _DELIMITER.search(content)
        cut = delimiter.start() if delimiter else len(content)
        pieces += [content[:cut].decode(codec), content[cut:].decode(first)]
    return "".join(pieces)
