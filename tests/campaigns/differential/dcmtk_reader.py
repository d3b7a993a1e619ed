"""Files as DCMTK shows them: many at a time, out of what dcmdump prints."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns.differential.readings import Reading, Tree, Value

DCMDUMP = "/usr/bin/dcmdump"
OPTIONS = ("-q", "+L", "+M", "+R", "4194302", "-Un", "+Qn", "+F")
_LINE = re.compile(
    rb"^( *)\(([0-9a-f]{4}),([0-9a-f]{4})\) (\S\S) (.*) *# *(?:u/l|\d+), *\d+ \S.*$", re.DOTALL
)
_FILE = re.compile(rb"^# dcmdump \(\d+/\d+\): (.*)$")
_ENTITY = re.compile(rb"&(?:#(\d+)|([a-z]+));")
_NAMED = {b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": b'"', b"apos": b"'"}
_INTEGERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_FLOATS = {"FL": "f", "FD": "d", "OF": "f", "OD": "d"}
BATCH_S = 120


def read(paths: Sequence[Path], *, utf_8: bool = False) -> list[Reading]:
    """One for each path. utf_8: with all text converted; otherwise with the bytes of values."""
    if not paths:
        return []
    try:
        done = subprocess.run(
            [DCMDUMP, *OPTIONS, *(["+U8"] if utf_8 else []), *map(str, paths)],
            capture_output=True,
            check=False,
            timeout=BATCH_S,
        )
        died = done.returncode < 0
    except subprocess.TimeoutExpired:
        died = True
    if died:
        if len(paths) == 1:
            return [Reading(refusal="dcmdump died")]
        middle = len(paths) // 2
        return read(paths[:middle], utf_8=utf_8) + read(paths[middle:], utf_8=utf_8)
    found: dict[bytes, list[bytes]] = {}
    lines: list[bytes] = []
    for line in done.stdout.split(b"\n"):
        name = _FILE.match(line)
        if name:
            lines = found.setdefault(name[1], [])
        else:
            lines.append(line)
    return [_reading(found.get(str(path).encode(), []), utf_8=utf_8) for path in paths]


def _reading(lines: list[bytes], *, utf_8: bool) -> Reading:
    if b"# Dicom-Data-Set" not in lines:
        return Reading(refusal="not printed")
    tree: Tree = {}
    # (indentation, elements of the item; None inside pixel data)
    open_trees: list[tuple[int, Tree]] = [(0, tree)]
    open_values: list[tuple[int, Value]] = []
    for line in lines[lines.index(b"# Dicom-Data-Set") :]:
        match = _LINE.match(line)
        if match is None:
            if line and not line.startswith(b"#"):
                return Reading(refusal=f"not understood: {line[:60]!r}")
            continue
        deep = len(match[1])
        tag = int(match[2] + match[3], 16)
        vr, shown = match[4].decode("latin-1"), match[5].rstrip(b" ")
        if vr == "na":
            while open_trees and open_trees[-1][0] > deep:
                open_trees.pop()
            while open_values and open_values[-1][0] >= deep:
                open_values.pop()
            if tag == 0xFFFEE000 and open_values:
                item: Tree = {}
                items = open_values[-1][1].items
                assert items is not None
                items.append(item)
                open_trees.append((deep + 1, item))
            elif tag == 0xFFFEE000:
                return Reading(refusal="an item outside a sequence")
            continue
        if vr == "pi":
            parts = open_values[-1][1].fragments if open_values else None
            if parts is None:
                return Reading(refusal="a fragment outside pixel data")
            parts.append(_hex(shown))
            continue
        while open_trees and open_trees[-1][0] > deep:
            open_trees.pop()
        while open_values and open_values[-1][0] >= deep:
            open_values.pop()
        value = _value(vr, shown, utf_8=utf_8)
        if tag & 0xFFFF and tag >> 16 != 2:
            open_trees[-1][1][tag] = value
        if value.items is not None or value.fragments is not None:
            open_values.append((deep, value))
    return Reading(tree=tree)


def _value(vr: str, shown: bytes, *, utf_8: bool) -> Value:
    if shown.startswith(b"(PixelSequence"):
        return Value(vr, fragments=[])
    if vr == "SQ" or shown.startswith(b"(Sequence"):
        return Value(vr, items=[])
    if shown.startswith(b"(no value"):
        return Value(vr, raw=b"")
    if shown.startswith(b"["):
        plain = _ENTITY.sub(_character, shown[1 : shown.rindex(b"]")])
        return Value(vr, text=plain.decode("utf-8", "replace")) if utf_8 else Value(vr, raw=plain)
    parts = shown.split(b"\\")
    try:
        if vr == "AT":
            return Value(vr, raw=b"".join(_tag(part) for part in parts))
        if vr in _INTEGERS:
            return Value(vr, raw=struct.pack(f"<{len(parts)}{_INTEGERS[vr]}", *map(int, parts)))
        if vr in _FLOATS:
            return Value(vr, numbers=[float(part) for part in parts])
        if vr in ("OB", "UN", "OW", "ox", "lt", "xs", "px", "up", "??"):
            return Value(vr, raw=_hex(shown))
    except (ValueError, struct.error):
        return Value(vr, text=f"not understood {shown[:40]!r}")
    return Value(vr)


def _hex(shown: bytes) -> bytes:
    """Bytes, or words of two bytes, which are printed as numbers."""
    if shown.startswith(b"(no value"):
        return b""
    parts = shown.split(b"\\")
    return b"".join(bytes.fromhex(part.decode())[::-1] for part in parts)


def _tag(part: bytes) -> bytes:
    return struct.pack("<HH", *(int(half, 16) for half in part.strip(b"()").split(b",")))


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1])]) if match[1] else _NAMED[match[2]]
