"""The tables of TLS: what is accepted, and how mistakes are reported."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.config.tls import ClientTlsSettings, TlsSettings
from gateway.errors import ConfigurationError, KeyFileError
from gateway.tls import client_context, own_certificates, server_context
from tests.support.certificates import Authority

GOOD = """
[tls]
certificate = "own.crt"
key = "own.key"
[[destination]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = 4242
tls = true
[[route]]
called = "SEALGATE"
action = "pass"
to = ["pacs"]
"""


def loaded(folder: Path, text: str) -> Config:
    (folder / "sealgate.toml").write_text(text)
    return load(folder / "sealgate.toml", environment={})


def test_true_is_tls_with_the_authorities_of_the_system(tmp_path: Path) -> None:
    (destination,) = loaded(tmp_path, GOOD).destination
    assert destination.tls == ClientTlsSettings()
    context = client_context(ClientTlsSettings())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    (plain,) = loaded(tmp_path, GOOD.replace("tls = true", "tls = false")).destination
    assert plain.tls is None


def test_paths_inside_the_table_of_a_destination_are_relative_to_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD.replace("tls = true", 'tls = { ca = "ca.crt" }'))
    assert config.destination[0].tls == ClientTlsSettings(ca=tmp_path / "ca.crt")
    assert config.tls.key == tmp_path / "own.key"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('key = "own.key"', ""), "tls: certificate and key belong together"),
        (('certificate = "own.crt"\nkey = "own.key"', "plain = false"), "tls: plain = false, but"),
        (("tls = true", "tls = { certificate = 'x' }"), "certificate and key belong together"),
        (("tls = true", "tls = { fingerprint = 'abc' }"), "64 hexadecimal digits"),
        (("tls = true", "tls = { verify = false }"), "verify: "),
        (("tls = true", "tls = 'yes'"), "destination.0.tls"),
        (
            (
                "[[route]]",
                f'[[node]]\nname="n"\nae_title="N"\nhosts="h"\ntls_fingerprint="{"ab" * 32}"\n[[route]]',
            ),
            "node.tls_fingerprint: needs tls.ca",
        ),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, GOOD.replace(*change))
    assert told in str(caught.value)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, other = authority.issue("ours"), authority.issue("other")
    assert server_context(TlsSettings(certificate=ours.certificate, key=ours.key, ca=authority.certificate))
    with pytest.raises(KeyFileError, match="is not the private key of"):
        server_context(TlsSettings(certificate=ours.certificate, key=other.key))
    with pytest.raises(KeyFileError, match="not a certificate in PEM"):
        server_context(TlsSettings(certificate=ours.key, key=ours.key))
    with pytest.raises(KeyFileError, match="authorities"):
        client_context(ClientTlsSettings(ca=ours.key))
    with pytest.raises(KeyFileError, match="No such file"):
        server_context(TlsSettings(certificate=tmp_path / "none", key=ours.key))
    other.key.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to group or others"):
        server_context(TlsSettings(certificate=other.certificate, key=other.key))


def test_a_certificate_of_standard_signatures_counts_as_ours_and_a_missing_one_closes_no_port(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    authority.issue("own")
    text = '[seal]\nstandard_signature = { key = "standard.key", certificate = "standard.crt" }\n' + GOOD
    config = loaded(tmp_path, text)
    assert set(own_certificates(config)) == {"listener"}
    authority.issue("standard")
    assert set(own_certificates(config)) == {"listener", "standard signature"}
