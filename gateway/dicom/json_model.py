"""The DICOM JSON model (PS3.18 F) of a data set: text in UTF-8, whatever its character set was."""

from __future__ import annotations

import base64
import math
import struct
import warnings
from collections.abc import Callable
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes

from gateway.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, Element, items, walk
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.tags import SPECIFIC_CHARACTER_SET
from gateway.errors import UnreadableObject

Model = dict[str, dict[str, Any]]
# Called with tag, VR, and offsets of the value; returns where the value can be fetched, or None to write it inline.
BulkData = Callable[[int, str, int, int], str | None]

UTF_8 = "ISO_IR 192"
_NESTING_MAX = 60
_NUMBERS = {
    b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d",
}  # fmt: skip
_BINARY = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN"})
# One value each, in which a backslash is a character (PS3.5 6.2).
_SINGLE = frozenset({b"LT", b"ST", b"UT", b"UR"})
# In the character set of the object; all others are in the default repertoire.
_IN_CHARACTER_SET = frozenset({b"LO", b"LT", b"SH", b"ST", b"UC", b"UT"})
_DELIMITERS = {0x0A, 0x0C, 0x0D}
_PERSON_DELIMITERS = {0xE5, 0x3D, 0x5E}
_GROUPS_OF_A_NAME = ("Alphabetic", "Ideographic", "Phonetic")


def key_of(tag: int) -> str:
    """The name of an element in the model."""
    return f"{tag:08X}"


def model_of(
    body: ByteSource,
    elements: list[Element] | None = None,
    *,
    bulk_data: BulkData = lambda _tag, _vr, _start, _stop: None,
) -> Model:
    """The model of a data set in Explicit VR Little Endian. Group lengths are left out.

    elements: of the data set; None: all.
    bulk_data: asked for each binary value at the top level.
    Raises UnreadableObject when it is damaged, or nested too deeply.
    """
    found = walk(body, 0, len(body), EXPLICIT_LE) if elements is None else elements
    with warnings.catch_warnings():
        # Of character sets that are not in PS3.3. The text is decoded as well as it can be.
        warnings.simplefilter("ignore")
        return _model(body, found, ["iso8859"], bulk_data, 0)


def _model(
    body: ByteSource, elements: list[Element], encodings: list[str], bulk_data: BulkData, deep: int
) -> Model:
    if deep > _NESTING_MAX:
        raise UnreadableObject("sequences are nested too deeply")
    model: Model = {}
    for element in elements:
        tag = element.tag
        if tag & 0xFFFF == 0 or key_of(tag) in model:
            continue
        vr = element.vr or b"UN"
        if vr == b"SQ" or element.undefined:
            if vr == b"SQ" or vr == b"UN":
                inside = _items(body, element, encodings, deep)
                model[key_of(tag)] = {"vr": "SQ"} | ({"Value": inside} if inside else {})
            continue
        if vr in _BINARY:
            uri = bulk_data(tag, vr.decode(), element.value, element.end)
            if uri is not None:
                model[key_of(tag)] = {"vr": vr.decode(), "BulkDataURI": uri}
                continue
        raw = body[element.value : element.end]
        if tag == SPECIFIC_CHARACTER_SET:
            encodings = _encodings(raw)
            model[key_of(tag)] = {"vr": "CS", "Value": [UTF_8]}
            continue
        model[key_of(tag)] = {"vr": vr.decode()} | _value(raw, vr, encodings)
    return model


def _items(body: ByteSource, element: Element, encodings: list[str], deep: int) -> list[Model]:
    """Large values in items are written inline: they have no address of their own."""
    encoding = IMPLICIT_LE if element.vr == b"UN" else EXPLICIT_LE
    return [
        _model(
            body,
            walk(body, item.value, item.stop, encoding),
            encodings,
            lambda _tag, _vr, _start, _stop: None,
            deep + 1,
        )
        for item in items(body, element, encoding)
    ]


def _encodings(raw: bytes) -> list[str]:
    terms = [term.strip() for term in raw.decode("latin-1").strip(" \0").split("\\")]
    try:
        return list(convert_encodings(terms))
    except LookupError:
        return ["iso8859"]


def _value(raw: bytes, vr: bytes, encodings: list[str]) -> dict[str, Any]:
    if vr in _BINARY:
        return {"InlineBinary": base64.b64encode(raw).decode("ascii")} if raw else {}
    if vr in _NUMBERS:
        return _listed(_numbers(raw, vr))
    if vr == b"AT":
        pairs = struct.unpack(f"<{len(raw) // 4 * 2}H", raw[: len(raw) // 4 * 4])
        return _listed(
            [f"{group:04X}{number:04X}" for group, number in zip(pairs[::2], pairs[1::2], strict=True)]
        )
    if vr == b"PN":
        return _listed([_person(part) for part in _text(raw, encodings, _PERSON_DELIMITERS).split("\\")])
    text = _text(raw, encodings, _DELIMITERS) if vr in _IN_CHARACTER_SET else raw.decode("latin-1")
    text = text.rstrip(" \0")
    parts = [text] if vr in _SINGLE else text.split("\\")
    if vr in (b"DS", b"IS"):
        return _listed([_decimal(part, vr) for part in parts])
    return _listed([part.rstrip(" \0") or None if vr not in _SINGLE else part or None for part in parts])


def _listed(values: list[Any]) -> dict[str, Any]:
    """PS3.18 F.2.5: no Value where there is none; null where one of several is missing."""
    return {"Value": values} if any(value is not None for value in values) else {}


def _numbers(raw: bytes, vr: bytes) -> list[Any]:
    code = _NUMBERS[vr]
    size = struct.calcsize(code)
    values = struct.unpack(f"<{len(raw) // size}{code}", raw[: len(raw) // size * size])
    return [_finite(value) for value in values] if code in "fd" else list(values)


def _finite(value: float) -> float | str:
    """JSON has no numbers for these (PS3.18 F.2.3)."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(text: str, vr: bytes) -> Any:
    """A number where the text is one; the text where it is not, so that people see what stands there."""
    text = text.strip(" \0")
    if not text:
        return None
    try:
        if vr == b"IS" and text.lstrip("+-").isdigit():
            return int(text)
        return _finite(float(text))
    except ValueError:
        return text


def _text(raw: bytes, encodings: list[str], delimiters: set[int]) -> str:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    return str(decode_bytes(raw, encodings, delimiters))


def _person(text: str) -> dict[str, str] | None:
    """One name in its groups (PS3.5 6.2.1.2, PS3.18 F.2.2)."""
    groups = text.rstrip(" \0").split("=")
    named = {
        group: part.rstrip(" \0")
        for group, part in zip(_GROUPS_OF_A_NAME, groups, strict=False)
        if part.rstrip(" \0")
    }
    return named or None
