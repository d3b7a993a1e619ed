"""The private block and the statement (FORMAT.md, "Private block", "Statement", "Amendments")."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.second_reader import cbor
from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import Element, File
from tests.second_reader.header import CREATOR, SignedHeader, covered
from tests.second_reader.undo import opened

FOUR_MIB = 4 << 20
# Key: type, length of bytes or None, required in version 1 and 2 (or None: the key does not exist there).
_ENTRIES: dict[int, tuple[type, int | None, bool | None, bool | None]] = {
    1: (int, None, True, True), 2: (str, None, True, True), 3: (str, None, True, True), 4: (str, None, True, True),
    5: (bytes, 32, True, True), 6: (str, None, False, False), 7: (str, None, False, False),
    8: (str, None, True, True), 9: (bytes, 16, True, True), 10: (dict, None, True, None),
    11: (int, None, True, True), 12: (bytes, 8, True, True), 13: (bytes, 4, False, False),
    14: (str, None, False, False), 15: (bytes, 32, False, False), 16: (str, None, False, False),
    17: (str, None, False, False), 18: (dict, None, False, False), 19: (int, None, False, False),
    20: (bytes, 32, False, False), 21: (bytes, 32, False, False), 22: (bytes, 32, False, False),
    23: (bytes, 32, None, True), 24: (bytes, 32, None, False), 25: (bytes, 8, None, False),
    26: (bytes, 32, None, False), 27: (bytes, None, None, False),
}  # fmt: skip
_ONLY_FULL = (14, 15, 16, 17, 18, 21)


@dataclass
class Block:
    """What was found. statement: None when there is none that can be read. faults: why check 2 fails."""

    statement: dict[int, Any] | None = None
    encoded: bytes = b""
    signature: bytes = b""
    tiles: bytes | None = None
    restoring: bytes | None = None
    envelope: bytes | None = None
    header: bytes | None = None
    received: bytes | None = None
    amendments: bytes | None = None
    faults: list[str] = field(default_factory=list)
    signed_header: SignedHeader | None = None

    @property
    def version(self) -> int:
        return int(self.statement[1]) if self.statement else 0


def numbers(elements: Mapping[int, Element]) -> list[int]:
    """The tags of our private creator."""
    low, high = 0x00710010, 0x007100FF
    return [tag for tag in sorted(elements) if low <= tag <= high and elements[tag].text == CREATOR]


def read(file: File) -> Block | None:
    """None where there is no block."""
    elements = file.elements
    found = [number for tag in numbers(elements) for number in [tag & 0xFF] * (2 if tag in file.twice else 1)]
    if not found:
        return None
    block = Block()
    if len(found) > 1:
        block.faults.append("two blocks")
        return block

    def element(low: int) -> Element | None:
        return elements.get(0x00710000 | found[0] << 8 | low)

    def text(low: int) -> str:
        present = element(low)
        return "" if present is None else present.text

    if text(1) not in ("1", "2"):
        block.faults.append("another format version")
        return block
    stated, signature, tiles = element(0x10), element(0x11), element(0x20)
    try:
        if stated is None or not stated.body or signature is None or len(signature.body) != 64:
            raise Malformed("no statement, or no signature of 64 bytes")
        parts = {low: _framed(element(low)) for low in (0x30, 0x31, 0x40, 0x41, 0x50)}
        block.restoring, block.envelope = parts[0x30], parts[0x31]
        block.statement, end = statement(stated.body)
    except Malformed as error:
        block.faults.append(str(error))
        return block
    block.encoded, block.signature = stated.body[:end], signature.body
    block.tiles = tiles.body if tiles and tiles.body else None
    if block.version == 2:
        block.header, block.received, block.amendments = (parts.get(low) for low in (0x40, 0x41, 0x50))
    _consistent(block, text)
    return block


def _framed(element: Element | None) -> bytes | None:
    if element is None or not element.body:
        return None
    length = int.from_bytes(element.body[:4], "big")
    if len(element.body) < 4 or len(element.body) - 4 - length not in (0, 1):
        raise Malformed(f"{element.tag:08X} is not framed")
    return element.body[4 : 4 + length]


def _consistent(block: Block, text: Any) -> None:
    stated = block.statement
    assert stated is not None
    if str(stated[1]) != text(1):
        block.faults.append("a statement of another version")
    if text(2).lower() != stated[2]:
        block.faults.append("another level")
    if text(3).lower() != stated[5].hex():
        block.faults.append("another digest")
    parts = {20: block.tiles, 21: block.restoring, 22: block.envelope, 23: block.header, 24: block.received}
    for key, part in parts.items():
        if stated.get(key) != (None if part is None else blake3(part).digest()):
            block.faults.append(f"the part of entry {key} is not the one stated")
    if block.header is not None:
        try:
            block.signed_header = SignedHeader.read(block.header)
        except Malformed as error:
            block.faults.append(str(error))


def statement(data: bytes) -> tuple[dict[int, Any], int]:
    """The map and its length in bytes; at most one zero byte may follow. Raises Malformed."""
    values, end = cbor.decode(data, rest=True)
    if data[end:] not in (b"", b"\0") or not isinstance(values, dict):
        raise Malformed("statement: what follows it, or no map")
    version = values.get(1)
    if version not in (1, 2):
        raise Malformed("statement: version")
    for key, (kind, size, *required) in _ENTRIES.items():
        needed = required[version - 1]
        if key not in values:
            if needed:
                raise Malformed(f"statement: no entry {key}")
            continue
        value: Any = values[key]
        if needed is None or type(value) is not kind:
            raise Malformed(f"statement: entry {key}")
        if size is not None and len(values[key]) != size:
            raise Malformed(f"statement: entry {key}")
        if not needed and kind in (str, bytes, dict) and not value and key != 18:
            raise Malformed(f"statement: entry {key} is empty")
    if not set(values) <= set(_ENTRIES):
        raise Malformed("statement: an unknown key")
    if values[2] not in ("full", "digest") or values[4] not in ("pixels", "fragments", "dataset"):
        raise Malformed("statement: level or domain")
    if (26 in values and values[4] != "fragments") or len(values.get(27, b"")) % 16:
        raise Malformed("statement: what fragments decode to, or levels")
    if values[2] == "digest" and any(
        key in values for key in _ONLY_FULL + ((13, 22) if version == 1 else ())
    ):
        raise Malformed("statement: an entry of level full")
    if values[2] == "full" and not {13, 14, 15, 21} <= set(values):
        raise Malformed("statement: an entry of level full is missing")
    if values.get(14, "envelope") not in ("envelope", "locator") or values[11] < 0:
        raise Malformed("statement: mode or time")
    if version == 1 and not all(
        isinstance(tag, int) and isinstance(digest, bytes) and len(digest) == 8
        for tag, digest in values[10].items()
    ):
        raise Malformed("statement: header digests")
    return values, end


def signed_by(
    signers: list[Ed25519PublicKey], identity: bytes, signature: bytes, message: bytes
) -> bool | None:
    """None where no trusted signer has this id."""
    known = [key for key in signers if blake3(key.public_bytes_raw()).digest(8) == identity]
    for key in known:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False if known else None


@dataclass(frozen=True)
class Correction:
    tag: int
    before: bytes
    after: bytes
    text_before: str
    text_after: str


@dataclass(frozen=True)
class Amendment:
    corrections: tuple[Correction, ...]
    reason: str
    who: str
    when: int


def amendments(
    data: bytes, encoded: bytes, header: SignedHeader, signers: list[Ed25519PublicKey]
) -> list[Amendment]:
    """Check 12. Raises Malformed for the first that is not right."""
    found, before, current = [], b"", dict(header.elements)
    if len(data) > 1 << 20:
        raise Malformed("amendments: too long")
    pairs, _ = cbor.decode(data, strict=False)
    if not isinstance(pairs, list) or len(pairs) > 1000:
        raise Malformed("amendments: no list, or too long")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise Malformed("amendment: no pair")
        entry, signature = pair
        values, _ = cbor.decode(entry)
        kinds = (int, bytes, bytes, list, str, str, int, bytes)
        right = isinstance(values, dict) and set(values) == set(range(1, 9))
        if not right or not all(type(values[n]) is kind for n, kind in enumerate(kinds, 1)) or values[1] != 2:
            raise Malformed("amendment: its keys")
        if values[2] != blake3(encoded).digest() or values[3] != before:
            raise Malformed("amendment: of another statement, or out of order")
        if not signed_by(signers, values[8], signature, b"sealgate amendment v2\0" + entry):
            raise Malformed("amendment: not signed by a trusted signer")
        corrections = []
        if not values[4]:
            raise Malformed("amendment: without corrections")
        for row in values[4]:
            if not isinstance(row, list) or [type(cell) for cell in row] != [int, bytes, bytes, str, str]:
                raise Malformed("amendment: a correction")
            correction = Correction(*row)
            if not covered(correction.tag) or correction.tag >= 1 << 32:
                raise Malformed("amendment: of an element that is not covered")
            if current.get(correction.tag, b"") != correction.before or len(correction.after) not in (0, 12):
                raise Malformed("amendment: begins at another digest")
            current[correction.tag] = correction.after
            corrections.append(correction)
        before = blake3(entry).digest()
        found.append(Amendment(tuple(corrections), values[5], values[6], values[7]))
    return found


@dataclass(frozen=True)
class Received:
    """The header as received. parts: bytes, or (tag, element header, length) of a value left out."""

    syntax: str
    encoding: int
    parts: list[bytes | tuple[int, bytes, int]]
    digest: bytes


def received(element: bytes, restore_key: bytes) -> Received:
    """Check 11. Raises Malformed."""
    context = "sealgate received header key v2"
    packed = opened(element, restore_key, context, b"sealgate received header v2")
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(packed, FOUR_MIB + 1)
    except zlib.error as error:
        raise Malformed("header as received: does not inflate") from error
    if len(plain) > FOUR_MIB or not inflater.eof or inflater.unused_data:
        raise Malformed("header as received: too long, cut short or followed by something")
    values, _ = cbor.decode(plain, strict=False)
    right = isinstance(values, dict) and set(values) == {1, 2, 3, 4} and values[2] in (0, 1, 2)
    if (
        not right
        or not isinstance(values[3], list)
        or not isinstance(values[4], bytes)
        or len(values[4]) != 32
    ):
        raise Malformed("header as received: its keys")
    parts: list[bytes | tuple[int, bytes, int]] = []
    for part in values[3]:
        if isinstance(part, bytes):
            parts.append(part)
        elif isinstance(part, list) and [type(cell) for cell in part] == [int, bytes, int]:
            parts.append((part[0], part[1], part[2]))
        else:
            raise Malformed("header as received: a part")
    return Received(values[1], values[2], parts, values[4])
