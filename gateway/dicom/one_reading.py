"""Whether standard readers can only read an object in one way (FORMAT.md, "One reading").

Readers tolerate much, and not the same. A file that two of them read differently can show one patient to a gateway and
another to a radiologist, so everything is objected to here that PS3.5 and PS3.10 leave no room for.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gateway.dicom import text_reading
from gateway.dicom.elements import (
    IMPLICIT_LE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    NESTING_MAX,
    SEQUENCE_END,
    Element,
    Encoding,
    header,
    items,
    walk,
)
from gateway.dicom.encapsulation import fragments
from gateway.dicom.image import frame_count, pixel_format
from gateway.dicom.lazy_bytes import ByteRange
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import codestreams
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    META_GROUP_LENGTH,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
    TRANSFER_SYNTAX_UID,
)
from gateway.errors import UnreadableObject, UnsupportedPixels

# PS3.5 table 6.2-1.
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
# Those whose bytes depend on Specific Character Set.
_CHARACTERS = frozenset(b"LO LT PN SH ST UC UT".split())
_TEXT = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
# What viewers show and measure with. They do not all look up the VR of UN, and what they leave out here is seen.
_SHOWN_GROUPS = frozenset(
    {
        0x0008,
        0x0010,
        0x0018,
        0x0020,
        0x0028,
        0x0040,
        0x0042,
        0x0054,
        0x0062,
        0x0070,
        *range(0x3002, 0x3010, 2),
        0x5200,
        0x7FE0,
        *range(0x5000, 0x5020, 2),
        *range(0x6000, 0x6020, 2),
    }
)
_LATER_VRS = frozenset(b"OD OF OL OV SV UC UR UT UV".split())
# Bytes of one number.
_WIDTHS = {
    b"US": 2, b"SS": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"AT": 4, b"OF": 4, b"OL": 4,
    b"FD": 8, b"SV": 8, b"UV": 8, b"OD": 8, b"OV": 8,
}  # fmt: skip
# What readers compute with, or compare: of other characters some leave out what they do not know, or end there.
_PLAIN = {
    b"UI": re.compile(rb"[\x20-\x7e]*"),
    b"IS": re.compile(rb"(?:[-+]?[0-9]+(?:\.0*)?)?"),
    b"DS": re.compile(rb"(?:[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?)?"),
}
_COUNTED = frozenset(b"AT DS FD FL IS SL SQ SS SV UL US UV".split())
_UID = re.compile(rb"[0-9.]+")
_PIXEL_SOURCES = (0x00287FE0, 0x7FE00008, 0x7FE00009, PIXEL_DATA)
# What tells how pixel data lies: each is one number.
_SHAPE = (
    0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, PIXEL_REPRESENTATION,
)  # fmt: skip
# Of a pixel (PS3.3 C.7.6.3.1.2).
_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "ARGB": 4,
    "CMYK": 4,
    "HSV": 3,
} | dict.fromkeys(
    ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"), 3
)
# GDCM takes all that follows (00FF,4AA5) for pixel data, and reads (031E,0324) with another length than is there.
_TRAPS = (0x00FF4AA5, 0x031E0324)
_DIRECTORY_GROUP, _FIRST_GROUP, _DELIMITERS = 0x0004, 0x0008, ITEM >> 16


class _Around(NamedTuple):
    """What holds for the elements of a data set or an item.

    vrs: tag -> VR of the standard elements.
    charset, outer_charset: Specific Character Set of theirs, and of what is around them.
    """

    vrs: Mapping[int, str]
    encoding: Encoding
    charset: bytes
    outer_charset: bytes


def objection(file: Part10, vrs: Mapping[int, str]) -> str:
    """The first reason why readers could differ; empty when there is none. It holds tags and never values.

    vrs: tag -> VR of the standard elements. It is given, because what is said of an object must not change when a
        library learns a new element.
    Raises UnreadableObject when an element can't be read at all.
    """
    return next(_objections(file, vrs), "")


def _objections(file: Part10, vrs: Mapping[int, str]) -> Iterator[str]:
    declared = file.meta.get(TRANSFER_SYNTAX_UID, b"").rstrip(b" \0")
    if declared and not _UID.fullmatch(declared):
        yield "the transfer syntax is no UID"
    if declared and syntax_of(file.transfer_syntax).encoding != file.encoding:
        yield "the elements are not encoded as the transfer syntax says"
    length = file.meta.get(META_GROUP_LENGTH)
    if length is not None:
        start = 132 if file.prefix[128:132] == b"DICM" else 0
        if len(length) != 4 or int.from_bytes(length, "little") != len(file.prefix) - start - 12:
            yield "the group length of the file meta information is wrong"
    if file.behind.strip(b"\0") and not _ends_like_gzip(file):
        yield "something stands behind the deflated data set"
    charset = file.value(SPECIFIC_CHARACTER_SET) or b""
    around = _Around(vrs, file.encoding, charset, charset)
    yield from _elements(file, file.elements, around, 0)
    yield from _pixels(file)


def _ends_like_gzip(file: Part10) -> bool:
    """Whether checksum and length of the data set stand behind it, as some writers leave them (RFC 1952, 2.3.1)."""
    body = file.body[:]
    told = struct.pack("<II", zlib.crc32(body), len(body))
    return file.behind.rstrip(b"\0") == told.rstrip(b"\0")


def _elements(file: Part10, elements: list[Element], around: _Around, deep: int) -> Iterator[str]:
    before = -1
    for element in elements:
        tag = element.tag
        outside = element.group < _FIRST_GROUP and element.group != _DIRECTORY_GROUP
        if outside or element.group == _DELIMITERS:
            yield f"{_name(tag)} has no place in a data set"
        if tag <= before:
            once = "stands more than once" if tag == before else "is out of order"
            yield f"{_name(tag)} {once}"
        before = tag
        if tag == SPECIFIC_CHARACTER_SET and element.vr not in (None, b"CS"):
            yield f"{_name(tag)} has another VR than CS"
        creator = tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF
        if creator and element.vr not in (None, b"LO", b"UN"):
            # DCMTK takes blanks out of a UI, and with them the name that others read.
            yield f"{_name(tag)} is a private creator of another VR than LO"
        if tag in _TRAPS:
            yield f"{_name(tag)} is not what some readers take it for"
        known = around.vrs.get(tag, "")
        pixel_data = tag == PIXEL_DATA and (element.vr is None or element.vr in (b"OB", b"OW"))
        if element.undefined and pixel_data:
            yield from _encapsulated(file, element, around.encoding)
        why = _vr_objection(element, known, around.encoding, pixel_data=pixel_data)
        if why:
            yield f"{_name(tag)} {why}"
        # What has UN is read by the dictionary (PS3.5 6.2.2).
        vr = element.vr if element.vr not in (None, b"UN") else known.split("/")[0].encode()
        if (element.undefined and not pixel_data) or vr == b"SQ":
            yield from _sequence(file, element, around, deep)
        elif not element.undefined:
            why = _value_objection(file, element, vr or b"", around)
            if why:
                yield f"{_name(tag)} {why}"


def _encapsulated(file: Part10, element: Element, encoding: Encoding) -> Iterator[str]:
    """Pixel Data of undefined length, that of an icon too."""
    if syntax_of(file.transfer_syntax).native:
        yield "the pixel data is not in the form of its transfer syntax"
    if not _delimited(file, element.end - 8, SEQUENCE_END, encoding):
        yield f"{_name(element.tag)} has a damaged delimiter"
    try:
        deque(fragments(ByteRange(file.body, element.value, element.end)), maxlen=0)
    except UnsupportedPixels as error:
        yield str(error)


def _vr_objection(element: Element, known: str, encoding: Encoding, *, pixel_data: bool) -> str:
    """known: VR of a standard element in the dictionary; empty when it has none."""
    if element.vr is not None and element.vr not in _VRS:
        return "has a VR that does not exist"
    if element.vr == b"UN" and known and not element.undefined and not _unknown(element, known, encoding):
        return "has VR UN although it is a standard element"
    if known and element.vr not in (None, b"UN") and _counts_otherwise(element.vr or b"", known):
        return "is no number of the VR that readers look for"
    if element.tag == PIXEL_DATA and not pixel_data:
        return "is pixel data of another VR than OB or OW"
    if not element.undefined or pixel_data:
        return ""
    # Some readers look for items there, some for a delimiter only.
    sequence = element.vr == b"SQ" or (element.vr in (None, b"UN") and known in ("", "SQ"))
    return "" if sequence else "has an undefined length"


def _counts_otherwise(vr: bytes, known: str) -> bool:
    """Whether a number, or a sequence, is written as something else, or something else as a number: readers that ask
    for a number of frames as IS find none in DS, and go on without.
    """
    named = set(known.encode().split(b"/"))
    allowed = named | {b"OB", b"US", b"SS"} if b"OW" in named else named
    return vr not in allowed and bool(_COUNTED & (named | {vr}))


def _unknown(element: Element, known: str, encoding: Encoding) -> bool:
    """Whether UN is right for a standard element: the dictionary of an archive may be older than it, its VR came later
    than UN itself, or its value is too long for the length field of its VR. It is read by the dictionary (PS3.5 6.2.2).
    """
    later = known.encode() in _LATER_VRS or element.group not in _SHOWN_GROUPS
    long = element.end - element.value > 0xFFFF and known.encode() not in LONG_VRS
    return encoding.little and (long or later)


def _value_objection(file: Part10, element: Element, vr: bytes, around: _Around) -> str:
    length = element.end - element.value
    # GDCM takes 13 bytes of Implicit VR for 10 and goes on from there.
    if length % 2 and (element.tag != PIXEL_DATA or length == 13):
        return "has an odd length"
    if vr in _WIDTHS:
        whole = not length % _WIDTHS[vr]
        return "" if whole else "ends within a number"
    if vr not in _TEXT:
        return ""
    plain = file.body[element.value : element.end].rstrip(b" \0")
    if b"\0" in plain:
        return "holds a zero byte, at which some readers end"
    if vr in _PLAIN and not all(_PLAIN[vr].fullmatch(part.strip(b" ")) for part in plain.split(b"\\")):
        return "holds a value that its VR does not allow"
    if vr not in _CHARACTERS:
        return ""
    return text_reading.objection(plain, around.charset, around.outer_charset)


def _sequence(file: Part10, element: Element, around: _Around, deep: int) -> Iterator[str]:
    if deep > NESTING_MAX:
        yield "sequences are nested too deeply"
        return
    inner = IMPLICIT_LE if element.vr == b"UN" else around.encoding
    try:
        parts = items(file.body, element, inner)
        if not element.undefined and (parts[-1].end if parts else element.value) != element.end:
            yield f"{_name(element.tag)} ends before its length says"
        if element.undefined and not _delimited(file, element.end - 8, SEQUENCE_END, inner):
            yield f"{_name(element.tag)} has a damaged delimiter"
        for part in parts:
            if part.end != part.stop and not _delimited(file, part.stop, ITEM_END, inner):
                yield f"{_name(element.tag)} has a damaged delimiter"
            inside = walk(file.body, part.value, part.stop, inner)
            own = next((found for found in inside if found.tag == SPECIFIC_CHARACTER_SET), None)
            charset = around.charset if own is None else file.body[own.value : own.end]
            yield from _elements(file, inside, _Around(around.vrs, inner, charset, around.charset), deep + 1)
    except UnreadableObject:
        yield f"{_name(element.tag)} is damaged"


def _delimited(file: Part10, at: int, tag: int, encoding: Encoding) -> bool:
    found, _, _, length = header(file.body, at, len(file.body), encoding)
    return found == tag and not length


def _pixels(file: Part10) -> Iterator[str]:
    if sum(tag in file.index for tag in _PIXEL_SOURCES) > 1:
        yield "there is more than one source of pixel data"
    element = file.index.get(PIXEL_DATA)
    if element is None:
        return
    for tag in _SHAPE:
        described = file.index.get(tag)
        if described is not None and not (
            described.vr in (None, b"US") and len(file.value(tag) or b"") in (0, 2)
        ):
            yield f"{_name(tag)} is not one number"
    if (file.value(PIXEL_REPRESENTATION) or b"").strip(b"\0") not in (b"", b"\1"):
        yield f"{_name(PIXEL_REPRESENTATION)} is neither 0 nor 1"
    syntax = syntax_of(file.transfer_syntax)
    if element.undefined == syntax.native:
        yield "the pixel data is not in the form of its transfer syntax"
        return
    if element.undefined:
        try:
            codestreams(file)
        except UnsupportedPixels as error:
            yield str(error)
    else:
        yield from _native(file, element)
    try:
        shape = pixel_format(file)
    except UnsupportedPixels:
        # Without a usable layout nothing is shown.
        return
    if shape.samples != _SAMPLES.get(shape.photometric, shape.samples):
        yield "the samples per pixel are not those of the photometric interpretation"
    if shape.photometric in ("YBR_RCT", "YBR_ICT") and not syntax.jpeg_2000:
        yield f"{_name(PHOTOMETRIC_INTERPRETATION)} is a name of JPEG 2000 alone"
    if shape.high_bit != shape.stored - 1:
        yield "the high bit is not the highest that is stored"


def _native(file: Part10, element: Element) -> Iterator[str]:
    rows, columns, bits = (file.number(tag) for tag in (0x00280010, 0x00280011, BITS_ALLOCATED))
    if not (rows and columns and bits):
        return
    if not file.encoding.little and bits not in ((1, 8) if element.vr == b"OB" else (8, 16)):
        yield "the pixel data has no one byte order"
    try:
        frames = frame_count(file)
    except UnsupportedPixels:
        return
    length, samples = element.end - element.value, file.number(0x00280002, 1) or 1
    least = (rows * columns * samples * frames * bits + 7) // 8
    subsampled = file.text(PHOTOMETRIC_INTERPRETATION).endswith(("_422", "_420"))
    if length not in (least, least + least % 2) and not subsampled:
        yield "the pixel data has another length than its description says"


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
