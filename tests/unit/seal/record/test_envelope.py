"""The hidden payload: closed to one recipient, opened by no other, damaged by any flipped bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import keys
from gateway.errors import SealBroken
from gateway.seal.record.envelope import (
    Envelope,
    Locator,
    close,
    open_envelope,
    parse,
)

CONTENT = b"a packed record, some hundred bytes long or less"


@pytest.fixture(scope="module", params=["x25519", "p256"])
def key(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> keys.RecipientKey:
    folder: Path = tmp_path_factory.mktemp("key")
    keys.generate(folder, curve=request.param)
    return keys.load_recipient_key(folder / "recipient.key")


def test_what_was_closed_opens(key: keys.RecipientKey) -> None:
    envelope = parse(close(CONTENT, key.recipient).to_payload())
    assert isinstance(envelope, Envelope)
    assert open_envelope(envelope, key) == CONTENT


def test_the_overhead_is_53_bytes_and_54_with_p256(key: keys.RecipientKey) -> None:
    expected = {"x25519": 53, "p256": 54}[key.curve]
    assert len(close(CONTENT, key.recipient).to_payload()) - len(CONTENT) == expected


def test_two_envelopes_of_one_record_differ(key: keys.RecipientKey) -> None:
    assert close(CONTENT, key.recipient) != close(CONTENT, key.recipient)


def test_another_key_is_told_by_its_id(key: keys.RecipientKey, tmp_path: Path) -> None:
    keys.generate(tmp_path, curve=key.curve)
    with pytest.raises(SealBroken, match="record for another key"):
        open_envelope(close(CONTENT, key.recipient), keys.load_recipient_key(tmp_path / "recipient.key"))


def test_no_payload_with_a_flipped_byte_opens(key: keys.RecipientKey) -> None:
    payload = close(CONTENT, key.recipient).to_payload()
    for at in range(len(payload)):
        parsed = parse(payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :])
        if isinstance(parsed, Envelope):
            with pytest.raises(SealBroken):
                open_envelope(parsed, key)


def test_a_changed_envelope_does_not_open(key: keys.RecipientKey) -> None:
    closed = close(CONTENT, key.recipient)
    for changed in (
        Envelope(closed.suite, closed.recipient_id, closed.encapsulated, closed.ciphertext[:-1] + b"?"),
        Envelope(
            closed.suite, closed.recipient_id, b"\2" + bytes(len(closed.encapsulated) - 1), closed.ciphertext
        ),
    ):
        with pytest.raises(SealBroken, match="does not open"):
            open_envelope(changed, key)


@given(st.binary(min_size=16, max_size=16))
def test_a_locator_comes_back(name: bytes) -> None:
    payload = Locator(name).to_payload()
    assert len(payload) == 17
    assert parse(payload) == Locator(name)


@given(st.binary(max_size=80).filter(lambda data: data[:1] not in (b"\x11", b"\x12", b"\x1f")))
def test_bytes_of_another_kind_are_no_payload(data: bytes) -> None:
    assert parse(data) is None


@given(st.sampled_from([b"\x11", b"\x12", b"\x1f"]), st.binary(max_size=15))
def test_a_payload_cut_short_is_none(kind: bytes, content: bytes) -> None:
    assert parse(kind + content) is None
