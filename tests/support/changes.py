"""Changes of a file, byte by byte: what archives, viewers, converters and people with bad intent do to an object.

They know nothing of seals, and build on no DICOM library: what is written stands here in bytes. Elements are of
explicit or implicit, little or big endian files; deflated and encapsulated ones as far as a change allows it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

from tests.second_reader import dicom
from tests.second_reader.dicom import BIG, DEFLATED, LONG, PIXEL_DATA, Element, Encoding, File

Change = Callable[[bytes], bytes]
EXPLICIT_LITTLE = Encoding(True, False)


class Impossible(ValueError):
    """This change can't be made in this object."""


def element(
    tag: int, vr: str, value: bytes, encoding: Encoding = EXPLICIT_LITTLE, length: int | None = None
) -> bytes:
    """An encoded element; value: in the byte order of the encoding."""
    order = ">" if encoding.big else "<"
    value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not encoding.explicit:
        return head + struct.pack(order + "I", size) + value
    if vr in LONG or vr not in dicom.VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "I", size) + value
    return head + vr.encode() + struct.pack(order + "H", size) + value


def item(content: bytes, encoding: Encoding = EXPLICIT_LITTLE, length: int | None = None) -> bytes:
    order = ">" if encoding.big else "<"
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def rebuilt(data: bytes, edits: dict[int, bytes | None], *, tail: bytes = b"") -> bytes:
    """The file with other elements: encoded, in the place of their tag; None takes one out."""
    file = dicom.parse(data)
    parts: dict[int, bytes | None] = {tag: entry.head + entry.body for tag, entry in file.elements.items()}
    parts |= edits
    body = b"".join(part for _, part in sorted(parts.items()) if part is not None) + tail
    return with_dataset(data, file, body)


def with_dataset(data: bytes, file: File, body: bytes) -> bytes:
    if file.syntax == DEFLATED:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = deflater.compress(body) + deflater.flush()
        body += b"\0" * (len(body) % 2)
        return data[: _start(data)] + body
    return data[: _start(data)] + body


def _start(data: bytes) -> int:
    return dicom._meta(data)[1]


def put(tag: int, vr: str, value: bytes | str) -> Change:
    """Replaces or adds an element whose value is text or bytes."""
    raw = value.encode() if isinstance(value, str) else value

    def change(data: bytes) -> bytes:
        encoding = dicom.parse(data).encoding
        word = dicom.WORDS.get(vr, 1)
        return rebuilt(
            data, {tag: element(tag, vr, dicom.swapped(raw, word) if encoding.big else raw, encoding)}
        )

    return change


def drop(tag: int) -> Change:
    def change(data: bytes) -> bytes:
        if tag not in dicom.parse(data).elements:
            raise Impossible
        return rebuilt(data, {tag: None})

    return change


def edit(tag: int, how: Callable[[bytes], bytes]) -> Change:
    """Another value of an element that is there, with its VR."""

    def change(data: bytes) -> bytes:
        file = dicom.parse(data)
        old = file.elements.get(tag)
        if old is None or old.items is not None or old.fragments is not None:
            raise Impossible
        return rebuilt(data, {tag: element(tag, old.written or "UN", how(old.body), file.encoding)})

    return change


def in_block(low: int, how: Callable[[bytes], bytes]) -> Change:
    def change(data: bytes) -> bytes:
        return edit(0x00711000 | low, how)(data)

    return change


def sequence(tag: int, *items: bytes) -> Change:
    """Items in explicit little endian; only in such files."""

    def change(data: bytes) -> bytes:
        _only_explicit_little(data)
        return rebuilt(data, {tag: element(tag, "SQ", b"".join(items))})

    return change


def raw(tag: int, written: bytes) -> Change:
    """These very bytes in the place of an element; only in explicit little endian files."""

    def change(data: bytes) -> bytes:
        _only_explicit_little(data)
        return rebuilt(data, {tag: written})

    return change


def _only_explicit_little(data: bytes) -> None:
    if dicom.parse(data).encoding != EXPLICIT_LITTLE:
        raise Impossible


def appended(tail: bytes) -> Change:
    def change(data: bytes) -> bytes:
        return rebuilt(data, {}, tail=tail)

    return change


