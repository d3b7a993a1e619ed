"""Keys are replaced without losing what was sealed with the old ones; a revoked signer is believed up to its day."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import keys
from gateway.errors import KeyFileError
from gateway.seal.codec import Codec
from tests.support import objects
from tests.support.desk import Desk

Trusting = Callable[[str, Codec], Desk]

# The day of tests.support.desk.NOW.
SEALED_ON = "2025-03-01"


@pytest.fixture
def trusting(tmp_path: Path) -> Trusting:
    """A desk whose trusted signer has this validity beside its key."""
    old = tmp_path / "old"
    keys.generate(old)

    def build(validity: str, codec: Codec) -> Desk:
        folder = tmp_path / "trusted"
        folder.mkdir()
        shutil.copyfile(old / "signer.pub", folder / "a.pub")
        (folder / "a.toml").write_text(validity)
        return replace(Desk.of(old, codec), trusted=keys.load_trusted_signers(folder))

    return build


@pytest.mark.parametrize(
    ("validity", "verdict", "detail"),
    [
        (f"not_before = {SEALED_ON}\nnot_after = {SEALED_ON}", "intact", ""),
        ("not_before = 2025-03-02", "unknown-signer", "before the signer is valid"),
        ("not_after = 2025-02-28", "unknown-signer", "after the signer was valid"),
        (f'[revoked]\ndate = {SEALED_ON}\nreason = "stolen"', "unknown-signer", "revoked on"),
        ('[revoked]\ndate = 2025-03-02\nreason = "stolen"', "intact", "revoked later"),
    ],
)
def test_a_seal_is_believed_within_the_time_of_its_signer(
    trusting: Trusting, codec: Codec, validity: str, verdict: str, detail: str
) -> None:
    desk = trusting(validity, codec)
    report = desk.verify(desk.seal(objects.ct(rows=96, columns=96))[0])
    assert report.verdict == verdict
    assert detail in next(check.detail for check in report.checks if check.n == 3)


@pytest.mark.parametrize("wrong", ["not_befor = 2025-01-01", "[revoked]", 'not_after = "soon"', "nonsense"])
def test_a_validity_that_makes_no_sense_is_refused(trusting: Trusting, codec: Codec, wrong: str) -> None:
    with pytest.raises(KeyFileError, match=r"a\.toml"):
        trusting(wrong, codec)


def test_both_keys_can_be_replaced_and_old_objects_stay_readable(codec: Codec, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    opening, trusted = tmp_path / "opening", tmp_path / "trusted"
    opening.mkdir(mode=0o700)
    trusted.mkdir()
    for folder in folders:
        keys.generate(folder)
        shutil.copy(folder / "recipient.key", opening / f"{folder.name}.key")
        shutil.copy(folder / "signer.pub", trusted / f"{folder.name}.pub")
    original = objects.ct(rows=96, columns=96)
    for folder in folders:
        desk = replace(
            Desk.of(folder, codec),
            recipient_key=keys.load_recipient_key(opening),
            trusted=keys.load_trusted_signers(trusted),
        )
        sealed = desk.seal(original)[0]
        assert desk.verify(sealed).verdict == "intact"
        assert desk.extract(sealed).found
        assert desk.restore(sealed)[0] == original


def test_an_encrypted_key_opens_with_its_passphrase_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.generate(tmp_path / "keys", passphrase=b"correct horse")
    path = tmp_path / "keys" / "signer.key"
    assert b"ENCRYPTED" in path.read_bytes()
    for passphrase in (None, "wrong staple"):
        if passphrase:
            monkeypatch.setenv("SEALGATE_KEYS_PASSPHRASE", passphrase)
        with pytest.raises(KeyFileError) as failure:
            keys.load_signer(path)
        assert "staple" not in f"{failure.value} {failure.value.hint}"
    monkeypatch.setenv("SEALGATE_KEYS_PASSPHRASE", "correct horse")
    assert keys.load_signer(path).sign(b"message")


def test_keys_show_their_ids_only(desk: Desk) -> None:
    shown = f"{desk.signer!r} {desk.recipient_key!r} {desk.trusted!r}"
    assert "object at" not in shown
    assert desk.signer.key_id.hex() in shown
