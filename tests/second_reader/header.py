"""The signed header: canonical values, digests of elements, classes of differences (FORMAT.md, "Signed header")."""

from __future__ import annotations

import functools
import re
import struct
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from tests.second_reader import cbor
from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import (
    CHARACTER_SET,
    CHARACTERS,
    IMPLICIT_LITTLE,
    PER_FRAME,
    PIXEL_DATA,
    SPECIFICATION,
    TEXT,
    WORDS,
    Element,
    Parser,
    Unreadable,
    swapped,
    vr_of,
)
from tests.second_reader.text import decoded

CREATOR, ICON = "SEALGATE", 0x00880200
KEY_CONTEXT = "sealgate header element v2"
NEUTRAL = frozenset({"description", "bookkeeping"})

_EXCLUDED = frozenset({
    CHARACTER_SET, 0x00080052, 0x00080053, 0x00080054, 0x00080056, 0x00081190, 0x00880130, 0x00880140, 0x00280006,
    0x00280100,
    0x0040E010, 0x0040E011, *range(0x0040E020, 0x0040E026), *range(0x04000500, 0x04000562), 0xFFFAFFFA, 0x4FFE0001,
    0x7FE00001, 0x7FE00002, 0x7FE00003, PIXEL_DATA, 0xFFFCFFFC,
})  # fmt: skip

_NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "AT": "HH",
    "FL": "f",
    "FD": "d",
}
_NOT_A_NUMBER = bytes.fromhex("000000000000f87f")
_DECIMAL = re.compile(r"([+-]?)(?=\.?\d)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,9}))?")


@dataclass(frozen=True)
class Context:
    """What the reading of a value depends on. terms: Specific Character Set; signed: Pixel Representation is 1."""

    terms: str
    signed: bool

    def inside(self, item: Mapping[int, Element]) -> Context:
        own, representation = item.get(CHARACTER_SET), item.get(0x00280103)
        terms = self.terms if own is None else own.text
        if representation is None:
            return Context(terms, self.signed)
        return Context(terms, representation.little(2)[:2] == b"\1\0")


def context(elements: Mapping[int, Element]) -> Context:
    return Context("", False).inside(elements)


def canonical(element: Element, around: Context) -> tuple[str, bytes]:
    """Kind and content of an element."""
    vr = element.vr
    if vr == "US/SS":
        vr = "SS" if around.signed else "US"
    if vr == "SQ":
        items = element.items or []
        content = b"".join(item_content(item, around.inside(item)) for item in items)
        return "S", len(items).to_bytes(4, "little") + content if items else b""
    if vr in CHARACTERS:
        value = element.body.rstrip(b" \0")
        text = decoded(value, around.terms)
        if text is None:
            return "B", value + b"\0" * (len(value) % 2)
        kind = {"LO": "T", "SH": "T", "UC": "T", "PN": "P"}.get(vr, "L")
        return kind, _written(kind, text).encode()
    if vr in TEXT:
        body = element.body.replace(b" ", b"") if vr == "UI" else element.body
        text = _written("T", body.rstrip(b" \0").decode("latin-1"))
        if vr in ("DS", "IS"):
            numbers = "\\".join(_decimal(value) for value in text.split("\\"))
            # One frame is what the absence of Number of Frames means.
            return "D", b"" if (element.tag, numbers) == (0x00280008, "1E0") else numbers.encode()
        return "C", b"RGB" if text in ("YBR_RCT", "YBR_ICT") else text.encode()
    if vr in _NUMBERS:
        return "F" if vr in ("FL", "FD") else "I", _numbers(element, vr)
    value = element.little()
    return "B", value + b"\0" * (len(value) % 2)


def _written(kind: str, text: str) -> str:
    if kind == "L":
        return text.rstrip(" \0")
    values = [value.strip(" \0") for value in text.split("\\")]
    if kind == "P":
        groups = [[group.strip(" \0").rstrip("^ ") for group in value.split("=")] for value in values]
        values = ["=".join(parts).rstrip("=") for parts in groups]
    return "\\".join(values)


def _decimal(value: str) -> str:
    match = _DECIMAL.fullmatch(value)
    if match is None:
        return value
    sign, whole, part, exponent = match.groups()
    digits = (whole + part).lstrip("0")
    if not digits:
        return "0"
    power = int(exponent or 0) - len(part) + len(digits) - len(digits.rstrip("0"))
    return f"{'-' if sign == '-' else ''}{digits.rstrip('0')}E{power}"