def rewritten(how: Callable[[Element], bytes]) -> Change:
    """Each top-level element written anew."""

    def change(data: bytes) -> bytes:
        file = dicom.parse(data)
        return with_dataset(data, file, b"".join(how(entry) for entry in file.elements.values()))

    return change


def _undefined(entry: Element) -> bytes:
    """Sequences with undefined length."""
    if entry.items is None or entry.undefined or entry.encoding.big:
        return entry.head + entry.body
    return entry.head[:-4] + b"\xff\xff\xff\xff" + entry.body + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _as_unknown(tags: range) -> Change:
    def change(data: bytes) -> bytes:
        file = dicom.parse(data)
        if not file.encoding.explicit:
            raise Impossible

        def how(entry: Element) -> bytes:
            if entry.tag not in tags or entry.items is not None:
                return entry.head + entry.body
            return element(entry.tag, "UN", entry.body, entry.encoding)

        return with_dataset(data, file, b"".join(map(how, file.elements.values())))

    return change


def _renumbered(data: bytes) -> bytes:
    """Our block, and every other private block, under another number."""
    file = dicom.parse(data)
    order = ">" if file.encoding.big else "<"
    parts = {}
    for tag, entry in file.elements.items():
        moved = tag
        if tag >> 16 & 1:
            number = tag & 0xFFFF
            moved = tag + 0x20 if number < 0x100 else tag + 0x2000
        parts[moved] = struct.pack(order + "HH", moved >> 16, moved & 0xFFFF) + entry.head[4:] + entry.body
    return with_dataset(data, file, b"".join(part for _, part in sorted(parts.items())))


def _second_block(data: bytes) -> bytes:
    encoding = dicom.parse(data).encoding
    return rebuilt(data, {0x007100E0: element(0x007100E0, "LO", b"SEALGATE", encoding)})


def _stripped(data: bytes) -> bytes:
    tags = [tag for tag in dicom.parse(data).elements if tag >> 16 == 0x0071]
    if not tags:
        raise Impossible
    return rebuilt(data, dict.fromkeys(tags))


def _twice(tag: int) -> Change:
    def change(data: bytes) -> bytes:
        file = dicom.parse(data)
        if tag not in file.elements:
            raise Impossible
        entry = file.elements[tag]
        return rebuilt(data, {tag: 2 * (entry.head + entry.body)})

    return change


def _swapped_order(data: bytes) -> bytes:
    file = dicom.parse(data)
    parts = [entry.head + entry.body for entry in file.elements.values()]
    parts[3], parts[4] = parts[4], parts[3]
    return with_dataset(data, file, b"".join(parts))


def _latin_1(data: bytes) -> bytes:
    """Specific Character Set ISO_IR 100 instead of ISO_IR 192, as a converter writes it."""
    file = dicom.parse(data)
    name = file.elements.get(0x00100010)
    if name is None or file.text(0x00080005) != "ISO_IR 192":
        raise Impossible
    text = name.body.decode().encode("latin-1")
    edits: dict[int, bytes | None] = {0x00080005: element(0x00080005, "CS", b"ISO_IR 100", file.encoding)}
    edits[0x00100010] = element(0x00100010, "PN", text.rstrip(b" "), file.encoding)
    return rebuilt(data, edits)


def pixels(how: Callable[[np.ndarray], None]) -> Change:
    """Native pixel data as words (bytes where 8 bits are allocated), changed in place."""

    def change(data: bytes) -> bytes:
        file = dicom.parse(data)
        entry = file.elements.get(PIXEL_DATA)
        if entry is None or entry.undefined or file.number(0x00280100) not in (8, 16):
            raise Impossible
        big, wide = file.encoding.big, file.number(0x00280100) == 16
        values = np.frombuffer(entry.body, f"{'>' if big else '<'}u2" if wide else "u1").copy()
        how(values)
        written = element(PIXEL_DATA, entry.written or "OW", values.tobytes(), file.encoding)
        return rebuilt(data, {PIXEL_DATA: written})

    return change


