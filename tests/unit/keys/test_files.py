"""Key files: what is written, and what is refused."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives import serialization

from gateway import keys
from gateway.errors import KeyFileError

NAMES = ("recipient.key", "recipient.pub", "signer.key", "signer.pub")


@pytest.fixture(params=["x25519", "p256"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    keys.generate(tmp_path, curve=request.param)
    return tmp_path


def test_private_files_are_for_their_owner_only(folder: Path) -> None:
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES if name.endswith(".key")] == [
        0o600
    ] * 2


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in NAMES}
    with pytest.raises(KeyFileError, match="exists already"):
        keys.generate(folder)
    assert before == {name: (folder / name).read_bytes() for name in NAMES}


def test_one_old_file_is_enough_to_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "signer.pub").write_text("old")
    with pytest.raises(KeyFileError):
        keys.generate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["signer.pub"]


def test_an_unknown_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="unknown curve"):
        keys.generate(tmp_path, curve="p192")


def test_both_halves_of_the_recipient_have_one_key_id(folder: Path) -> None:
    public, private = (
        keys.load_recipient(folder / "recipient.pub"),
        keys.load_recipient_key(folder / "recipient.key"),
    )
    assert public.key_id == private.key_id
    assert len(public.key_id) == 4
    assert public.curve == private.curve


def test_a_signer_is_named_by_the_hash_of_its_raw_public_key(folder: Path) -> None:
    signer = keys.load_signer(folder / "signer.key")
    raw = signer.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert signer.key_id == blake3(raw).digest(8)


def test_a_signature_verifies_with_the_trusted_key(folder: Path) -> None:
    signer = keys.load_signer(folder / "signer.key")
    trusted = keys.load_trusted_signers(folder / "signer.pub").find(signer.key_id)
    assert trusted is not None
    trusted.public.verify(signer.sign(b"message"), b"message")


def test_a_folder_of_public_keys_gives_all_its_signers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keys.generate(tmp_path / name)
        for kind in ("signer", "recipient"):
            (tmp_path / f"{name}-{kind}.pub").write_bytes((tmp_path / name / f"{kind}.pub").read_bytes())
    assert len(keys.load_trusted_signers(tmp_path)) == 2


def test_one_file_may_hold_several_signers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keys.generate(tmp_path / name)
    both = b"".join((tmp_path / name / "signer.pub").read_bytes() for name in ("a", "b"))
    (tmp_path / "both.pub").write_bytes(both)
    assert len(keys.load_trusted_signers(tmp_path / "both.pub")) == 2


def test_a_folder_without_a_signer_is_an_error(folder: Path) -> None:
    (folder / "signer.pub").unlink()
    with pytest.raises(KeyFileError, match="no Ed25519"):
        keys.load_trusted_signers(folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_private_key_open_to_others_is_refused_with_the_command_that_mends_it(
    folder: Path, mode: int
) -> None:
    (folder / "signer.key").chmod(mode)
    with pytest.raises(KeyFileError) as refusal:
        keys.load_signer(folder / "signer.key")
    assert "chmod 600" in refusal.value.hint


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (keys.load_recipient, "signer.pub"),
        (keys.load_recipient, "recipient.key"),
        (keys.load_recipient_key, "signer.key"),
        (keys.load_recipient_key, "recipient.pub"),
        (keys.load_signer, "recipient.key"),
        (keys.load_signer, "absent.key"),
        (keys.load_trusted_signers, "recipient.pub"),
        (keys.load_trusted_signers, "absent.pub"),
    ],
)
def test_a_key_of_another_kind_is_refused(folder: Path, load: Callable[[Path], object], name: str) -> None:
    if (folder / name).exists():
        (folder / name).chmod(0o600)
    with pytest.raises(KeyFileError):
        load(folder / name)


def test_what_holds_a_private_key_shows_its_id_only(folder: Path) -> None:
    signer = keys.load_signer(folder / "signer.key")
    opener = keys.load_recipient_key(folder / "recipient.key")
    assert repr(signer) == f"Signer({signer.key_id.hex()})"
    assert repr(signer.key) == f"HeldSigningKey({signer.key_id.hex()})"
    assert repr(opener) == f"RecipientKey({opener.key_id.hex()})"
    assert repr(opener.keys) == f"(HeldOpeningKey({opener.key_id.hex()}),)"
