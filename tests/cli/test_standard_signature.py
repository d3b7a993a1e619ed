"""Standard signatures as a person asks for them, and what a stranger says of the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import keys
from tests.cli.terminal import sealgate
from tests.support import objects
from tests.support.data import REPOSITORY
from tests.support.dcmtk import run, set_element
from tests.support.time_stamp_authority import SigningAuthority, TimeStampAuthority, http_server, replying

SEAL = [
    "seal",
    "ct.dcm",
    "sealed.dcm",
    "--recipient",
    "keys/recipient.pub",
    "--signer",
    "keys/signer.key",
    "--json",
]


@pytest.fixture
def authority(tmp_path: Path) -> SigningAuthority:
    return SigningAuthority(tmp_path / "authority")


@pytest.fixture
def folder(tmp_path: Path, authority: SigningAuthority) -> Path:
    """keys/, ct.dcm, and authority/ with gateway.key and gateway.crt."""
    keys.generate(tmp_path / "keys")
    (tmp_path / "ct.dcm").write_bytes(objects.ct(rows=64, columns=64))
    authority.signer()
    return tmp_path


SIGNED = ["--standard-signature", "authority/gateway.key", "authority/gateway.crt"]


def test_a_sealed_file_has_a_signature_and_a_stamp_that_dcmsign_verifies(
    folder: Path, authority: SigningAuthority
) -> None:
    stamping = TimeStampAuthority(folder / "tsa", authority.stamper())
    with http_server(replying(stamping.answer)) as url:
        done = sealgate([*SEAL, *SIGNED, "--time-stamp", url, "authority/authority.pem"], folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["standard_signature"] == "stamped"
    checked = run(
        "dcmsign", ["-v", "+rc", "+tr", "+cf", str(authority.certificate), str(folder / "sealed.dcm")]
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0
    assert "Signature Verification      : OK" in said and "Timestamp Verification      : OK" in said


def test_a_file_whose_stamp_is_missing_is_written_and_told(folder: Path) -> None:
    with http_server(replying(lambda _: b"", status=503)) as url:
        done = sealgate([*SEAL, *SIGNED, "--time-stamp", url, "authority/authority.pem"], folder)
    assert done.returncode == 3
    assert json.loads(done.stdout)["standard_signature"] == "unstamped"
    assert "no time stamp" in done.stderr and "503" in done.stderr
    assert (folder / "sealed.dcm").exists()


def test_without_the_option_there_is_no_signature(folder: Path) -> None:
    done = sealgate(SEAL, folder)
    assert done.returncode == 0
    assert json.loads(done.stdout)["standard_signature"] is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--standard-signature", "keys/signer.key", "authority/gateway.crt"], "neither an RSA key"),
        (
            ["--standard-signature", "authority/gateway.key", "authority/authority.pem"],
            "is not the private key",
        ),
        (["--time-stamp", "http://127.0.0.1/", "authority/authority.pem"], "--standard-signature"),
        ([*SIGNED, "--time-stamp", "127.0.0.1", "authority/authority.pem"], "http://"),
    ],
)
def test_wrong_options_are_told_before_anything_is_sealed(
    folder: Path, options: list[str], told: str
) -> None:
    done = sealgate([*SEAL, *options], folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (folder / "sealed.dcm").exists()


def configured(folder: Path, *, certificate: str, url: str) -> None:
    """gate.toml: the example that we ship, with both."""
    example = (REPOSITORY / "deploy" / "sealgate.toml").read_text()
    (folder / "gate.toml").write_text(
        f"""{example}
[seal]
standard_signature = {{ key = "authority/{certificate}.key", certificate = "authority/{certificate}.crt" }}
time_stamp = {{ url = "{url}", certificates = "authority/authority.pem" }}
"""
    )


def test_check_tells_how_long_the_certificate_is_valid_and_whether_stamps_come(
    folder: Path, authority: SigningAuthority
) -> None:
    stamping = TimeStampAuthority(folder / "tsa", authority.stamper())
    with http_server(replying(stamping.answer)) as url:
        configured(folder, certificate="gateway", url=url)
        done = sealgate(["check", "--config", "gate.toml", "--json", "--echo"], folder)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (certificate,) = (line for line in lines if line.get("certificate") == "standard signature")
    (stamps,) = (line for line in lines if "time_stamp" in line)
    assert certificate["ok"] and stamps == {"time_stamp": url, "ok": True, "reason": None}


def test_check_finds_an_expired_certificate(folder: Path, authority: SigningAuthority) -> None:
    authority.signer("old", days=-1)
    configured(folder, certificate="old", url="http://127.0.0.1:9/")
    done = sealgate(["check", "--config", "gate.toml", "--json"], folder)
    assert done.returncode == 3
    (certificate,) = (
        line
        for line in map(json.loads, done.stdout.splitlines())
        if line.get("certificate") == "standard signature"
    )
    assert (certificate["ok"], certificate["reason"]) == (False, "expired")


def test_check_finds_a_certificate_of_another_key(folder: Path, authority: SigningAuthority) -> None:
    other = authority.signer("other")
    other.certificate.write_bytes((folder / "authority" / "gateway.crt").read_bytes())
    configured(folder, certificate="other", url="http://127.0.0.1:9/")
    done = sealgate(["check", "--config", "gate.toml"], folder)
    assert done.returncode == 2
    assert "is not the private key" in done.stderr


def test_check_finds_an_authority_that_gives_no_stamps(folder: Path) -> None:
    with http_server(replying(lambda _: b"", status=503)) as url:
        configured(folder, certificate="gateway", url=url)
        done = sealgate(["check", "--config", "gate.toml", "--json", "--echo"], folder)
    assert done.returncode == 3
    (stamps,) = (line for line in map(json.loads, done.stdout.splitlines()) if "time_stamp" in line)
    assert (stamps["ok"], stamps["reason"]) == (False, "time-stamp")


def test_verify_tells_a_signature_that_coercion_broke_from_tampering(folder: Path) -> None:
    """The verdict is that of our seal: an archive may keep up the institution's name, and the signature covers it."""
    (folder / "ct.dcm").write_bytes(objects.ct(rows=64, columns=64, InstitutionName="CLINIC A"))
    assert sealgate([*SEAL, *SIGNED], folder).returncode == 0
    believed = ["--signers", "keys/signer.pub", "--certificates", "authority/authority.pem", "--json"]
    whole = json.loads(sealgate(["verify", "sealed.dcm", *believed], folder).stdout)
    (signature,) = whole["standard_signatures"]
    assert (whole["verdict"], signature["state"], signature["trusted"]) == ("intact", "valid", True)
    assert (signature["of_this_seal"], signature["changed"]) == (True, [])
    set_element(folder / "sealed.dcm", folder / "changed.dcm", "InstitutionName=CLINIC B")
    changed = json.loads(sealgate(["verify", "changed.dcm", *believed], folder).stdout)
    (signature,) = changed["standard_signatures"]
    assert (changed["verdict"], signature["state"], signature["changed"]) == (
        "intact",
        "broken",
        ["InstitutionName"],
    )
    prose = sealgate(["verify", "changed.dcm", "--signers", "keys/signer.pub"], folder).stdout
    assert "InstitutionName" in prose
    assert "broken" in prose
