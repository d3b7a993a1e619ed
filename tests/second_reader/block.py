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
# Key: type, and length of bytes.
_ENTRIES: dict[int, tuple[type, int | None]] = {
    1: (int, None), 2: (str, None), 3: (str, None), 4: (str, None), 5: (bytes, 32), 6: (str, None), 7: (str, None),
    8: (str, None), 9: (bytes, 16), 10: (dict, None), 11: (int, None), 12: (bytes, 8), 13: (bytes, 4), 14: (str, None),
    15: (bytes, 32), 16: (str, None), 17: (str, None), 18: (dict, None), 19: (int, None), 20: (bytes, 32),
    21: (bytes, 32), 22: (bytes, 32), 23: (bytes, 32), 24: (bytes, 32), 25: (bytes, 8), 26: (bytes, 32),
    27: (bytes, None),
}  # fmt: skip


@dataclass
class Block:
    """What was found. statement: empty when there is none that can be read. faults: why check 2 fails."""

    statement: dict[int, Any] = field(default_factory=dict)
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
        return int(self.statement.get(1, 0))


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
    if block.header is not None and not block.faults:
        try:
            block.signed_header = SignedHeader.read(block.header)
        except Malformed as error:
            block.faults.append(str(error))


def statement(data: bytes) -> tuple[dict[int, Any], int]:
    """The map and its length in bytes; at most one zero byte may follow. Raises Malformed."""
    values, end = cbor.decode(data, rest=True)
    version = values.get(1) if isinstance(values, dict) else None
    if data[end:] not in (b"", b"\0") or version not in (1, 2):
        raise Malformed("statement: what follows it, no map, or another version")
    required = {1, 2, 3, 4, 5, 8, 9, 11, 12, 10 if version == 1 else 23}
    unknown = {23, 24, 25, 26, 27} if version == 1 else {10}
    if not required <= set(values) <= set(_ENTRIES) - unknown:
        raise Malformed("statement: its keys")
    for key, value in values.items():
        kind, size = _ENTRIES[key]
        if type(value) is not kind or (size and len(values[key]) != size) or not (value or key in required):
            raise Malformed(f"statement: entry {key}")
    if values[2] not in ("full", "digest") or values[4] not in ("pixels", "fragments", "dataset"):
        raise Malformed("statement: level or domain")
    tiled = values[4] == "pixels" or 26 in values
    if values.get(19) not in ((64, 32, 16, 8) if tiled else (None,)):
        raise Malformed("statement: tile edge")
    if (26 in values and values[4] != "fragments") or len(values.get(27, b"")) % 16:
        raise Malformed("statement: what fragments decode to, or levels")
    digests, hint = values.get(10, {}), values.get(18, {})
    if not all(type(tag) is int and type(one) is bytes and len(one) == 8 for tag, one in digests.items()):
        raise Malformed("statement: header digests")
    if not all(type(name) is str and type(number) is int for name, number in hint.items()):
        raise Malformed("statement: hint")
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
        entry, signature = cbor.typed(pair, [bytes, bytes], "amendment: no pair")
        version, statement_hash, previous, rows, reason, who, when, signer = cbor.typed(
            cbor.decode(entry)[0], [int, bytes, bytes, list, str, str, int, bytes], "amendment: its keys"
        )
        if version != 2 or statement_hash != blake3(encoded).digest() or previous != before or not rows:
            raise Malformed("amendment: of another statement, out of order, or without corrections")
        if not signed_by(signers, signer, signature, b"sealgate amendment v2\0" + entry):
            raise Malformed("amendment: not signed by a trusted signer")
        corrections = []
        for row in rows:
            correction = Correction(
                *cbor.typed(row, [int, bytes, bytes, str, str], "amendment: a correction")
            )
            if not covered(correction.tag) or correction.tag >= 1 << 32:
                raise Malformed("amendment: of an element that is not covered")
            if current.get(correction.tag, b"") != correction.before or len(correction.after) not in (0, 12):
                raise Malformed("amendment: begins at another digest")
            current[correction.tag] = correction.after
            corrections.append(correction)
        before = blake3(entry).digest()
        found.append(Amendment(tuple(corrections), reason, who, when))
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
    syntax, encoding, given, digest = cbor.typed(
        values, [str, int, list, bytes], "header as received: its keys"
    )
    if encoding not in (0, 1, 2) or len(digest) != 32:
        raise Malformed("header as received: its entries")
    parts: list[bytes | tuple[int, bytes, int]] = []
    for part in given:
        if isinstance(part, bytes):
            parts.append(part)
        else:
            tag, head, length = cbor.typed(part, [int, bytes, int], "header as received: a part")
            parts.append((tag, head, length))
    return Received(syntax, encoding, parts, digest)
