"""DICOM Part 10 files and data sets (PS3.5, PS3.10): elements with their bytes, and whether there is one reading."""

from __future__ import annotations

import functools
import re
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.second_reader import doubts as in_values

SPECIFICATION = Path(__file__).parents[2] / "gateway" / "seal"

COUNTED = frozenset(["AT", "DS", "FD", "FL", "IS", "SL", "SQ", "SS", "SV", "UL", "US", "UV"])
LATER = frozenset(["OD", "OF", "OL", "OV", "SV", "UC", "UR", "UT", "UV"])
LONG = LATER | frozenset(["OB", "OW", "SQ", "UN"])
# Those whose bytes depend on Specific Character Set.
CHARACTERS = frozenset(["LO", "SH", "UC", "LT", "ST", "UT", "PN"])
TEXT = CHARACTERS | frozenset(["AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR", "DS", "IS"])
VRS = COUNTED | LONG | TEXT
SHOWN = frozenset({
    0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040, 0x0042, 0x0054, 0x0062, 0x0070, 0x5200, 0x7FE0,
    *range(0x3002, 0x3010, 2), *range(0x5000, 0x5020, 2), *range(0x6000, 0x6020, 2),
})  # fmt: skip
WORDS = {
    "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8, "US": 2, "SS": 2, "US/SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4,
    "FD": 8, "SV": 8, "UV": 8,
}  # fmt: skip
PIXEL_DATA, PER_FRAME, CHARACTER_SET = 0x7FE00010, 0x52009230, 0x00080005
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
DEEPEST = 60  # so many sequences may be around another

IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
SYNTAXES = (IMPLICIT, EXPLICIT, BIG)
NATIVE = frozenset({IMPLICIT, EXPLICIT, BIG, DEFLATED})
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
JPEG_2000 = frozenset(JPEG + n for n in ("90", "91", "92", "93", "201", "202", "203"))
SAMPLES = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "ARGB": 4, "CMYK": 4, "RGB": 3, "HSV": 3, "XYB": 3,
    "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_PARTIAL_422": 3, "YBR_PARTIAL_420": 3, "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip
VIDEO = frozenset(JPEG + f"{n}{end}" for n in range(100, 109) for end in ("", ".1"))
LOSSY = VIDEO | {f"{JPEG}{n}" for n in (50, 51, 53, 55, 81, 91, 93, 111, 112, 113, 203)}


class Unreadable(ValueError):
    """The file can't be parsed."""


@dataclass(frozen=True)
class Encoding:
    explicit: bool
    big: bool

    @property
    def number(self) -> int:
        """Entry 2 of the header as received."""
        return 2 if self.big else int(self.explicit)


IMPLICIT_LITTLE = Encoding(False, False)


@dataclass
class Element:
    """written: the VR in the file, None in implicit. head: the bytes before the value; body: those of the value,
    with its delimiter."""

    tag: int
    written: str | None
    head: bytes
    body: bytes
    encoding: Encoding
    undefined: bool = False
    items: list[dict[int, Element]] | None = None
    fragments: list[bytes] | None = None

    @property
    def vr(self) -> str:
        """The VR by which the value is read, "US/SS" where the data set decides (FORMAT.md, "Canonical values")."""
        known = vr_of(self.tag)
        if self.undefined and self.tag != PIXEL_DATA:
            return "SQ"
        if known is None:
            return "SQ" if self.written == "SQ" else "UN"
        if "OW" in known.split("/"):
            return "OW" if self.written in (None, "OW", "US", "SS", "UN") else str(self.written)
        if self.written not in (None, "UN"):
            return str(self.written)
        return known

    @property
    def read_by(self) -> str:
        """The VR as written, or that of the dictionary; empty where neither tells."""
        return self.written if self.written not in (None, "UN") else vr_of(self.tag) or ""

    def little(self, word: int | None = None) -> bytes:
        """The value in little endian; word: bytes a number, by the VR where not given."""
        size = word or WORDS.get((self.written if self.vr == "UN" else self.vr) or "", 1)
        return swapped(self.body, size) if self.encoding.big and not len(self.body) % size else self.body

    @property
    def text(self) -> str:
        return self.body.decode("latin-1").strip(" \0")


