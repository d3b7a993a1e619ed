"""The statement: one encoding, one signature, nothing unknown in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SealBroken
from gateway.seal.block.statement import (
    Domain,
    Level,
    Statement,
    check_signature,
    decode,
    encode,
    sign,
)
from tests.support.desk import Desk

MINIMAL = Statement(
    level=Level.DIGEST.value,
    reason="non-image",
    domain=Domain.DATASET.value,
    digest=bytes(32),
    transfer_syntax="1.2.840.10008.1.2.1",
    header_salt=bytes(16),
    header_hash=bytes(32),
    sealed_at=1_700_000_000,
    signer_id=bytes(8),
)


@given(
    st.builds(
        Statement,
        level=st.sampled_from(["full", "digest"]),
        reason=st.text(max_size=20),
        domain=st.sampled_from([d.value for d in Domain]),
        digest=st.binary(min_size=32, max_size=32),
        sop_class_uid=st.text(max_size=64),
        sop_instance_uid=st.text(max_size=64),
        transfer_syntax=st.text(max_size=64),
        header_salt=st.binary(min_size=16, max_size=16),
        header_hash=st.binary(min_size=32, max_size=32),
        received_hash=st.sampled_from([b"", bytes(32)]),
        likeness=st.sampled_from([b"", bytes(range(8))]),
        sealed_at=st.integers(0, 2**40),
        signer_id=st.binary(min_size=8, max_size=8),
        recipient_id=st.binary(min_size=4, max_size=4),
        mode=st.sampled_from(["envelope", "locator", ""]),
        payload_hash=st.binary(min_size=32, max_size=32),
        hint=st.dictionaries(st.text(max_size=8), st.integers(-(2**31), 2**31), max_size=5),
    ).map(lambda statement: replace(statement, tile_edge=16 if statement.domain == "pixels" else 0))
)
def test_a_statement_comes_back_with_or_without_padding(statement: Statement) -> None:
    encoded = encode(statement)
    assert decode(encoded) == (statement, encoded)
    assert decode(encoded + b"\0") == (statement, encoded)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {1: 3},
        lambda content: content | {99: 0},
        lambda content: content | {5: bytes(31)},
        lambda content: content | {2: "pass"},
        lambda content: content | {4: "taste"},
        lambda content: content | {11: "yesterday"},
        lambda content: content | {10: {0x00100020: bytes(8)}},
        lambda content: content | {18: {"unit": "0"}},
        lambda content: content | {7: ""},
        lambda content: content | {19: 8},
        lambda content: content | {4: "pixels", 19: 1},
        lambda content: content | {4: "pixels"},
        lambda content: {key: value for key, value in content.items() if key != 9},
        lambda content: [content],
    ],
    ids=[
        "version", "unknown-entry", "short-digest", "level", "domain", "time", "header-digest", "hint",
        "empty-entry", "tiles-of-no-pixels", "tile-edge", "no-tile-edge", "missing-entry", "no-map",
    ],
)  # fmt: skip
def test_a_malformed_statement_is_refused(change: Callable[[dict[int, Any]], object]) -> None:
    content = change(cbor2.loads(encode(MINIMAL)))
    with pytest.raises(SealBroken):
        decode(cbor2.dumps(content, canonical=True))


def test_another_order_of_entries_is_refused() -> None:
    content = dict(reversed(cbor2.loads(encode(MINIMAL)).items()))
    with pytest.raises(SealBroken, match="deterministically"):
        decode(cbor2.dumps(content))


def test_bytes_behind_the_statement_are_refused() -> None:
    for tail in (b"\1", b"\0\0"):
        with pytest.raises(SealBroken):
            decode(encode(MINIMAL) + tail)


@given(st.binary(max_size=100))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SealBroken):
        decode(data)


def test_a_signature_holds_for_its_statement_only(desk: Desk) -> None:
    encoded = encode(MINIMAL)
    signature = sign(encoded, desk.signer)
    check_signature(encoded, signature, desk.signer.public, 2)
    with pytest.raises(SealBroken):
        check_signature(encode(replace(MINIMAL, reason="other")), signature, desk.signer.public, 2)


def test_a_signature_over_the_bare_statement_is_refused(desk: Desk) -> None:
    encoded = encode(MINIMAL)
    with pytest.raises(SealBroken):
        check_signature(encoded, desk.signer.sign(encoded), desk.signer.public, 2)
