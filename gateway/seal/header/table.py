"""The signed header: a keyed digest of every standard element, so that a verifier without any key can name what changed
(FORMAT.md, "Signed header").
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from blake3 import blake3

from gateway.dicom.elements import IMPLICIT_LE, Element, items, walk
from gateway.dicom.part10 import Part10
from gateway.errors import SealBroken, UnreadableObject
from gateway.seal.header import dictionary
from gateway.seal.header.canonical import (
    Canonical,
    HeaderReading,
    is_covered,
    item_contents,
    swapped,
    value_of,
    vr_of,
)

DIGEST_BYTES = 12
# Per-frame Functional Groups Sequence: one digest a frame, so that one changed frame is named.
PER_FRAME = 0x52009230
_KEY_CONTEXT = "sealgate header element v2"
# Number of the check in FORMAT.md that this module serves.
CHECK = 2
_OWN_CREATOR = "SEALGATE"
_OWN_GROUP = 0x0071
_TAG_MAX = 0xFFFFFFFF
_ITEM_TAG = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, kw_only=True)
class HeaderTable:
    """The digests of a header.

    edition: of the dictionary by which the elements were read.
    elements: tag -> 12 bytes, of standard elements at the top level that are not empty.
    frames: 12 bytes for each item of the Per-frame Functional Groups Sequence.
    private: (group, private creator) -> 12 bytes, over all elements of the block.
    """

    edition: int = dictionary.EDITION
    elements: dict[int, bytes] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()
    private: dict[tuple[int, str], bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class HeaderChange:
    """A place in which a header differs from the sealed one.

    tag: of the element; the group, shifted left by 16, for a private block.
    creator: of the private block; empty for standard elements.
    kind: "changed", "added" or "removed".
    frames: numbers of the frames, from 0, for the Per-frame Functional Groups Sequence.
    """

    tag: int
    kind: str
    creator: str = ""
    frames: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        if self.creator:
            return f"({self.tag >> 16:04X},{self.creator})"
        return dictionary.name_of(self.tag)


def take(
    file: Part10,
    salt: bytes,
    *,
    edits: Mapping[int, bytes | None] | None = None,
    edition: int = dictionary.EDITION,
) -> HeaderTable:
    """The digests of the header of an object, without our private block.

    salt: 16 bytes; without it, digests of different objects could be compared.
    edits: of standard elements, as for `Part10.edited`, that count as if they had been made.
    Raises UnreadableObject when sequences are damaged, or nested too deeply.
    """
    key = element_key(salt)
    reading = HeaderReading.of(file, edition)
    elements: dict[int, bytes] = {}
    frames: tuple[bytes, ...] = ()
    for tag, edited in (edits or {}).items():
        for element in walk(edited or b"", 0, len(edited or b""), file.encoding):
            elements[tag] = digest_of(key, tag, value_of(element, reading.over(edited or b"")))
    for element in file.elements:
        if edits and element.tag in edits:
            continue
        if element.tag == PER_FRAME and vr_of(element, reading) == "SQ":
            frames = tuple(
                _digest(key, element.tag, (struct.pack("<I", number), content))
                for number, content in enumerate(item_contents(element, reading))
            )
        elif is_covered(element.tag):
            elements[element.tag] = digest_of(key, element.tag, value_of(element, reading))
    elements = {tag: digest for tag, digest in elements.items() if digest}
    return HeaderTable(
        edition=edition, elements=elements, frames=frames, private=_private(file, reading, key)
    )


def digest_of(key: bytes, tag: int, value: Canonical) -> bytes:
    """12 bytes; b"" for an empty value."""
    return b"" if value.empty else _digest(key, tag, value.serialised())


def element_key(salt: bytes) -> bytes:
    """The key of the digests of one object."""
    return blake3(salt, derive_key_context=_KEY_CONTEXT).digest()


def encode(table: HeaderTable) -> bytes:
    """The element of the private block: a CBOR map in deterministic encoding."""
    private: dict[int, dict[str, bytes]] = defaultdict(dict)
    for (group, creator), digest in table.private.items():
        private[group][creator] = digest
    content: dict[int, Any] = {1: table.edition, 2: table.elements}
    if table.frames:
        content[3] = b"".join(table.frames)
    if private:
        content[4] = dict(private)
    return cbor2.dumps(content, canonical=True)


def decode(data: bytes) -> HeaderTable:
    """The inverse of `encode`.

    Raises SealBroken when the content is malformed, or of an edition that is not known here.
    """
    stream = io.BytesIO(data)
    try:
        content = cbor2.load(stream)
        edition = content.get(1) if isinstance(content, dict) else None
        if stream.tell() != len(data) or type(edition) is not int or edition != dictionary.EDITION:
            raise ValueError("not this edition, or bytes follow")
        frames, private = content.get(3, b""), content.get(4, {})
        table = HeaderTable(
            edition=edition,
            elements=dict(content[2].items()),
            frames=tuple(frames[at : at + DIGEST_BYTES] for at in range(0, len(frames), DIGEST_BYTES)),
            private={
                (group, creator): digest
                for group, creators in private.items()
                for creator, digest in creators.items()
            },
        )
        digests = (*table.elements.values(), *table.frames, *table.private.values())
        if not all(type(digest) is bytes and len(digest) == DIGEST_BYTES for digest in digests):
            raise ValueError("digests of a wrong length")
        tags = (*table.elements, *(group << 16 for group, _ in table.private))
        if not all(type(tag) is int and 0 <= tag <= _TAG_MAX for tag in tags):
            raise ValueError("tags that are none")
        if not all(type(creator) is str for _, creator in table.private):
            raise ValueError("private creators that are no text")
        if encode(table) != data:
            raise ValueError("not the deterministic encoding")
    except (cbor2.CBORError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SealBroken("the signed header is malformed", check=CHECK) from error
    return table


def changes(sealed: HeaderTable, present: HeaderTable) -> list[HeaderChange]:
    """Where a header differs from the sealed one, by tag, private blocks last."""
    found = [HeaderChange(tag, kind) for tag, kind in _differences(sealed.elements, present.elements)]
    if sealed.frames != present.frames:
        common = min(len(sealed.frames), len(present.frames))
        numbers = [number for number in range(common) if sealed.frames[number] != present.frames[number]]
        numbers += range(common, max(len(sealed.frames), len(present.frames)))
        kind = "added" if not sealed.frames else "changed" if present.frames else "removed"
        found.append(HeaderChange(PER_FRAME, kind, frames=tuple(numbers)))
    found.sort(key=lambda change: change.tag)
    return found + [
        HeaderChange(group << 16, kind, creator)
        for (group, creator), kind in _differences(sealed.private, present.private)
    ]


def _differences(sealed: dict[Any, bytes], present: dict[Any, bytes]) -> list[tuple[Any, str]]:
    return [
        (key, "removed" if key not in present else "added" if key not in sealed else "changed")
        for key in sorted(sealed.keys() | present.keys())
        if sealed.get(key) != present.get(key)
    ]


def _digest(key: bytes, tag: int, content: Iterable[bytes]) -> bytes:
    engine = blake3(struct.pack("<I", tag), key=key)
    for piece in content:
        engine.update(piece)
    return engine.digest(DIGEST_BYTES)


def _private(file: Part10, reading: HeaderReading, key: bytes) -> dict[tuple[int, str], bytes]:
    """The digests of private blocks, whatever their block numbers are. VRs do not count: archives turn them into UN."""
    creators: dict[tuple[int, int], str] = {}
    members: dict[tuple[int, str], list[tuple[int, Element]]] = defaultdict(list)
    for element in file.elements:
        group, number = element.group, element.tag & 0xFFFF
        if not group % 2:
            continue
        if 0x10 <= number <= 0xFF:
            name = file.body[element.value : element.end].strip(b" \0").decode("latin-1")
            if name:
                creators[group, number] = name
        elif number >= 0x1000 and (group, number >> 8) in creators:
            members[group, creators[group, number >> 8]].append((number & 0xFF, element))
    result = {}
    for (group, creator), elements in members.items():
        if (group, creator) == (_OWN_GROUP, _OWN_CREATOR):
            continue
        engine = blake3(struct.pack("<I", group) + creator.encode() + b"\0", key=key)
        for number, element in sorted(elements, key=lambda member: member[0]):
            for piece in _private_value(number, element, reading):
                engine.update(piece)
        result[group, creator] = engine.digest(DIGEST_BYTES)
    return result


def _private_value(number: int, element: Element, reading: HeaderReading) -> Iterable[bytes]:
    contents = _private_items(element, reading)
    if contents:
        return (struct.pack("<BcI", number, b"S", len(contents)), *contents)
    is_sequence = element.undefined or element.vr == b"SQ"
    value = b"" if is_sequence else reading.body[element.value : element.end]
    if not reading.encoding.little and element.vr:
        value = swapped(value, element.vr.decode("latin-1"))
    value = value.rstrip(b" \0")
    return (struct.pack("<BcQ", number, b"B", len(value)), value)


def _private_items(element: Element, reading: HeaderReading) -> list[bytes]:
    """The items of a private element. Without a VR, or with UN, it is a sequence when it can be read as one."""
    if element.undefined or element.vr == b"SQ":
        return item_contents(element, reading)
    if element.vr not in (None, b"UN") or reading.body[element.value : element.value + 4] != _ITEM_TAG:
        return []
    try:
        if items(reading.body, element, IMPLICIT_LE)[-1].end != element.end:
            return []
        return item_contents(element, reading)
    except UnreadableObject:
        return []