@dataclass
class File:
    """A parsed file. syntax: the one that its encoding has where there is no file meta information. doubts: why there
    is more than one reading; twice: the top-level elements that stand twice."""

    syntax: str
    encoding: Encoding
    elements: dict[int, Element]
    dataset: bytes
    doubts: list[str] = field(default_factory=list)
    twice: frozenset[int] = frozenset()

    def text(self, tag: int) -> str:
        element = self.elements.get(tag)
        return "" if element is None else element.text

    def number(self, tag: int) -> int | None:
        """The first value of US, or of IS; None when absent or empty."""
        element = self.elements.get(tag)
        if element is None or not element.body:
            return None
        if element.vr == "IS":
            return int(element.text) if re.fullmatch("[+-]?[0-9]{1,12}", element.text) else None
        return int.from_bytes(element.little(2)[:2], "little")


@functools.cache
def dictionary() -> dict[int, str]:
    """Edition 1: the VR or VRs of each standard element."""
    known: dict[int, str] = {}
    for line in (SPECIFICATION / "header" / "dictionary-1.txt").read_text().splitlines():
        group, vr, *elements = line.split()
        if group == "#":
            continue
        groups = [f"{group[:2]}{n:02X}" for n in range(0, 0x20, 2)] if group.endswith("xx") else [group]
        known |= {int(g + element, 16): vr for g in groups for element in elements}
    return known


def vr_of(tag: int) -> str | None:
    return dictionary().get(tag)


def swapped(value: bytes, size: int) -> bytes:
    """Each whole word of `size` bytes reversed; what is left over stays."""
    whole = len(value) // size * size
    return (
        b"".join(value[i : i + size][::-1] for i in range(0, whole, size)) + value[whole:]
        if size > 1
        else value
    )


