"""Keys with certificates: what is loaded, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import KeyFileError
from gateway.keys import (
    Passphrases,
    load_certificates,
    load_certified_signer,
    signature_verifies,
    unpadded,
)
from tests.support.time_stamp_authority import ENCIPHERMENT_ONLY, Kind, SigningAuthority

DIGEST = hashlib.sha256(b"message").digest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SigningAuthority:
    return SigningAuthority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(("kind", "key"), [("rsa", rsa.RSAPrivateKey), ("p256", ec.EllipticCurvePrivateKey)])
def test_a_key_signs_and_its_certificate_verifies(authority: SigningAuthority, kind: Kind, key: type) -> None:
    pair = authority.signer(f"good-{kind}", kind)
    signer = load_certified_signer(pair.key, pair.certificate)
    assert isinstance(signer.key, key)
    signature = signer.sign(DIGEST)
    assert signature_verifies(signer.certificate, signature, DIGEST, "SHA256")
    assert not signature_verifies(signer.certificate, signature, hashlib.sha256(b"other").digest(), "SHA256")
    assert "PRIVATE" not in repr(signer)


def test_a_chain_may_follow_the_certificate(authority: SigningAuthority, tmp_path: Path) -> None:
    pair = authority.signer("chained")
    both = tmp_path / "chain.pem"
    both.write_bytes(pair.certificate.read_bytes() + authority.certificate.read_bytes())
    signer = load_certified_signer(pair.key, both)
    assert signer.certificate == load_certificates(pair.certificate)[0]
    assert signer.chain == load_certificates(authority.certificate)


@pytest.mark.parametrize("kind", ["rsa-1024", "p384"])
def test_a_short_key_and_another_curve_are_refused(authority: SigningAuthority, kind: Kind) -> None:
    pair = authority.signer(f"bad-{kind}", kind)
    with pytest.raises(KeyFileError, match="neither an RSA key of 2048 bits or more nor a P-256 key"):
        load_certified_signer(pair.key, pair.certificate)


def test_the_certificate_of_another_key_is_refused(authority: SigningAuthority) -> None:
    one, other = authority.signer("one"), authority.signer("other")
    with pytest.raises(KeyFileError, match="is not the private key of"):
        load_certified_signer(one.key, other.certificate)


def test_a_certificate_that_is_not_for_signatures_is_refused(authority: SigningAuthority) -> None:
    pair = authority.signer("encipherment", usage=ENCIPHERMENT_ONLY)
    with pytest.raises(KeyFileError, match="not for signatures"):
        load_certified_signer(pair.key, pair.certificate)


def test_a_key_that_others_can_read_is_refused(authority: SigningAuthority) -> None:
    pair = authority.signer("open")
    pair.key.chmod(0o640)
    with pytest.raises(KeyFileError, match="open to group or others"):
        load_certified_signer(pair.key, pair.certificate)


def test_a_certificate_that_everybody_may_change_is_refused(authority: SigningAuthority) -> None:
    pair = authority.signer("writable")
    pair.certificate.chmod(0o666)
    with pytest.raises(KeyFileError, match="everybody may change"):
        load_certified_signer(pair.key, pair.certificate)


def test_an_encrypted_key_is_opened_with_the_passphrase_of_its_role(authority: SigningAuthority) -> None:
    pair = authority.signer("encrypted", passphrase=b"open sesame")
    with pytest.raises(KeyFileError, match="no passphrase is given"):
        load_certified_signer(pair.key, pair.certificate, Passphrases(environment={}))
    given = Passphrases(environment={"SEALGATE_KEYS_STANDARD_SIGNATURE_PASSPHRASE": "open sesame"})
    assert load_certified_signer(pair.key, pair.certificate, given).sign(DIGEST)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "certificate.pem"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="no certificate"):
        load_certificates(path)


@pytest.mark.parametrize("content", [b"\x30\x02\x05\x00", b"\x30\x02\x05\x00\x00"])
def test_only_the_byte_behind_the_signature_is_padding(content: bytes) -> None:
    assert unpadded(content) == content[:4]
    assert unpadded(content + b"\0\0") == content + b"\0\0"
