"""Text by Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2), and whether readers agree on it."""

from __future__ import annotations

import re

CHARACTER_SETS = {
    "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859_2", "ISO_IR 109": "iso8859_3", "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5", "ISO_IR 127": "iso8859_6", "ISO_IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9", "ISO_IR 203": "iso8859_15", "ISO_IR 13": "shift_jis", "ISO_IR 166": "tis_620",
    "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk",
}  # fmt: skip
# Escape sequence: codec, and whether its set is two bytes of seven bits each (PS3.3 tables C.12-3 and C.12-4).
ESCAPES = {
    b"\x1b(B": ("latin-1", False), b"\x1b-A": ("latin-1", False), b"\x1b-B": ("iso8859_2", False),
    b"\x1b-C": ("iso8859_3", False), b"\x1b-D": ("iso8859_4", False), b"\x1b-L": ("iso8859_5", False),
    b"\x1b-G": ("iso8859_6", False), b"\x1b-F": ("iso8859_7", False), b"\x1b-H": ("iso8859_8", False),
    b"\x1b-M": ("iso8859_9", False), b"\x1b-b": ("iso8859_15", False), b"\x1b-T": ("tis_620", False),
    b"\x1b)I": ("shift_jis", False), b"\x1b(J": ("shift_jis", False), b"\x1b$B": ("iso2022_jp", True),
    b"\x1b$(D": ("iso2022_jp_2", True), b"\x1b$)C": ("euc_kr", False), b"\x1b$)A": ("gb2312", False),
}  # fmt: skip
_SPLIT = re.compile(b"(" + b"|".join(re.escape(sequence) for sequence in ESCAPES) + b")")
_DELIMITER = re.compile(rb"[\\^=\r\n\f\t]")
# Without code extensions; with them, of one byte and of two.
_ALONE = frozenset({"", "ISO_IR 6", *CHARACTER_SETS})
_ONE = [6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203]
_FIRST = frozenset({"", *(f"{kind} {number}" for number in _ONE for kind in ("ISO_IR", "ISO 2022 IR"))})
_LATER = frozenset(f"ISO 2022 IR {number}" for number in [*_ONE, 58, 87, 149, 159])
_ANNOUNCED = {
    "13": [b"\x1b)I", b"\x1b(J"], "100": [b"\x1b-A"], "101": [b"\x1b-B"], "109": [b"\x1b-C"], "110": [b"\x1b-D"],
    "144": [b"\x1b-L"], "127": [b"\x1b-G"], "126": [b"\x1b-F"], "138": [b"\x1b-H"], "148": [b"\x1b-M"],
    "203": [b"\x1b-b"], "166": [b"\x1b-T"], "87": [b"\x1b$B"], "159": [b"\x1b$(D"], "149": [b"\x1b$)C"],
    "58": [b"\x1b$)A"],
}  # fmt: skip


def decoded(value: bytes, terms: str) -> str | None:
    """`value` as text by Specific Character Set; None where it does not decode. Escape sequences are followed whether
    or not Specific Character Set lists their sets."""
    first = CHARACTER_SETS.get(terms.split("\\")[0].strip(" \0").replace("ISO 2022 IR", "ISO_IR"), "latin-1")
    head, *parts = _SPLIT.split(value)
    try:
        text = head.decode(first)
        for sequence, run in zip(parts[::2], parts[1::2], strict=True):
            codec, stays = ESCAPES[sequence]
            if stays:
                text += (sequence + run).decode(codec)
                continue
            cut = match.start() if (match := _DELIMITER.search(run)) else len(run)
            text += run[:cut].decode(codec) + run[cut:].decode(first)
    except UnicodeDecodeError:
        return None
    return None if "\N{REPLACEMENT CHARACTER}" in text or "\x1b" in text else text


def is_in_doubt(value: bytes, terms: str, outer: str) -> bool:
    """FORMAT.md, "One reading", 6. terms: Specific Character Set; outer: of what is around the item."""
    if value.isascii() and b"\x1b" not in value:
        return False
    names = [name.rstrip(" \0") for name in terms.split("\\")]
    if b"\x1b" in value or len(names) > 1 or names[0] not in _ALONE:
        extended = len(names) > 1 or names[0].startswith("ISO 2022 IR")
        if not extended or names[0] not in _FIRST or not _LATER.issuperset(names[1:]):
            return True
        sequences = [b"\x1b(B", *(one for name in names for one in _ANNOUNCED.get(name.split(" ")[-1], []))]
        if any(not part.startswith(tuple(one[1:] for one in sequences)) for part in value.split(b"\x1b")[1:]):
            return True
    if any(name.split(" ")[-1] == "13" for name in names) and any(
        0x80 <= byte <= 0xA0 or byte >= 0xE0 for byte in value
    ):
        return True
    text = decoded(value, terms)
    if terms != outer and text != decoded(value, outer):
        return True
    return names == ["ISO_IR 203"] and text != decoded(value, "ISO_IR 100")
