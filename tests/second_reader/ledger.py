"""An export of the ledger, read and checked by what LEDGER.md says and nothing of the gateway."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELDS = (
    ("version", 1), ("level", 1), ("sealed_at", 8), ("signer", 8), ("digest", 32), ("statement", 32), ("instance", 8),
    ("series", 8), ("study", 8),
)  # fmt: skip


class Doubtful(Exception):
    """The export is not what the document says."""


def read_ledger(folder: Path, public: bytes) -> list[dict[str, bytes]]:
    """The entries of an export whose checkpoint was signed with this raw Ed25519 key. Raises Doubtful."""
    text, signatures = (folder / "checkpoint").read_text(encoding="utf-8").split("\n\n")
    origin, size, root = text.split("\n")
    _check_signature(origin, f"{text}\n".encode(), signatures, public)
    entries = _entries(folder, int(size))
    _check_tiles(folder, [hashlib.sha256(b"\x00" + entry).digest() for entry in entries])
    if _root([hashlib.sha256(b"\x00" + entry).digest() for entry in entries]) != base64.b64decode(root):
        raise Doubtful("root")
    return [_fields(entry) for entry in entries]


def _check_signature(origin: str, text: bytes, lines: str, public: bytes) -> None:
    wanted = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    for line in lines.splitlines():
        dash, name, value = line.split(" ")
        raw = base64.b64decode(value)
        if (dash, name, raw[:4]) == ("\u2014", origin, wanted):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], text)
            except InvalidSignature as error:
                raise Doubtful("signature") from error
            return
    raise Doubtful("nobody signed")


def _name(number: int, width: int) -> str:
    groups = f"{number:,}".split(",")
    groups = [group.zfill(3) for group in groups]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == 256 else f"{path}.p/{width}"


def _entries(folder: Path, size: int) -> list[bytes]:
    entries: list[bytes] = []
    while len(entries) < size:
        width = min(256, size - len(entries))
        data = (folder / "tile" / "entries" / _name(len(entries) // 256, width)).read_bytes()
        for _ in range(width):
            length = int.from_bytes(data[:2], "big")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        if data:
            raise Doubtful("bytes behind the last entry")
    return entries


def _check_tiles(folder: Path, hashes: list[bytes]) -> None:
    level = 0
    while hashes:
        for first in range(0, len(hashes), 256):
            part = hashes[first : first + 256]
            if (folder / "tile" / str(level) / _name(first // 256, len(part))).read_bytes() != b"".join(part):
                raise Doubtful(f"tile {first // 256} of level {level}")
        full = len(hashes) // 256
        hashes, level = [_root(hashes[256 * tile : 256 * (tile + 1)]) for tile in range(full)], level + 1


def _root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(hashes[:half]) + _root(hashes[half:])).digest()


def _fields(entry: bytes) -> dict[str, bytes]:
    fields, at = {}, 0
    for name, width in FIELDS:
        fields[name] = entry[at : at + width]
        at += width
    if at != len(entry) or fields["version"] != b"\x01" or fields["level"] not in (b"\x01", b"\x02"):
        raise Doubtful("an entry")
    return fields
