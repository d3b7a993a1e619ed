"""Whether readers can only read a text in one way (FORMAT.md, "One reading").

Text in ASCII is safe. Beyond it everything depends on Specific Character Set, and where that is not one of the defined
terms, or does not announce what the text uses, every reader guesses in its own way.
"""

from __future__ import annotations

import re

from gateway.dicom.text import decoded

# Terms without code extensions (PS3.3 tables C.12-2 and C.12-5), and the numbers of those with (C.12-3 and C.12-4).
_ONE_BYTE = frozenset(b"6 13 100 101 109 110 126 127 138 144 148 166 203".split())
_MORE_BYTES = frozenset(b"58 87 149 159".split())
_ALONE = frozenset({b"", b"ISO_IR 192", b"GB18030", b"GBK"} | {b"ISO_IR " + number for number in _ONE_BYTE})
# The escape sequences that a term announces.
_ESCAPES = {
    b"13": (b"\x1b)I", b"\x1b(J"),
    b"100": (b"\x1b-A",), b"101": (b"\x1b-B",), b"109": (b"\x1b-C",), b"110": (b"\x1b-D",),
    b"126": (b"\x1b-F",), b"127": (b"\x1b-G",), b"138": (b"\x1b-H",), b"144": (b"\x1b-L",), b"148": (b"\x1b-M",),
    b"166": (b"\x1b-T",), b"203": (b"\x1b-b",), b"58": (b"\x1b$)A",), b"87": (b"\x1b$B",), b"149": (b"\x1b$)C",),
    b"159": (b"\x1b$(D",),
}  # fmt: skip
_ASCII = b"\x1b(B"
# JIS X 0201 (ISO_IR 13) has no characters there; readers take them for the first bytes of Shift JIS.
_NOT_IN_JIS_X_0201 = re.compile(rb"[\x80-\xa0\xe0-\xff]")


def objection(raw: bytes, charset: bytes, around: bytes) -> str:
    """Why readers could read a text in different ways; empty when they can't. It holds no value.

    raw: a value of VR SH, LO, UC, ST, LT, UT or PN.
    charset: Specific Character Set of the data set or the item.
    around: the one of what is around it, to which readers keep that take no notice of the one in an item.
    """
    if raw.isascii() and b"\x1b" not in raw:
        return ""
    terms = [term.rstrip(b" \0") for term in charset.split(b"\\")]
    allowed = _allowed(terms)
    if allowed is None:
        return "is text in a character set that is not defined"
    if any(not raw.startswith(allowed, match.start()) for match in re.finditer(b"\x1b", raw)):
        return "holds an escape sequence that its character set does not announce"
    if any(term.endswith(b"IR 13") for term in terms) and _NOT_IN_JIS_X_0201.search(raw):
        return "holds bytes that are no characters of its character set"
    if charset != around and decoded(raw, charset) != decoded(raw, around):
        return "is text in a character set that only its item has"
    if terms == [b"ISO_IR 203"] and decoded(raw, charset) != raw.decode("latin-1"):
        return "is text in a character set that readers do not know"
    return ""


def _allowed(terms: list[bytes]) -> tuple[bytes, ...] | None:
    """The escape sequences that may stand in a text; None where the terms are not those of PS3.3 C.12.1.1.2."""
    first, *others = terms
    if not others and first in _ALONE:
        return ()
    number = first.removeprefix(b"ISO 2022 IR ").removeprefix(b"ISO_IR ")
    if first and (number not in _ONE_BYTE or first not in (b"ISO 2022 IR " + number, b"ISO_IR " + number)):
        return None
    numbers = [other.removeprefix(b"ISO 2022 IR ") for other in others]
    if any(
        number not in _ONE_BYTE | _MORE_BYTES or other == number
        for number, other in zip(numbers, others, strict=True)
    ):
        return None
    return (_ASCII, *(escape for one in (number, *numbers) for escape in _ESCAPES.get(one, ())))
