"""Checkpoints as signed notes of C2SP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import LedgerBroken
from gateway.keys import Signer
from gateway.keys.roles import HeldSigningKey
from gateway.ledger.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    key_id,
    public_of,
    sign,
    verifier_key,
)

ORIGIN = "sealgate-ledger/gateway/0123456789abcdef"
CHECKPOINT = Checkpoint(ORIGIN, 20852163, hashlib.sha256(b"root").digest())
# The example key of golang.org/x/mod/sumdb/note, the origin of the format: PeterNeumann+c74f20a3+ARpc2Qc...
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_the_note_is_written_as_c2sp_has_it(ledger_signer: Signer) -> None:
    note = sign(CHECKPOINT.text, ledger_signer)
    text, lines = note.decode().split("\n\n")
    assert text.split("\n") == [ORIGIN, "20852163", base64.b64encode(CHECKPOINT.root).decode()]
    dash, name, value = lines.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", ORIGIN)
    raw = base64.b64decode(value)
    public = ledger_signer.public.public_bytes_raw()
    assert raw[:4] == hashlib.sha256(ORIGIN.encode() + b"\n\x01" + public).digest()[:4]
    ledger_signer.public.verify(raw[4:], f"{text}\n".encode())


def test_the_published_key_is_read_and_has_its_published_id() -> None:
    public = public_of(EXAMPLE_KEY)
    assert key_id("PeterNeumann", public).hex() == "c74f20a3"
    assert verifier_key("PeterNeumann", public) == EXAMPLE_KEY


def test_a_note_comes_back_and_is_of_its_signer_alone(ledger_signer: Signer) -> None:
    signed = SignedCheckpoint.parse(sign(CHECKPOINT.text, ledger_signer))
    assert signed.checkpoint == CHECKPOINT
    assert signed.signed_by(ledger_signer.public)
    assert not signed.signed_by(Ed25519PrivateKey.generate().public_key())


def test_a_note_may_have_signatures_of_others_too(ledger_signer: Signer) -> None:
    """C2SP signed-note: signatures of unknown keys are ignored; witnesses add theirs."""
    other = base64.b64encode(b"\x00\x01\x02\x03" + bytes(64)).decode()
    note = sign(CHECKPOINT.text, ledger_signer) + f"\u2014 witness.example/w {other}\n".encode()
    assert SignedCheckpoint.parse(note).signed_by(ledger_signer.public)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace(b"20852163", b"20852164"),
        lambda note: note.replace(b"20852163", b"020852163"),
        lambda note: note.replace(b"0123456789abcdef", b"0123456789abcdee"),
        lambda note: note[:-10] + b"A" + note[-9:],
    ],
    ids=["size", "leading zero", "origin", "signature"],
)
def test_a_changed_note_is_not_signed(ledger_signer: Signer, change: Callable[[bytes], bytes]) -> None:
    assert _is_signed(sign(CHECKPOINT.text, ledger_signer), ledger_signer)
    changed = change(sign(CHECKPOINT.text, ledger_signer))
    assert not _is_signed(changed, ledger_signer)


def _is_signed(note: bytes, signer: Signer) -> bool:
    try:
        return SignedCheckpoint.parse(note).signed_by(signer.public)
    except LedgerBroken:
        return False


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"sealgate statement v2\0",
        b"example.com/log\n1\n" + base64.b64encode(bytes(32)) + b"\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(bytes(32)).decode()}\n".encode(),
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(31)).decode()}\n".encode(),
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(32)).decode()}".encode(),
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(32)).decode()}\nmore\n".encode(),
    ],
    ids=str,
)
def test_nothing_but_a_checkpoint_of_a_ledger_is_signed(ledger_signer: Signer, text: bytes) -> None:
    with pytest.raises(LedgerBroken):
        sign(text, ledger_signer)


@pytest.mark.parametrize(
    "line",
    ["", "a+b", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "a+00000000+AA=="],
)
def test_a_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(LedgerBroken):
        public_of(line)


def test_the_key_of_a_device_that_signs_wrongly_gives_no_note() -> None:
    class Failing(HeldSigningKey):
        def sign(self, message: bytes) -> bytes:  # noqa: ARG002
            return bytes(64)

    signer = Signer(Failing(Ed25519PrivateKey.generate()))
    assert isinstance(signer.public, Ed25519PublicKey)
    with pytest.raises(Exception, match="does not verify"):
        sign(CHECKPOINT.text, signer)
