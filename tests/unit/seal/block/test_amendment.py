"""Amendments: a chain of signed corrections, of this object, in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealBroken
from gateway.keys import TrustedSigners
from gateway.seal.block import amendment
from gateway.seal.block.amendment import AMENDMENTS_MAX, ELEMENT_MAX, Amendment, Correction
from gateway.seal.header.table import HeaderTable
from tests.support.desk import Desk

STATEMENT = b"the statement of a seal"
NAME, BIRTH = 0x00100010, 0x00100030
A, B, C = (bytes([value]) * 12 for value in (1, 2, 3))
DIGESTS = st.sampled_from([b"", A, B, C])
CORRECTIONS = st.builds(Correction, st.sampled_from([NAME, BIRTH]), DIGESTS, DIGESTS, st.text(), st.text())


def correct(tag: int = NAME, before: bytes = A, after: bytes = B) -> Correction:
    return Correction(tag, before, after, "before", "after")


def chain(desk: Desk, *corrections: Correction, statement: bytes = STATEMENT) -> bytes:
    element = b""
    for number, correction in enumerate(corrections):
        made = Amendment(
            corrections=(correction,), reason="why", by="who", at=1_700_000_000 + number, signer_id=b""
        )
        element = amendment.appended(element, made, statement, desk.signer)
    return element


def read(desk: Desk, element: bytes) -> tuple[Amendment, ...]:
    return amendment.read(element, STATEMENT, desk.trusted)


@given(
    st.lists(st.lists(CORRECTIONS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3),
    st.text(),
    st.integers(0, 1 << 40),
)
def test_amendments_come_back_in_their_order(
    desk: Desk, drawn: list[tuple[Correction, ...]], words: str, at: int
) -> None:
    element, made = b"", []
    for corrections in drawn:
        made.append(
            Amendment(corrections=corrections, reason=words, by=words, at=at, signer_id=desk.signer.key_id)
        )
        element = amendment.appended(element, made[-1], STATEMENT, desk.signer)
    assert read(desk, element) == tuple(made)


def test_where_an_element_must_end_is_the_last_of_its_corrections(desk: Desk) -> None:
    amendments = read(desk, chain(desk, correct(NAME, A, B), correct(BIRTH, b"", C), correct(NAME, B, b"")))
    assert amendment.covered(amendments, HeaderTable(elements={NAME: A})) == {NAME: b"", BIRTH: C}


@pytest.mark.parametrize(
    "corrections",
    [
        [correct(NAME, B, C)],
        [correct(NAME, b"", B)],
        [correct(BIRTH, A, B)],
        [correct(NAME, A, B), correct(NAME, A, C)],
        [correct(NAME, A, B), correct(NAME, C, A)],
    ],
    ids=["other", "absent", "element", "again", "gap"],
)
def test_a_correction_begins_where_the_last_one_ended(desk: Desk, corrections: list[Correction]) -> None:
    amendments = read(desk, chain(desk, *corrections))
    with pytest.raises(SealBroken, match="another value than the one that was there"):
        amendment.covered(amendments, HeaderTable(elements={NAME: A}))


EDITS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "first removed": lambda entries: entries[1:],
    "middle removed": lambda entries: [entries[0], entries[2]],
    "turned around": lambda entries: entries[::-1],
    "two exchanged": lambda entries: [entries[0], entries[2], entries[1]],
    "one twice": lambda entries: [entries[0], *entries],
}


@pytest.mark.parametrize("edit", sorted(EDITS))
def test_a_chain_is_whole_and_in_order(desk: Desk, edit: str) -> None:
    entries = cbor2.loads(chain(desk, correct(NAME, A, B), correct(NAME, B, C), correct(NAME, C, A)))
    with pytest.raises(SealBroken, match="out of its place"):
        read(desk, cbor2.dumps(EDITS[edit](entries)))


def test_amendments_of_another_object_are_none(desk: Desk) -> None:
    with pytest.raises(SealBroken, match="of another object"):
        read(desk, chain(desk, correct(), statement=b"another statement"))


def test_a_foreign_signer_amends_nothing(desk: Desk, other_desk: Desk) -> None:
    with pytest.raises(SealBroken, match="not trusted"):
        read(desk, chain(other_desk, correct()))
    for trusted in (None, TrustedSigners([])):
        with pytest.raises(SealBroken, match="not trusted"):
            amendment.read(chain(desk, correct()), STATEMENT, trusted)


def test_a_foreign_signature_under_a_trusted_name_is_none(desk: Desk, other_desk: Desk) -> None:
    [[encoded, _]] = cbor2.loads(chain(desk, correct()))
    for signature in (
        other_desk.signer.sign(b"sealgate amendment v2\0" + encoded),
        bytes(64),
        b"",
        bytes(65),
    ):
        with pytest.raises(SealBroken, match="does not match"):
            read(desk, cbor2.dumps([[encoded, signature]]))


def test_the_signature_of_a_statement_is_none_of_an_amendment(desk: Desk) -> None:
    [[encoded, _]] = cbor2.loads(chain(desk, correct()))
    with pytest.raises(SealBroken, match="does not match"):
        read(desk, cbor2.dumps([[encoded, desk.signer.sign(b"sealgate statement v2\0" + encoded)]]))


def test_more_than_a_thousand_amendments_are_neither_written_nor_read(desk: Desk) -> None:
    full = cbor2.dumps([[b"", b""]] * AMENDMENTS_MAX)
    made = Amendment(corrections=(correct(),), reason="why", by="who", at=0, signer_id=b"")
    with pytest.raises(SealBroken, match="too often"):
        amendment.appended(full, made, STATEMENT, desk.signer)
    with pytest.raises(SealBroken, match="malformed"):
        read(desk, cbor2.dumps([[b"", b""]] * (AMENDMENTS_MAX + 1)))
    with pytest.raises(SealBroken, match="too long"):
        read(desk, cbor2.dumps([[bytes(ELEMENT_MAX), b""]]))


CONTENT: dict[Any, Any] = {
    1: 2,
    2: blake3(STATEMENT).digest(),
    3: b"",
    4: [[NAME, A, B, "before", "after"]],
    5: "why",
    6: "who",
    7: 0,
    8: bytes(8),
}


def test_the_content_that_is_broken_below_is_good() -> None:
    [made] = amendment.decode(cbor2.dumps([[cbor2.dumps(CONTENT, canonical=True), b""]]), STATEMENT)
    assert made.corrections == (correct(),)


@pytest.mark.parametrize(
    "content",
    [
        None,
        5,
        "text",
        [],
        {},
        list(range(8)),
        [0, 2, b"", b"", [], "", "", 0],
        [2] * 9,
        *({key: value for key, value in CONTENT.items() if key != left} for left in CONTENT),
        CONTENT | {9: 1},
        CONTENT | {1: 1},
        CONTENT | {1: 2.0},
        CONTENT | {1: "2"},
        CONTENT | {2: "x"},
        CONTENT | {2: b""},
        CONTENT | {3: b"x"},
        CONTENT | {3: None},
        CONTENT | {4: []},
        CONTENT | {4: None},
        CONTENT | {4: 5},
        CONTENT | {4: "abc"},
        CONTENT | {4: {}},
        CONTENT | {4: [5]},
        CONTENT | {4: [[]]},
        CONTENT | {4: ["abcde"]},
        CONTENT | {4: [[NAME, A, B, "", "", ""]]},
        CONTENT | {4: [["1", A, B, "", ""]]},
        CONTENT | {4: [[True, A, B, "", ""]]},
        CONTENT | {4: [[NAME, A[1:], B, "", ""]]},
        CONTENT | {4: [[NAME, "x" * 12, B, "", ""]]},
        CONTENT | {4: [[NAME, A, None, "", ""]]},
        CONTENT | {4: [[NAME, A, B, b"", ""]]},
        CONTENT | {4: [[NAME, A, B, "", None]]},
        CONTENT | {4: [[1 << 32 | NAME, A, B, "", ""]]},
        CONTENT | {4: [[-1, A, B, "", ""]]},
        CONTENT | {4: [[1 << 80, A, B, "", ""]]},
        CONTENT | {4: [[0x00080005, A, B, "", ""]]},
        CONTENT | {4: [[0x00091001, A, B, "", ""]]},
        CONTENT | {4: [[0x7FE00010, A, B, "", ""]]},
        CONTENT | {5: b"why"},
        CONTENT | {6: None},
        CONTENT | {7: 1.5},
        CONTENT | {7: "1"},
        CONTENT | {7: True},
        CONTENT | {8: "x"},
        CONTENT | {8: None},
    ],
)
def test_another_content_is_refused(content: object) -> None:
    with pytest.raises(SealBroken) as caught:
        amendment.decode(cbor2.dumps([[cbor2.dumps(content, canonical=True), b""]]), STATEMENT)
    assert caught.value.check == 12


@pytest.mark.parametrize(
    "element",
    [
        b"",
        b"\xff",
        b"\x81",
        b"\x80\0",
        b"\xa0",
        b"\x01",
        b"\x81\x80",
        b"\x81\x81\x40",
        b"\x81\x82\x01\x40",
        b"\x81\x82\x40\x60",
        b"\x81\xa0",
        b"\x81\x83\x40\x40\x40",
        b"\x81\x40",
        b"\x81\x01",
        b"\x9b" + b"\x7f" * 8,
        b"\x81" * 100_000,
        bytes.fromhex("d81c81d81d00"),
        bytes.fromhex("81824000d81d00"),
        # What CBOR can say and no amendment holds: a message, a structure that holds itself, a number without end.
        cbor2.dumps([[bytes.fromhex("d8246161"), b""]]),
        cbor2.dumps([[bytes.fromhex("d81c81d81d00"), b""]]),
        cbor2.dumps([[bytes.fromhex("c4821b000000ffffffffff03"), b""]]),
        cbor2.dumps([[b"", b""]]),
        cbor2.dumps([[bytes.fromhex("bf0102ff"), b""]]),
    ],
)
def test_what_is_no_list_of_amendments_is_refused(element: bytes) -> None:
    with pytest.raises(SealBroken) as caught:
        amendment.decode(element, STATEMENT)
    assert caught.value.check == 12


@given(st.binary(max_size=200), st.booleans())
def test_anything_else_is_refused_and_never_an_error(data: bytes, inside: bool) -> None:
    element = cbor2.dumps([[data, bytes(64)]]) if inside else data
    if element == b"\x80":
        return
    with pytest.raises(SealBroken):
        amendment.decode(element, STATEMENT)