class Parser:
    """Reads one data set; `doubts` collects what more than one reading hangs on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.doubts: list[str] = []

    def elements(
        self, at: int, end: int, encoding: Encoding, *, depth: int = 0, delimited: bool = False
    ) -> tuple[list[Element], int]:
        found: list[Element] = []
        before = -1
        while delimited or at < end:
            element, at, delimiter = self._element(at, end, encoding, depth, delimited)
            if element is None:
                if delimiter:
                    self.doubts.append("a delimiter has a length")
                return found, at
            if element.tag <= before:
                self.doubts.append(f"{element.tag:08X} does not ascend")
            if element.tag >> 16 < 8 and element.tag >> 16 != 4:
                self.doubts.append(f"{element.tag:08X} in the data set")
            if element.tag == CHARACTER_SET and element.written not in (None, "CS"):
                self.doubts.append("a character set that is no CS")
            if element.tag in (0x00FF4AA5, 0x031E0324):
                self.doubts.append(f"{element.tag:08X}, of which some readers make something else")
            before = element.tag
            self._doubt(element)
            found.append(element)
        if at != end:
            raise Unreadable("an element is longer than what holds it")
        return found, at

    def _take(self, at: int, size: int, end: int) -> bytes:
        if at + size > end:
            raise Unreadable("cut short")
        return self.data[at : at + size]

    def _tag(self, at: int, end: int, encoding: Encoding) -> int:
        group, number = struct.unpack(">HH" if encoding.big else "<HH", self._take(at, 4, end))
        return int(group << 16 | number)

    def _u32(self, at: int, end: int, encoding: Encoding) -> int:
        return int.from_bytes(self._take(at, 4, end), "big" if encoding.big else "little")

    def _element(
        self, at: int, end: int, encoding: Encoding, depth: int, delimited: bool
    ) -> tuple[Element | None, int, int]:
        """The element, where it ends, and the length of a delimiter in its place."""
        start, tag = at, self._tag(at, end, encoding)
        if tag >> 16 == 0xFFFE:
            if tag == ITEM_END and delimited:
                return None, at + 8, self._u32(at + 4, end, encoding)
            if depth:
                raise Unreadable(f"{tag:08X} among elements")
            self.doubts.append(f"{tag:08X} outside a sequence")
        written: str | None = None
        if encoding.explicit and tag >> 16 != 0xFFFE:
            written = self._take(at + 4, 2, end).decode("latin-1")
            if not (written.isascii() and written.isalpha() and written.isupper()):
                raise Unreadable(f"{tag:08X} has no VR")
            if written in LONG:
                at, length = at + 12, self._u32(at + 8, end, encoding)
            else:
                short = self._take(at + 6, 2, end)
                at, length = at + 8, int.from_bytes(short, "big" if encoding.big else "little")
        else:
            at, length = at + 8, self._u32(at + 4, end, encoding)
        element = Element(tag, written, self.data[start:at], b"", encoding, length == UNDEFINED)
        if element.undefined and tag == PIXEL_DATA:
            element.fragments, after = self._fragments(at, end, encoding)
        elif element.vr == "SQ":
            inner = encoding if written == "SQ" or written is None else IMPLICIT_LITTLE
            limit = None if element.undefined else at + length
            if limit is not None and limit > end:
                raise Unreadable("a sequence is longer than what holds it")
            element.items, after = self.items(at, limit, end, inner, depth + 1)
        else:
            after = at + length
            if after > end:
                raise Unreadable("a value is longer than what holds it")
        element.body = self.data[at:after]
        return element, after, 0

    def items(
        self, at: int, limit: int | None, end: int, encoding: Encoding, depth: int
    ) -> tuple[list[dict[int, Element]], int]:
        if depth > DEEPEST + 1:
            raise Unreadable("nested too deeply")
        items: list[dict[int, Element]] = []
        stop = end if limit is None else limit
        while limit is None or at < limit:
            tag, length = self._tag(at, stop, encoding), self._u32(at + 4, stop, encoding)
            at += 8
            if tag == SEQUENCE_END:
                if length or limit is not None:
                    self.doubts.append("a delimiter has a length, or stands where none is due")
                return items, at if limit is None else limit
            if tag != ITEM:
                raise Unreadable(f"{tag:08X} among items")
            if length == UNDEFINED:
                found, at = self.elements(at, stop, encoding, depth=depth, delimited=True)
            elif at + length > stop:
                raise Unreadable("an item is longer than what holds it")
            else:
                found, at = self.elements(at, at + length, encoding, depth=depth)
            items.append({element.tag: element for element in found})
        return items, at

    def _fragments(self, at: int, end: int, encoding: Encoding) -> tuple[list[bytes], int]:
        fragments: list[bytes] = []
        while True:
            tag, length = self._tag(at, end, encoding), self._u32(at + 4, end, encoding)
            at += 8
            if tag == SEQUENCE_END:
                if length:
                    self.doubts.append("a delimiter has a length")
                return fragments, at
            if tag != ITEM or length == UNDEFINED:
                raise Unreadable(f"{tag:08X} among fragments")
            fragments.append(self._take(at, length, end))
            at += length

    def _doubt(self, element: Element) -> None:
        """Rule 4 of "One reading", and zero bytes in text."""
        tag, written, known = element.tag, element.written, vr_of(element.tag)
        named = set(known.split("/")) if known else set()
        allowed = named | {"OB", "US", "SS"} if "OW" in named else named
        if written not in VRS | {None}:
            self.doubts.append(f"{tag:08X} has VR {written}")
        elif written == "UN" and known and not element.undefined and not _may_be_unknown(element, known):
            self.doubts.append(f"{tag:08X} has VR UN")
        elif known and written not in (None, "UN", *allowed) and COUNTED & (named | {written}):
            self.doubts.append(f"{tag:08X} has VR {written}")
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF and written not in ("LO", "UN", None):
            self.doubts.append(f"{tag:08X} is a private creator of VR {written}")
        if tag == PIXEL_DATA and written not in ("OB", "OW", None):
            self.doubts.append(f"pixel data in {written}")
        plain = written not in ("SQ", "UN", None) or (written != "SQ" and known not in (None, "SQ"))
        if element.undefined and tag != PIXEL_DATA and plain:
            self.doubts.append(f"{tag:08X} has an undefined length")
        if not element.undefined and element.read_by in TEXT and b"\0" in element.body.rstrip(b" \0"):
            self.doubts.append(f"{tag:08X} holds a zero byte")


def _may_be_unknown(element: Element, known: str) -> bool:
    """Whether an archive may not know better than UN."""
    long = len(element.body) > 0xFFFF and known not in LONG
    return not element.encoding.big and (long or known in LATER or element.tag >> 16 not in SHOWN)


def parse(data: bytes) -> File:
    """Raises Unreadable. A file without file meta information is read as its first element says."""
    if not data:
        raise Unreadable("an empty file")
    syntax, at = None, 0
    doubts: list[str] = []
    if data[128:132] == b"DICM" or data[:2] == b"\2\0":
        syntax, at, doubts = _meta(data)
    body = data[at:]
    if syntax == DEFLATED:
        inflater = zlib.decompressobj(-15)
        try:
            body = inflater.decompress(body)
        except zlib.error as error:
            raise Unreadable(str(error)) from error
        if not inflater.eof:
            raise Unreadable("the deflated data set is cut short")
        gzip = zlib.crc32(body).to_bytes(4, "little") + len(body).to_bytes(4, "little")
        if inflater.unused_data.rstrip(b"\0") not in (b"", gzip.rstrip(b"\0")):
            doubts.append("bytes behind the deflated data set")
    declared = Encoding(syntax != IMPLICIT, syntax == BIG) if syntax is not None else None
    encoding = _told(body) or declared or IMPLICIT_LITTLE
    if declared is not None and encoding != declared:
        doubts.append("another encoding than the transfer syntax says")
    parser = Parser(body)
    found, _ = parser.elements(0, len(body), encoding)
    if not found:
        raise Unreadable("no elements")
    elements = {element.tag: element for element in found}
    counted = Counter(element.tag for element in found)
    twice = frozenset(tag for tag, count in counted.items() if count > 1)
    doubts += parser.doubts
    doubts += in_values.of_values(elements)
    if (syntax or SYNTAXES[encoding.number]) in NATIVE and in_values.holds_fragments(elements):
        doubts.append("encapsulated pixel data against the transfer syntax")
    file = File(syntax or SYNTAXES[encoding.number], encoding, elements, body, doubts, twice)
    _pixel_doubts(file)
    return file


def _meta(data: bytes) -> tuple[str | None, int, list[str]]:
    """Transfer syntax, end and doubts of the file meta information: elements of group 0002, explicit little endian."""
    parser, at, syntax, stated = Parser(data), 132 if data[128:132] == b"DICM" else 0, None, None
    after, named, before, descends = at, b"", -1, False
    while at < len(data) and data[at : at + 2] == b"\x02\0":
        element, at, _ = parser._element(at, len(data), Encoding(True, False), 0, False)
        assert element is not None
        descends |= element.tag <= before
        before = element.tag
        if element.tag == 0x00020000:
            stated, after = int.from_bytes(element.body, "little"), at
        if element.tag == 0x00020010:
            syntax = element.text
            named = element.body.rstrip(b" \0")
    doubts = ["the transfer syntax is no UID"] if re.fullmatch(rb"[0-9.]*", named) is None else []
    doubts += ["the file meta information does not ascend"] if descends else []
    doubts += ["another group length"] if stated is not None and after + stated != at else []
    return syntax, at, doubts


def _told(body: bytes) -> Encoding | None:
    """What the first element tells."""
    if len(body) < 8:
        return None
    explicit = body[4:6].isalpha() and body[4:6].isupper()
    # There is no implicit big endian.
    return Encoding(explicit, explicit and body[:2] < body[1::-1])


def native_length(file: File) -> int | None:
    """What the description says, without a pad byte; None where it says nothing."""
    rows, columns, samples, bits = (file.number(t) for t in (0x00280010, 0x00280011, 0x00280002, 0x00280100))
    frames = frame_count(file)
    if not rows or not columns or not bits or frames is None:
        return None
    return (rows * columns * (samples or 1) * frames * bits + 7) // 8


def frame_count(file: File) -> int | None:
    """1 where Number of Frames is absent, empty or 0; None where it is no number."""
    text = file.text(0x00280008) or "1"
    return max(int(text), 1) if re.fullmatch("[0-9]{1,12}", text) else None


def _pixel_doubts(file: File) -> None:
    pixels = [
        file.elements[t] for t in (0x00287FE0, 0x7FE00008, 0x7FE00009, PIXEL_DATA) if t in file.elements
    ]
    if len(pixels) > 1:
        file.doubts.append("two kinds of pixel data")
    element = file.elements.get(PIXEL_DATA)
    if element is None:
        return
    _description_doubts(file)
    if element.undefined == (file.syntax in NATIVE):
        file.doubts.append("native or encapsulated pixel data against the transfer syntax")
    if not element.undefined:
        bits = file.number(0x00280100) or 0
        described = file.number(0x00280010) and file.number(0x00280011) and bits
        if (
            element.encoding.big
            and described
            and bits not in ((1, 8) if element.written == "OB" else (8, 16))
        ):
            file.doubts.append("native pixel data that readers swap in different ways")
        subsampled = file.text(0x00280004).endswith(("_422", "_420"))
        length = native_length(file)
        if not subsampled and length is not None and len(element.body) not in (length, length + length % 2):
            file.doubts.append("native pixel data of another length than described")
    elif frames(file) is None:
        file.doubts.append("fragments belong to frames in more than one way")


def _description_doubts(file: File) -> None:
    tags = (0x00280002, 0x00280006, 0x00280010, 0x00280011, *range(0x00280100, 0x00280104))
    for element in (file.elements[tag] for tag in tags if tag in file.elements):
        if element.written not in ("US", None) or len(element.body) not in (0, 2):
            file.doubts.append(f"{element.tag:08X} is not one number")
    if file.number(0x00280103) not in (None, 0, 1):
        file.doubts.append("a pixel representation that is none")
    bits, stored, rows, columns = (file.number(t) for t in (0x00280100, 0x00280101, 0x00280010, 0x00280011))
    if not rows or not columns or bits not in (1, 8, 16, 32) or not stored or stored > bits:
        return
    if frame_count(file) is None:
        return
    highest, samples = file.number(0x00280102), file.number(0x00280002) or 1
    if highest not in (None, stored - 1):
        file.doubts.append("a high bit that is not the highest stored")
    if file.text(0x00280004) in ("YBR_RCT", "YBR_ICT") and file.syntax not in JPEG_2000:
        file.doubts.append("a photometric interpretation of JPEG 2000 alone")
    if samples != SAMPLES.get(file.text(0x00280004), samples):
        file.doubts.append("samples per pixel against the photometric interpretation")


def frames(file: File) -> list[bytes] | None:
    """The bytes of each frame of encapsulated pixel data; None where that is not said in one way."""
    element = file.elements[PIXEL_DATA]
    assert element.fragments is not None
    table, *fragments = element.fragments or [b""]
    number = frame_count(file)
    extended, lengths = (_longs(file, tag) for tag in (0x7FE00001, 0x7FE00002))
    starts, at = [], 0
    for fragment in fragments:
        starts.append(at)
        at += 8 + len(fragment)
    if number is None or len(table) % 4 or not fragments:
        return None
    offsets = [int.from_bytes(table[i : i + 4], "little") for i in range(0, len(table), 4)]
    if file.syntax in VIDEO:
        number = 1
    if extended:
        if offsets or extended != starts or len(fragments) != number or len(lengths) != number:
            return None
        pairs = list(zip(fragments, lengths, strict=True))
        right = all(len(f) == n or (len(f) == n + 1 and f[-1] == 0) for f, n in pairs)
        return fragments if right else None
    if number == 1:
        return [b"".join(fragments)] if offsets in ([], [0]) else None
    if offsets:
        ascending = offsets[0] == 0 and all(a < b for a, b in pairwise(offsets))
        if len(offsets) != number or not ascending or not set(offsets) <= set(starts):
            return None
        cuts = [starts.index(offset) for offset in offsets] + [len(fragments)]
        return [b"".join(fragments[a:b]) for a, b in pairwise(cuts)]
    return fragments if len(fragments) == number else None


def _longs(file: File, tag: int) -> list[int]:
    element = file.elements.get(tag)
    body = b"" if element is None else element.little(8)
    return [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body), 8)]