def _one(values: np.ndarray) -> None:
    values[len(values) // 2] ^= 1


def _high_bit(values: np.ndarray) -> None:
    values[len(values) // 2] ^= 1 << (8 * values.itemsize - 1)


def _all_over(values: np.ndarray) -> None:
    """What a filter does: each value is rounded to multiples of 4."""
    values[:] = values // 4 * 4


def _other_image(values: np.ndarray) -> None:
    values[:] = values[::-1].copy()


def meta(how: Callable[[bytes], bytes]) -> Change:
    def change(data: bytes) -> bytes:
        at = _start(data)
        return how(data[:at]) + data[at:]

    return change


def _group_length(value: bytes) -> bytes:
    return value[:140] + struct.pack("<I", struct.unpack("<I", value[140:144])[0] + 2) + value[144:]


def _as_big_endian(value: bytes) -> bytes:
    """The file says another transfer syntax of the same length of text, or none at all."""
    if BIG.encode() in value or b"1.2.840.10008.1.2.1\0" not in value:
        raise Impossible
    return value.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")


def without_meta(data: bytes) -> bytes:
    if dicom.parse(data).syntax == DEFLATED:
        raise Impossible
    return data[_start(data) :]


PRIVATE = (0x00090010, 0x00091001)
NAMED = element(0x00100010, "PN", b"Some^One")
ICON = b"".join(
    [
        element(0x00280002, "US", b"\1\0"), element(0x00280004, "CS", b"MONOCHROME2"),
        element(0x00280010, "US", b"\2\0"), element(0x00280011, "US", b"\2\0"), element(0x00280100, "US", b"\x08\0"),
        element(0x00280101, "US", b"\x08\0"), element(0x00280102, "US", b"\7\0"), element(0x00280103, "US", b"\0\0"),
    ]
)  # fmt: skip
DEEP = b""
for _ in range(62):
    DEEP = element(0x0040A730, "SQ", item(DEEP))
ESC = b"\x1b"

CHANGES: dict[str, Change] = {
    "nothing": lambda data: data,
    # -- elements of all classes
    "patient id": put(0x00100020, "LO", "OTHER"),
    "patient name": put(0x00100010, "PN", "Other^Name"),
    "patient name with blanks": edit(0x00100010, lambda value: value.rstrip() + b"^^  "),
    "patient sex gone": drop(0x00100040),
    "other patient ids": put(0x00101000, "LO", "OTHER"),
    "study instance uid": put(0x0020000D, "UI", "2.25.99"),
    "sop instance uid": put(0x00080018, "UI", "2.25.98"),
    "sop class uid": put(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
    "study date": put(0x00080020, "DA", "20240301"),
    "window": put(0x00281050, "DS", "40"),
    "inverted": put(0x00280004, "CS", "MONOCHROME1"),
    "spacing": put(0x00280030, "DS", "0.5\\0.6"),
    "spacing written otherwise": put(0x00280030, "DS", "0.50\\5.0e-1"),
    "slope": put(0x00281053, "DS", "1.0"),
    "instance number written otherwise": put(0x00200013, "IS", "+01"),
    "image comments": put(0x00204000, "LT", "  words\r\nmore  "),
    "institution": put(0x00080080, "LO", "Elsewhere"),
    "retrieve ae title": put(0x00080054, "AE", "ARCHIVE"),
    "related instances": put(0x00201208, "IS", "12"),
    "empty element": put(0x00081030, "LO", ""),
    "bits stored": put(0x00280101, "US", b"\x0a\0"),
    "rows": put(0x00280010, "US", b"\x10\0"),
    "planar configuration": put(0x00280006, "US", b"\1\0"),
    "number of frames": put(0x00280008, "IS", "2"),
    "pixel representation": put(0x00280103, "US", b"\1\0"),
    "padding value": put(0x00280120, "US", b"\xff\xff"),
    "overlay": put(0x60000010, "US", b"\2\0"),
    "attribute tag": put(0x00280009, "AT", b"\x18\0\x63\x10"),
    "double": put(0x00189074 + 0x9, "FD", struct.pack("<d", 1.5)),
    "not a number": put(0x00189219 - 0, "SS", b"\xff\xff"),
    "other words": put(0x00281201, "OW", b"\1\2\3\4"),
    "unknown standard element": put(0x00080FFE, "US", b"\1\2"),
    "completion flag": put(0x0040A491, "CS", "COMPLETE"),
    # -- character sets
    "latin 1": _latin_1,
    "another character set": put(0x00080005, "CS", "ISO_IR 100"),
    "character set of no kind": put(0x00080005, "CS", "NONE"),
    "bytes that are no text": put(0x00081030, "LO", b"\xff\xfe text "),
    "escape": put(0x00081030, "LO", ESC + b"(B words"),
    "escapes of two sets": lambda data: put(
        0x00081030, "LO", ESC + b"$B;3ED" + ESC + b"(B^=\\" + ESC + b")I\xd4\xcf\xc0"
    )(put(0x00080005, "CS", "\\ISO 2022 IR 87")(data)),
    "korean": lambda data: put(0x00081030, "LO", ESC + b"$)C\xb1\xe8^\xb1\xe8")(
        put(0x00080005, "CS", "\\ISO 2022 IR 149")(data)
    ),
    "zero byte in text": put(0x00081030, "LO", b"one\0two"),
    "zero byte at the end of text": put(0x00081030, "LO", b"one\0"),
    # -- sequences
    "item": sequence(0x00081140, item(element(0x00081155, "UI", b"1.2.3"))),
    "empty sequence": sequence(0x00081140),
    "empty item": sequence(0x00081140, item(b"")),
    "name in an item": sequence(0x00081140, item(NAMED)),
    "item with its own character set": sequence(
        0x00081120, item(element(0x00080005, "CS", b"ISO_IR 100") + element(0x00100010, "PN", b"M\xfcller"))
    ),
    "private in an item": sequence(
        0x00081140, item(element(0x00090010, "LO", b"ACME") + element(0x00091001, "LO", b"x"))
    ),
    "icon": sequence(0x00880200, item(ICON + element(PIXEL_DATA, "OB", b"\1\2\3\4"))),
    "compressed icon": sequence(
        0x00880200,
        item(
            ICON
            + element(
                PIXEL_DATA, "OB", item(b"") + item(b"\1\2") + b"\xfe\xff\xdd\xe0\0\0\0\0", length=0xFFFFFFFF
            )
        ),
    ),
    "per-frame groups": sequence(0x52009230, item(element(0x00200013, "IS", b"1")), item(b"")),
    "items that do not fill": sequence(0x00081140, item(b"", length=8)),
    "item longer than its sequence": sequence(0x00081140, item(NAMED, length=200)),
    "delimiter with a length": raw(
        0x00081140,
        element(0x00081140, "SQ", item(NAMED) + b"\xfe\xff\xdd\xe0\2\0\0\0", length=0xFFFFFFFF),
    ),
    "delimiter in a sequence of defined length": sequence(
        0x00081140, item(NAMED), b"\xfe\xff\xdd\xe0\0\0\0\0"
    ),
    "sequences of undefined length": rewritten(_undefined),
    "too deep": sequence(0x00081140, item(DEEP)),
    "sequence as UN": raw(0x00081140, element(0x00081140, "UN", item(NAMED[:4] + b"\x08\0\0\0" + NAMED[8:]))),
    "sequence as UN of undefined length": raw(
        0x00081140,
        element(
            0x00081140,
            "UN",
            item(NAMED[:4] + b"\x08\0\0\0" + NAMED[8:]) + b"\xfe\xff\xdd\xe0\0\0\0\0",
            length=0xFFFFFFFF,
        ),
    ),
    "unsorted item": sequence(0x00081140, item(NAMED + element(0x00080080, "LO", b"x"))),
    # -- private elements
    "private block": lambda data: put(0x00091001, "LO", "value")(put(0x00090010, "LO", "ACME")(data)),
    "private words": lambda data: put(0x00091001, "OW", b"\1\2\3\4")(put(0x00090010, "LO", "ACME")(data)),
    "private numbers": lambda data: put(0x00091001, "UL", b"\1\2\3\4")(put(0x00090010, "LO", "ACME")(data)),
    "private empty": lambda data: put(0x00091001, "LO", "")(put(0x00090010, "LO", "ACME")(data)),
    "private creator alone": put(0x00090010, "LO", "ACME"),
    "private without creator": put(0x00091001, "LO", "value"),
    "private sequence": lambda data: sequence(0x00091001, item(NAMED))(put(0x00090010, "LO", "ACME")(data)),
    "private blocks renumbered": _renumbered,
    # -- more than one reading
    "twice": _twice(0x00100020),
    "twice our block": _twice(0x00710010),
    "order": _swapped_order,
    "group 0005": put(0x00050010, "LO", "x"),
    "group 0004": put(0x00041500, "CS", "FILE"),
    "group 0007": put(0x00070010, "LO", "x"),
    "group length": put(0x00080000, "UL", b"\1\0\0\0"),
    "name as UN": raw(0x00100010, element(0x00100010, "UN", b"Other^Name")),
    "private as UN": _as_unknown(range(0x00710000, 0x00720000)),
    "unknown VR": raw(0x00081030, element(0x00081030, "ZZ", b"words")),
    "VR that is no VR": raw(0x00081030, b"\x08\0\x30\x10\0\0\4\0abcd"),
    "name as LO": raw(0x00100010, element(0x00100010, "LO", b"Other^Name")),
    "undefined length": raw(
        0x00081030,
        element(0x00081030, "LT", b"", length=None)[:4]
        + b"UT\0\0\xff\xff\xff\xff"
        + b"\xfe\xff\xdd\xe0\0\0\0\0",
    ),
    "float pixel data": put(0x7FE00008, "OF", b"\0\0\0\0"),
    "pixel data provider": put(0x00287FE0, "UR", "http://host/x"),
    "group length of the meta information": meta(_group_length),
    "another transfer syntax": meta(_as_big_endian),
    "no meta information": without_meta,
    "trailing": appended(b"\0\0\0"),
    "trailing zeros": appended(bytes(16)),
    "trailing padding": lambda data: put(0xFFFCFFFC, "OB", bytes(20))(data),
    "cut short": lambda data: data[:-3],
    "pixel data too long": edit(PIXEL_DATA, lambda value: value + b"\0\0"),
    "pixel data too short": edit(PIXEL_DATA, lambda value: value[:-2]),
    # -- pixels
    "one pixel": pixels(_one),
    "a high bit": pixels(_high_bit),
    "all over": pixels(_all_over),
    "all over, said": lambda data: put(0x00282110, "CS", "01")(pixels(_all_over)(data)),
    "all over, another patient": lambda data: put(0x00100020, "LO", "OTHER")(pixels(_all_over)(data)),
    "another image": pixels(_other_image),
    "pixel data gone": drop(PIXEL_DATA),
    "pixel data of no image": put(PIXEL_DATA, "OW", b"\1\2\3\4"),
    # -- the block
    "stripped": _stripped,
    "stripped, another patient": lambda data: put(0x00100020, "LO", "OTHER")(_stripped(data)),
    "two blocks": _second_block,
    "block version": in_block(0x01, lambda _: b"3 "),
    "block version 1": in_block(0x01, lambda _: b"1 "),
    "block level in small letters": in_block(0x02, bytes.lower),
    "block level": in_block(0x02, lambda _: b"PASS"),
    "block digest in capitals": in_block(0x03, bytes.upper),
    "block digest": in_block(0x03, lambda value: value[::-1]),
    "block statement": in_block(0x10, lambda value: value[:-1] + bytes([value[-1] ^ 1])),
    "block statement changed": in_block(0x10, lambda value: value[:60] + bytes([value[60] ^ 1]) + value[61:]),
    "block statement padded": in_block(0x10, lambda value: value + b"\0\0"),
    "block statement gone": drop(0x00711010),
    "block signature": in_block(0x11, lambda value: bytes([value[0] ^ 1]) + value[1:]),
    "block signature short": in_block(0x11, lambda value: value[:-2]),
    "block tiles": in_block(0x20, lambda value: bytes([value[0] ^ 1]) + value[1:]),
    "block tiles gone": drop(0x00711020),
    "block restoring element": in_block(0x30, lambda value: value[:9] + bytes([value[9] ^ 1]) + value[10:]),
    "block envelope": in_block(0x31, lambda value: value[:9] + bytes([value[9] ^ 1]) + value[10:]),
    "block envelope added": put(0x00711031, "OB", b"\0\0\0\1\0"),
    "block header": in_block(0x40, lambda value: value[:30] + bytes([value[30] ^ 1]) + value[31:]),
    "block header gone": drop(0x00711040),
    "block received": in_block(0x41, lambda value: value[:9] + bytes([value[9] ^ 1]) + value[10:]),
    "block received gone": drop(0x00711041),
    "block amendments": put(0x00711050, "OB", b"\0\0\0\1\x80"),
    "block amendments of no kind": put(0x00711050, "OB", b"\0\0\0\1\xff"),
    "block other element": put(0x00711077, "LO", "x"),
    "block framed badly": in_block(0x40, lambda value: value + b"\0\0\0\0"),
}
