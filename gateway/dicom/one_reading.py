"""Whether standard readers can only read an object in one way (FORMAT.md, "One reading").

Readers tolerate much, and not the same. A file that two of them read differently can show one patient to a gateway and
another to a radiologist, so everything is objected to here that PS3.5 and PS3.10 leave no room for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import codestreams
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import (
    META_GROUP_LENGTH,
    PIXEL_DATA,
    TRANSFER_SYNTAX_UID,
)
from gateway.errors import UnreadableObject, UnsupportedPixels

# PS3.5 table 6.2-1.
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
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
_PIXEL_SOURCES = (0x00287FE0, 0x7FE00008, 0x7FE00009, PIXEL_DATA)
_DIRECTORY_GROUP, _FIRST_GROUP, _DELIMITERS = 0x0004, 0x0008, ITEM >> 16


def objection(file: Part10, vrs: Mapping[int, str]) -> str:
    """The first reason why readers could differ; empty when there is none. It holds tags and never values.

    vrs: tag -> VR of the standard elements. It is given, because what is said of an object must not change when a
        library learns a new element.
    Raises UnreadableObject when an element can't be read at all.
    """
    return next(_objections(file, vrs), "")


def _objections(file: Part10, vrs: Mapping[int, str]) -> Iterator[str]:
    declared = file.meta.get(TRANSFER_SYNTAX_UID, b"").strip(b" \0")
    if declared and syntax_of(file.transfer_syntax).encoding != file.encoding:
        yield "the elements are not encoded as the transfer syntax says"
    length = file.meta.get(META_GROUP_LENGTH)
    if length is not None:
        start = 132 if file.prefix[128:132] == b"DICM" else 0
        if len(length) != 4 or int.from_bytes(length, "little") != len(file.prefix) - start - 12:
            yield "the group length of the file meta information is wrong"
    for element in file.elements:
        outside = element.group < _FIRST_GROUP and element.group != _DIRECTORY_GROUP
        if outside or element.group == _DELIMITERS:
            yield f"{_name(element.tag)} has no place in a data set"
    yield from _elements(file, vrs, file.elements, file.encoding, 0)
    yield from _pixels(file)


def _elements(
    file: Part10, vrs: Mapping[int, str], elements: list[Element], encoding: Encoding, deep: int
) -> Iterator[str]:
    before = -1
    for element in elements:
        tag = element.tag
        if tag <= before:
            once = "stands more than once" if tag == before else "is out of order"
            yield f"{_name(tag)} {once}"
        before = tag
        known = vrs.get(tag, "")
        if element.vr is not None:
            if element.vr not in _VRS:
                yield f"{_name(tag)} has a VR that does not exist"
            if (
                element.vr == b"UN"
                and known
                and not element.undefined
                and not _unknown(element, known, encoding)
            ):
                yield f"{_name(tag)} has VR UN although it is a standard element"
        pixel_data = tag == PIXEL_DATA and (element.vr is None or element.vr in (b"OB", b"OW"))
        vr = element.vr or known.encode()
        if element.undefined and not pixel_data and vr not in (b"", b"SQ", b"UN"):
            yield f"{_name(tag)} has an undefined length"
        is_sequence = (element.undefined and not pixel_data) or vr == b"SQ"
        if element.undefined and pixel_data and not _delimited(file, element.end - 8, SEQUENCE_END, encoding):
            yield f"{_name(tag)} has a damaged delimiter"
        if is_sequence:
            yield from _sequence(file, vrs, element, encoding, deep)
        elif vr in _TEXT and b"\0" in file.body[element.value : element.end].rstrip(b" \0"):
            yield f"{_name(tag)} holds a zero byte, at which some readers end"


def _unknown(element: Element, known: str, encoding: Encoding) -> bool:
    """Whether UN is right for a standard element: the dictionary of an archive may be older than it, its VR came later
    than UN itself, or its value is too long for the length field of its VR. It is read by the dictionary (PS3.5 6.2.2).
    """
    later = known.encode() in _LATER_VRS or element.group not in _SHOWN_GROUPS
    long = element.end - element.value > 0xFFFF and known.encode() not in LONG_VRS
    return encoding.little and (long or later)


def _sequence(
    file: Part10, vrs: Mapping[int, str], element: Element, encoding: Encoding, deep: int
) -> Iterator[str]:
    if deep > NESTING_MAX:
        yield "sequences are nested too deeply"
        return
    inner = IMPLICIT_LE if element.vr == b"UN" else encoding
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
            if any(found.group == _DELIMITERS for found in inside):
                yield f"{_name(element.tag)} holds a delimiter without a beginning"
            yield from _elements(file, vrs, inside, inner, deep + 1)
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
    syntax = syntax_of(file.transfer_syntax)
    if element.undefined == syntax.native:
        yield "the pixel data is not in the form of its transfer syntax"
        return
    try:
        if element.undefined:
            codestreams(file)
            return
        shape = pixel_format(file)
    except UnsupportedPixels as error:
        # Without a usable layout nothing is shown; only what contradicts itself could be shown in two ways.
        if element.undefined:
            yield str(error)
        return
    wide = 8 if element.vr == b"OB" else 16
    if not file.encoding.little and shape.allocated > wide:
        yield "the pixel data has no one byte order"
    length, least = element.end - element.value, shape.byte_count
    subsampled = shape.photometric.endswith(("_422", "_420"))
    if length not in (least, least + least % 2) and not subsampled:
        yield "the pixel data has another length than its description says"


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
