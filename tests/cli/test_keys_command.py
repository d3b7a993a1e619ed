"""Fingerprints that two people compare by telephone, and private keys that a passphrase protects."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gateway import keys
from tests.cli.terminal import sealgate

FINGERPRINT = re.compile(r"\b(?:\d{5} ){5}\d{5}\b")


def test_who_makes_keys_and_who_gets_them_read_the_same_fingerprints(tmp_path: Path) -> None:
    made = sealgate(["keygen", "keys"], tmp_path)
    shown = sealgate(["keys", "show", "keys/recipient.pub", "keys/signer.pub"], tmp_path)
    assert made.returncode == shown.returncode == 0
    assert len(set(FINGERPRINT.findall(made.stdout))) == 2
    assert FINGERPRINT.findall(made.stdout) == FINGERPRINT.findall(shown.stdout)


def test_a_private_key_and_its_public_half_have_one_fingerprint(tmp_path: Path) -> None:
    sealgate(["keygen", "keys", "--curve", "p256"], tmp_path)
    for name in ("recipient", "signer"):
        both = sealgate(["keys", "show", f"keys/{name}.key", f"keys/{name}.pub", "--json"], tmp_path)
        private, public = map(json.loads, both.stdout.splitlines())
        assert private["private"] and not public["private"]
        for key in ("role", "algorithm", "key_id", "fingerprint"):
            assert private[key] == public[key]


def test_openssl_computes_the_same_fingerprint(tmp_path: Path) -> None:
    keys.generate(tmp_path)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(tmp_path / "signer.pub"), "-pubout", "-outform", "DER"],
        check=True,
        capture_output=True,
    ).stdout
    (tmp_path / "raw").write_bytes(der[-32:])  # RFC 8410: the raw key is the end of the structure
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary", str(tmp_path / "raw")], check=True, capture_output=True
    ).stdout
    expected = f"{int.from_bytes(digest, 'big') % 10**30:030d}"
    shown = sealgate(["keys", "show", "signer.pub", "--json"], tmp_path)
    assert json.loads(shown.stdout)["fingerprint"].replace(" ", "") == expected


def test_a_private_key_with_a_passphrase_opens_with_it_and_only_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "passphrase").write_text("a long one\n")
    (tmp_path / "passphrase").chmod(0o600)
    assert sealgate(["keygen", "keys", "--passphrase-file", "passphrase"], tmp_path).returncode == 0
    assert b"ENCRYPTED" in (tmp_path / "keys" / "signer.key").read_bytes()
    refused = sealgate(["keys", "show", "keys/signer.key"], tmp_path)
    assert refused.returncode == 2
    assert "SEALGATE_KEYS_PASSPHRASE" in refused.stderr
    monkeypatch.setenv("SEALGATE_KEYS_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    assert sealgate(["keys", "show", "keys/signer.key"], tmp_path).returncode == 0
    (tmp_path / "passphrase").write_text("another one\n")
    wrong = sealgate(["keys", "show", "keys/signer.key"], tmp_path)
    assert wrong.returncode == 2
    assert "another one" not in wrong.stderr + wrong.stdout


@pytest.mark.parametrize(
    "content", [b"", b"nothing\n", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pub").write_bytes(content)
    done = sealgate(["keys", "show", "x.pub"], tmp_path)
    assert done.returncode == 2
    assert "x.pub is not a public key in PEM" in done.stderr
