"""The signed header: written and read back exactly, and nothing else is read."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealBroken
from gateway.seal.header import table
from gateway.seal.header.table import DIGEST_BYTES, PER_FRAME, HeaderTable

DIGEST = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
TAG = st.integers(0x00080000, 0xFFFFFFFF)
TABLES = st.builds(
    HeaderTable,
    elements=st.dictionaries(TAG, DIGEST, max_size=8),
    frames=st.lists(DIGEST, max_size=4).map(tuple),
    private=st.dictionaries(st.tuples(st.integers(9, 0xFFFF), st.text(max_size=8)), DIGEST, max_size=4),
)
D = bytes(DIGEST_BYTES)


@given(TABLES)
def test_a_table_comes_back(drawn: HeaderTable) -> None:
    encoded = table.encode(drawn)
    assert table.decode(encoded) == drawn
    assert not table.changes(drawn, table.decode(encoded))


@given(TABLES, TABLES)
def test_changes_name_every_difference_and_nothing_else(sealed: HeaderTable, present: HeaderTable) -> None:
    found = table.changes(sealed, present)
    assert bool(found) is (sealed != present)
    there, back = found, table.changes(present, sealed)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(c.tag, c.creator, turned[c.kind], c.frames) for c in there] == [
        (c.tag, c.creator, c.kind, c.frames) for c in back
    ]
    assert all(change.name for change in found)


def test_frames_that_were_added_and_removed_are_numbered() -> None:
    one, two = HeaderTable(frames=(D,)), HeaderTable(frames=(D, D))
    [longer], [shorter], [gone] = (
        table.changes(one, two),
        table.changes(two, one),
        table.changes(two, HeaderTable()),
    )
    assert (longer.tag, longer.kind, longer.frames) == (PER_FRAME, "changed", (1,))
    assert (shorter.kind, shorter.frames) == ("changed", (1,))
    assert (gone.kind, gone.frames) == ("removed", (0, 1))


GOOD: dict[Any, Any] = {1: 1, 2: {0x00100010: D}}


@pytest.mark.parametrize(
    "content",
    [
        None,
        1,
        [],
        {},
        [1, 2, 3],
        {1: 1},
        {2: {}},
        {1: 2, 2: {}},
        {1: True, 2: {}},
        {1: 1.0, 2: {}},
        {1: "1", 2: {}},
        {1: 1, 2: []},
        {1: 1, 2: [[1, D]]},
        {1: 1, 2: "text"},
        {1: 1, 2: None},
        {1: 1, 2: {"PatientName": D}},
        {1: 1, 2: {None: D}},
        {1: 1, 2: {(1, 2): D}},
        {1: 1, 2: {1.5: D}},
        {1: 1, 2: {True: D}},
        {1: 1, 2: {-1: D}},
        {1: 1, 2: {1 << 32: D}},
        {1: 1, 2: {1 << 70: D}},
        {1: 1, 2: {0x00100010: D[1:]}},
        {1: 1, 2: {0x00100010: D + D}},
        {1: 1, 2: {0x00100010: "x" * 12}},
        {1: 1, 2: {0x00100010: b""}},
        {1: 1, 2: {0x00100010: None}},
        {1: 1, 2: {0x00100010: [D]}},
        GOOD | {3: b""},
        GOOD | {3: D[1:]},
        GOOD | {3: D + b"\0"},
        GOOD | {3: "x" * 12},
        GOOD | {3: [D]},
        GOOD | {3: 5},
        GOOD | {4: {}},
        GOOD | {4: []},
        GOOD | {4: {9: {}}},
        GOOD | {4: {9: D}},
        GOOD | {4: {9: {"A": D[1:]}}},
        GOOD | {4: {9: {5: D}}},
        GOOD | {4: {"9": {"A": D}}},
        GOOD | {4: {1 << 16: {"A": D}}},
        GOOD | {4: {-9: {"A": D}}},
        GOOD | {4: {9: {b"A": D}}},
        GOOD | {5: 1},
        GOOD | {"1": 1},
        GOOD | {0: 0},
    ],
)
def test_another_content_is_refused(content: object) -> None:
    with pytest.raises(SealBroken) as caught:
        table.decode(cbor2.dumps(content, canonical=True))
    assert caught.value.check == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xa2",
        table.encode(HeaderTable()) + b"\0",
        table.encode(HeaderTable())[:-1],
        bytes.fromhex("a201020102"),  # an entry twice
        bytes.fromhex("a202a00101"),  # out of order
        bytes.fromhex("a218010102a0"),  # a longer form
        bytes.fromhex("bf010102a0ff"),  # of indefinite length
        bytes.fromhex("d81c81d81d00"),
        bytes.fromhex("d8246161"),
        bytes.fromhex("a20102d8246161"),
        b"\x81" * 100_000,
        b"\x9b" + b"\x7f" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b" + b"\x7f" * 8,
    ],
)
def test_what_is_no_deterministic_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(SealBroken):
        table.decode(data)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_never_an_error(data: bytes) -> None:
    with pytest.raises(SealBroken):
        table.decode(data)
