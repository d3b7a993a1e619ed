"""Where a reader shows something else than the gateway's parser."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gateway.seal.header.canonical import KINDS, significant
from tests.campaigns.differential.grammar import TEXTS
from tests.campaigns.differential.readings import Reading, Tree, Value

_TEXT_VRS = frozenset(vr.decode() for vr in TEXTS)
_BLANKS = b" \0"
_OPAQUE = frozenset(("UN", "OB", "OW", "??", "ox"))


def differences(own: Reading, other: Reading) -> Iterator[str]:
    """One line each: where, and what; never a value. Nothing for a reader that refused the file."""
    if other.refusal:
        return
    if not other.only_samples:
        yield from _trees(own.tree, other.tree, "")
    if own.frames is not None and other.frames is not None and _unpadded(own) != _unpadded(other):
        yield "frames: other borders"
    if own.samples is not None and other.samples is not None:
        theirs = other.samples.reshape(-1)
        ours = own.samples.reshape(-1)
        if theirs.dtype == np.uint8 and ours.dtype.itemsize > 1:
            theirs = theirs.view(ours.dtype) if not len(theirs) % ours.dtype.itemsize else theirs
        if not np.array_equal(ours, theirs):
            planes = np.moveaxis(own.samples, -1, 1).reshape(-1)
            bits = np.packbits(ours, bitorder="little") if set(np.unique(ours)) <= {0, 1} else ours
            if not (np.array_equal(planes, theirs) or np.array_equal(bits, theirs)):
                yield "samples: other values"


def _unpadded(reading: Reading) -> list[bytes]:
    """Frames without the byte that pads them: some readers cut it off."""
    return [frame.removesuffix(b"\0") for frame in reading.frames or []]


def _trees(own: Tree, other: Tree, around: str) -> Iterator[str]:
    for tag in sorted(own.keys() | other.keys()):
        place = f"{around}{tag:08X}"
        mine, theirs = own.get(tag), other.get(tag)
        if mine is None or theirs is None:
            there = mine or theirs
            if there is not None and (there.raw or there.items or there.fragments or tag >> 16 == 0xFFFE):
                yield f"{place}: {'absent' if theirs is None else 'only there'}"
            continue
        yield from _values(mine, theirs, place)


def _values(own: Value, other: Value, place: str) -> Iterator[str]:
    if own.items is not None:
        if other.items is not None:
            if len(own.items) != len(other.items):
                yield f"{place}: another number of items"
            for number, (mine, theirs) in enumerate(zip(own.items, other.items, strict=False)):
                yield from _trees(mine, theirs, f"{place}[{number}].")
        elif own.items and not (other.vr in _OPAQUE and _same_bytes(own, other)):
            yield f"{place}: no sequence"
        return
    if own.fragments is not None:
        if other.fragments is None:
            yield f"{place}: not encapsulated"
        elif (other.fragments[0] and other.fragments[0] != own.fragments[0]) or not _same_fragments(
            own.fragments[1:], other.fragments[1:]
        ):
            yield f"{place}: other fragments"
        return
    if other.fragments is not None or (
        other.items and not (other.raw is not None and _same_bytes(own, other))
    ):
        yield f"{place}: items where there are none"
        return
    if other.raw is not None and own.raw is not None and not _same_bytes(own, other):
        yield f"{place}: other bytes"
    if (
        own.numbers is not None
        and other.numbers is not None
        and not _same_numbers(own.numbers, other.numbers)
    ):
        yield f"{place}: other numbers"
    kind = KINDS.get(own.vr, b"B")
    if own.text is not None and other.text is not None and kind in (b"T", b"L", b"P", b"D"):
        shown = significant(other.text.rstrip(" \0"), kind)
        if shown != own.text:
            yield f"{place}: other text"


def _same_fragments(own: list[bytes], other: list[bytes]) -> bool:
    """But for the byte that readers add to a fragment of odd length."""
    padded = [part + b"\0" * (len(part) % 2) for part in own]
    return len(own) == len(other) and all(
        theirs in (mine, full) for mine, full, theirs in zip(own, padded, other, strict=True)
    )


def _same_bytes(own: Value, other: Value) -> bool:
    mine, theirs = own.raw or b"", other.raw or b""
    if mine == theirs:
        return True
    if own.vr == "UI":
        # Blanks within do not count, and toolkits take them out.
        mine, theirs = mine.replace(b" ", b""), theirs.replace(b" ", b"")
    if {own.vr, other.vr} & _TEXT_VRS:
        return mine.strip(_BLANKS) == theirs.strip(_BLANKS)
    # A reader may add or take away the byte that pads to even length.
    added, taken = (
        mine == theirs[:-1] and len(mine) % 2 == 1,
        theirs == mine[:-1] and not mine[-1:].strip(b"\0"),
    )
    return added or taken


def _same_numbers(own: list[float], other: list[float]) -> bool:
    if len(own) != len(other):
        return False
    return all(
        a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-5)
        for a, b in zip(own, other, strict=True)
    )
