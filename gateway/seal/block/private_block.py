"""The private block: group 0071, private creator SEALGATE (PS3.5 7.8; FORMAT.md has the table of its elements)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from blake3 import blake3

from gateway.dicom.elements import encode
from gateway.dicom.part10 import Part10
from gateway.errors import SealBroken

GROUP = 0x0071
CREATOR = b"SEALGATE"
# Of new blocks; older ones are read for ever.
FORMAT_VERSION = 2
_VERSIONS = {"1": 1, "2": 2}
# Number of the check in FORMAT.md that this module serves.
CHECK = 2

VERSION, LEVEL, DIGEST, STATEMENT, SIGNATURE, TILES, RESTORING, ENVELOPE, HEADER, RECEIVED, AMENDMENTS = (
    0x01, 0x02, 0x03, 0x10, 0x11, 0x20, 0x30, 0x31, 0x40, 0x41, 0x50,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Block:
    """What the elements of the block hold.

    level: in lower case.
    digest: 64 hex digits in lower case.
    statement: as encoded; when it was read from an object, one byte of padding may follow.
    signature: 64 bytes.
    tiles, restoring, envelope, header, received, amendments: parts that may be missing, then they are empty. Here they
        come without the length that stands in the element before all but the tiles.
    version: of the format.
    """

    level: str
    digest: str
    statement: bytes
    signature: bytes
    tiles: bytes = b""
    restoring: bytes = b""
    envelope: bytes = b""
    header: bytes = b""
    received: bytes = b""
    amendments: bytes = b""
    version: int = FORMAT_VERSION


def hash_part(part: bytes) -> bytes:
    """The 32 bytes by which the statement names a part of the block; b"" for a part that is missing."""
    return blake3(part).digest() if part else b""


def has_block(file: Part10) -> bool:
    return bool(_block_numbers(file))


def find(file: Part10) -> Block | None:
    """The block of this format, under any block number and with elements as OB, LO or UN; None when there is none.

    Raises SealBroken when there are two, when elements are missing or malformed, or when the version is unknown.
    """
    numbers = _block_numbers(file)
    if not numbers:
        return None
    if len(numbers) > 1:
        raise SealBroken("the object has two private blocks of this format", check=CHECK)

    def value(element: int) -> bytes:
        return file.value(GROUP << 16 | numbers[0] << 8 | element) or b""

    def text(element: int) -> str:
        return value(element).strip(b" \0").decode("latin-1")

    version = _VERSIONS.get(text(VERSION))
    if version is None:
        raise SealBroken("the private block has an unknown format version", check=CHECK)
    if not value(STATEMENT) or len(value(SIGNATURE)) != 64:
        raise SealBroken("the private block lacks its statement or signature", check=CHECK)
    return Block(
        level=text(LEVEL).lower(),
        digest=text(DIGEST).lower(),
        statement=value(STATEMENT),
        signature=value(SIGNATURE),
        tiles=value(TILES),
        restoring=_unframed(value(RESTORING)),
        envelope=_unframed(value(ENVELOPE)),
        header=_unframed(value(HEADER)) if version > 1 else b"",
        received=_unframed(value(RECEIVED)) if version > 1 else b"",
        amendments=_unframed(value(AMENDMENTS)) if version > 1 else b"",
        version=version,
    )


def edits(block: Block, file: Part10) -> dict[int, bytes | None]:
    """Edits that insert the block under the first free number of group 0071.

    Raises SealBroken when no number is free.
    """
    taken = {
        element.tag & 0xFF
        for element in file.elements
        if element.group == GROUP and element.tag & 0xFF00 == 0
    }
    taken |= {element.tag >> 8 & 0xFF for element in file.elements if element.group == GROUP}
    number = next((number for number in range(0x10, 0x100) if number not in taken), None)
    if number is None:
        raise SealBroken("group 0071 has no free block", check=CHECK)
    values = {
        VERSION: (b"LO", b"%d" % block.version),
        LEVEL: (b"LO", block.level.upper().encode()),
        DIGEST: (b"LO", block.digest.encode()),
        STATEMENT: (b"OB", block.statement),
        SIGNATURE: (b"OB", block.signature),
        TILES: (b"OB", block.tiles),
        RESTORING: (b"OB", _framed(block.restoring)),
        ENVELOPE: (b"OB", _framed(block.envelope)),
        HEADER: (b"OB", _framed(block.header)),
        RECEIVED: (b"OB", _framed(block.received)),
        AMENDMENTS: (b"OB", _framed(block.amendments)),
    }
    creator = GROUP << 16 | number
    result: dict[int, bytes | None] = {creator: encode(creator, b"LO", CREATOR, file.encoding)}
    for element, (vr, value) in values.items():
        if value:
            tag = GROUP << 16 | number << 8 | element
            result[tag] = encode(tag, vr, value, file.encoding)
    return result


def with_amendments(file: Part10, amendments: bytes) -> dict[int, bytes | None]:
    """Edits that put amendments into the block that is there, instead of those it has.

    Raises SealBroken when there is not one block.
    """
    numbers = _block_numbers(file)
    if len(numbers) != 1:
        raise SealBroken("the object has not one private block of this format", check=CHECK)
    tag = GROUP << 16 | numbers[0] << 8 | AMENDMENTS
    return {tag: encode(tag, b"OB", _framed(amendments), file.encoding)}


def removal(file: Part10) -> dict[int, bytes | None]:
    """Edits that remove every block of this format with all its elements."""
    numbers = _block_numbers(file)
    tags = {
        element.tag
        for element in file.elements
        if element.group == GROUP and (element.tag & 0xFFFF in numbers or element.tag >> 8 & 0xFF in numbers)
    }
    return dict.fromkeys(sorted(tags))


def _block_numbers(file: Part10) -> list[int]:
    return [
        element.tag & 0xFF
        for element in file.elements
        if element.group == GROUP
        and 0x10 <= element.tag & 0xFFFF <= 0xFF
        and file.body[element.value : element.end].strip(b" \0") == CREATOR
    ]


def _framed(part: bytes) -> bytes:
    """The part behind its length, 4 bytes in big endian: OB values are padded, and the part must come back exactly."""
    return struct.pack(">I", len(part)) + part if part else b""


def _unframed(value: bytes) -> bytes:
    if not value:
        return b""
    length = struct.unpack_from(">I", value)[0] if len(value) >= 4 else len(value)
    if len(value) < 4 or len(value) - 4 - length not in (0, 1):
        raise SealBroken("a part of the private block has a wrong length", check=CHECK)
    return value[4 : 4 + length]