def _numbers(element: Element, vr: str) -> bytes:
    order, code = ">" if element.encoding.big else "<", _NUMBERS[vr]
    whole = len(element.body) // struct.calcsize(order + code) * struct.calcsize(order + code)
    out = b""
    for number, *second in struct.iter_unpack(order + code, element.body[:whole]):
        if vr in ("FL", "FD"):
            out += struct.pack("<d", number) if number == number else _NOT_A_NUMBER
        else:
            value = number << 16 | second[0] if second else number
            out += (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
    return out + element.body[whole:]


def covered(tag: int, *, inside: bool = False) -> bool:
    group = tag >> 16
    if group % 2 or group < 8 or not tag & 0xFFFF:
        return False
    return tag not in _EXCLUDED or (inside and tag == PIXEL_DATA)


def item_content(item: Mapping[int, Element], around: Context) -> bytes:
    parts = []
    for tag in sorted(item):
        if covered(tag, inside=True):
            kind, content = canonical(item[tag], around)
            head = tag.to_bytes(4, "little") + kind.encode() + len(content).to_bytes(8, "little")
            parts += [head + content] if content else []
    return len(parts).to_bytes(4, "little") + b"".join(parts)


@dataclass(frozen=True)
class SignedHeader:
    """The entries 2, 3 and 4 of a signed header."""

    elements: dict[int, bytes]
    frames: bytes
    private: dict[int, dict[str, bytes]]

    def encoded(self) -> bytes:
        entries: dict[int, Any] = {1: 1, 2: self.elements}
        if self.frames:
            entries[3] = self.frames
        if self.private:
            entries[4] = self.private
        return cbor.encode(entries)

    @classmethod
    def read(cls, data: bytes) -> SignedHeader:
        entries, _ = cbor.decode(data)
        if not isinstance(entries, dict) or not {1, 2} <= set(entries) <= {1, 2, 3, 4} or entries[1] != 1:
            raise Malformed("signed header: its keys or edition")
        elements, frames, private = entries[2], entries.get(3, b""), entries.get(4, {})
        right = isinstance(elements, dict) and isinstance(frames, bytes) and isinstance(private, dict)
        if not right or len(frames) % 12 or (3 in entries and not frames) or (4 in entries and not private):
            raise Malformed("signed header: its types")
        for group in private.values():
            if not isinstance(group, dict) or not group or not all(isinstance(key, str) for key in group):
                raise Malformed("signed header: private blocks")
        digests = [*elements.values(), *(digest for group in private.values() for digest in group.values())]
        if not all(isinstance(d, bytes) and len(d) == 12 for d in digests):
            raise Malformed("signed header: a digest")
        if not all(isinstance(n, int) and 0 <= n < 1 << 32 for n in [*elements, *private]):
            raise Malformed("signed header: a tag")
        return cls(elements, frames, private)


def header_key(salt: bytes) -> bytes:
    return blake3(salt, derive_key_context=KEY_CONTEXT).digest()


def signed_header(elements: Mapping[int, Element], salt: bytes) -> SignedHeader:
    key, around = header_key(salt), context(elements)

    def digest(*parts: bytes) -> bytes:
        return blake3(b"".join(parts), key=key).digest(12)

    top, frames = {}, b""
    for tag, element in elements.items():
        if not covered(tag):
            continue
        name = tag.to_bytes(4, "little")
        if tag == PER_FRAME and element.vr == "SQ":
            for number, item in enumerate(element.items or []):
                frames += digest(name, number.to_bytes(4, "little"), item_content(item, around.inside(item)))
            continue
        kind, content = canonical(element, around)
        if content:
            top[tag] = digest(name, kind.encode(), len(content).to_bytes(8, "little"), content)
    private: dict[int, dict[str, bytes]] = {}
    for (group, creator), members in _private_blocks(elements).items():
        content = group.to_bytes(4, "little") + creator.encode() + b"\0"
        for low, element in members:
            content += bytes([low])
            items = private_items(element)
            if items:
                content += b"S" + len(items).to_bytes(4, "little")
                content += b"".join(item_content(item, around.inside(item)) for item in items)
            else:
                value = b"" if element.vr == "SQ" else _private_value(element).rstrip(b" \0")
                content += b"B" + len(value).to_bytes(8, "little") + value
        private.setdefault(group, {})[creator] = digest(content)
    return SignedHeader(top, frames, private)


def _private_value(element: Element) -> bytes:
    """In little endian: each whole word of it, also where bytes are left over."""
    return (
        swapped(element.body, WORDS.get(element.written or "", 1)) if element.encoding.big else element.body
    )


def private_items(element: Element) -> list[dict[int, Element]]:
    """The items of a private sequence; in UN or without a VR, of a value that is items from end to end."""
    if element.vr == "SQ":
        return element.items or []
    if element.written not in (None, "UN") or element.body[:4] != b"\xfe\xff\x00\xe0":
        return []
    parser, size = Parser(element.body), len(element.body)
    try:
        items, _ = parser.items(0, size, size, IMPLICIT_LITTLE, 1)
    except Unreadable:
        return []
    return [] if any("delimiter" in doubt for doubt in parser.doubts) else items


def _private_blocks(elements: Mapping[int, Element]) -> dict[tuple[int, str], list[tuple[int, Element]]]:
    creators = {
        (tag >> 16, tag & 0xFF): element.text
        for tag, element in elements.items()
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF
    }
    blocks: dict[tuple[int, str], list[tuple[int, Element]]] = {}
    for tag in sorted(elements):
        creator = creators.get((tag >> 16, tag >> 8 & 0xFF), "")
        if tag >> 16 & 1 and tag & 0xFFFF > 0xFF and creator and (tag >> 16, creator) != (0x0071, CREATOR):
            blocks.setdefault((tag >> 16, creator), []).append((tag & 0xFF, elements[tag]))
    return {block: sorted(members, key=lambda member: member[0]) for block, members in blocks.items()}


@functools.cache
def _classes() -> tuple[dict[int, str], list[tuple[int, int, str]]]:
    """Classes of single elements, and of ranges (first tag, last tag, class)."""
    singles: dict[int, str] = {}
    ranges: list[tuple[int, int, str]] = []
    for rule in tomllib.loads((SPECIFICATION / "header" / "header_classes.toml").read_text())["rule"]:
        for entry in rule.get("elements", ()):
            singles[_tag(entry[:9])] = rule["class"]
        for span in rule.get("ranges", ()):
            ranges.append((_tag(span[:9]), _tag(span[10:]), rule["class"]))
    return singles, ranges


def _tag(text: str) -> int:
    return int(text.replace(",", ""), 16)


def class_of(tag: int) -> str:
    singles, ranges = _classes()
    if tag in singles:
        return singles[tag]
    if vr_of(tag) is None:
        return "description"
    return next((name for first, last, name in ranges if first <= tag <= last), "context")


@dataclass(frozen=True)
class Difference:
    """tag: None for a private block. name: which one it is. kind: its class."""

    tag: int | None
    kind: str
    name: str


def differences(stated: SignedHeader, present: SignedHeader) -> list[Difference]:
    found = [
        Difference(
            tag, "description" if tag == ICON and tag not in present.elements else class_of(tag), f"{tag:08X}"
        )
        for tag in sorted(stated.elements.keys() | present.elements.keys())
        if stated.elements.get(tag) != present.elements.get(tag)
    ]
    if stated.frames != present.frames:
        found.append(Difference(PER_FRAME, class_of(PER_FRAME), f"{PER_FRAME:08X}"))
    for group in sorted(stated.private.keys() | present.private.keys()):
        a, b = stated.private.get(group, {}), present.private.get(group, {})
        changed: Iterable[str] = (name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name))
        found += [Difference(None, "description", f"{group:04X} {name}") for name in changed]
    return found


