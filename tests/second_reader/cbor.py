"""The part of CBOR (RFC 8949) that the format uses: integers, bytes, text, lists and maps."""

from __future__ import annotations

from typing import Any


class Malformed(ValueError):
    """Bytes that are not what the document says."""


def encode(value: Any) -> bytes:
    """Deterministic encoding (RFC 8949 4.2.1)."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(encode(entry) for entry in value)
    pairs = sorted((encode(key), encode(entry)) for key, entry in value.items())
    return _head(5, len(pairs)) + b"".join(key + entry for key, entry in pairs)


def decode(data: bytes, *, strict: bool = True, rest: bool = False) -> tuple[Any, int]:
    """The value at the beginning of `data` and its length in bytes.

    strict: only deterministic encoding. rest: bytes may follow.
    """
    try:
        value, end = _decode(data, 0, 0)
    except (IndexError, UnicodeDecodeError, TypeError) as error:
        raise Malformed(f"CBOR: {error}") from error
    if (end != len(data) and not rest) or end > len(data):
        raise Malformed("CBOR: another length")
    if strict and encode(value) != data[:end]:
        raise Malformed("CBOR: not the deterministic encoding")
    return value, end


def typed(values: Any, kinds: list[type], what: str) -> list[Any]:
    """The entries of a list, or of a map with the keys 1, 2 ..., of these types."""
    if isinstance(values, dict) and set(values) == set(range(1, len(kinds) + 1)):
        values = [values[key] for key in sorted(values)]
    if not isinstance(values, list) or [type(value) for value in values] != kinds:
        raise Malformed(what)
    return values


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    raise Malformed("CBOR: too large a number")


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > 8:
        raise Malformed("CBOR: too deep")
    major, number = data[at] >> 5, data[at] & 31
    at += 1
    if number > 23:
        if number > 27:
            raise Malformed("CBOR: indefinite length")
        size = 1 << number - 24
        number = int.from_bytes(data[at : at + size], "big")
        at += size
    if at > len(data) or (major in (2, 3, 4, 5) and number > len(data) - at):
        raise Malformed("CBOR: cut short")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        raw = data[at : at + number]
        return (raw if major == 2 else raw.decode()), at + number
    if major == 4:
        entries = []
        for _ in range(number):
            entry, at = _decode(data, at, depth + 1)
            entries.append(entry)
        return entries, at
    if major == 5:
        pairs: dict[Any, Any] = {}
        for _ in range(number):
            key, at = _decode(data, at, depth + 1)
            pairs[key], at = _decode(data, at, depth + 1)
        return pairs, at
    raise Malformed("CBOR: tags, floats and simple values are not used")