# ---- version 1

IDENTITY_1: tuple[int, ...] = (
    *(0x00100020, 0x00100010, 0x00100030, 0x00100040, 0x00080050),
    *(0x0020000D, 0x00080018, 0x00100021, 0x00080020, 0x00080060),
)


def comparable(element: Element | None, around: Context) -> str:
    """A value as version 1 compares it, and as the record is compared: text without what is insignificant."""
    if element is None or element.vr == "SQ":
        return ""
    kind, content = canonical(element, around)
    if kind == "I":
        numbers = struct.unpack(f"<{len(content) // 8}q", content[: len(content) // 8 * 8])
        return "\\".join(str(number) for number in numbers)
    if kind == "F":
        return "\\".join(
            f"{n:.6g}" for n in struct.unpack(f"<{len(content) // 8}d", content[: len(content) // 8 * 8])
        )
    text = element.body.decode("latin-1") if kind in "CDB" else decoded(element.body, around.terms) or ""
    text = text.strip(" \0")
    return text.rstrip("^= ") if kind == "P" else text


def digest_1(tag: int, value: str, salt: bytes) -> bytes:
    key = blake3(salt, derive_key_context="sealgate header field v1").digest()
    return blake3(tag.to_bytes(4, "little") + value.encode(), key=key).digest(8)


def differences_1(
    elements: Mapping[int, Element], stated: Mapping[int, bytes], salt: bytes
) -> list[Difference]:
    """stated: tag: digest, entry 10 of the statement."""
    around, found = context(elements), []
    for tag in sorted({*IDENTITY_1, *stated}):
        value = comparable(elements.get(tag), around)
        if stated.get(tag) != (digest_1(tag, value, salt) if value else None):
            found.append(Difference(tag, "identity", f"{tag:08X}"))
    return found


def dataset_1(elements: Mapping[int, Element], left_out: Iterable[int]) -> bytes:
    """The serialisation of domain `dataset` of version 1."""
    skipped = {0xFFFCFFFC, *left_out}
    out = b""
    for element in elements.values():
        if element.tag >> 16 & 1 or not element.tag & 0xFFFF or element.tag in skipped:
            continue
        out += element.tag.to_bytes(4, "little")
        if element.items is not None:
            out += b"\1" + len(element.items).to_bytes(8, "little")
            out += b"".join(b"item" + dataset_1(item, ()) for item in element.items) + b"end."
            continue
        text = element.vr in TEXT
        value = element.body.rstrip(b" \0") if text else element.little()
        out += b"\0" + len(value).to_bytes(8, "little") + value
    return out
