"""The configuration file: what is accepted, and how mistakes are reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.errors import ConfigurationError

GOOD = """
[keys]
recipient = "keys/recipient.pub"
signer = "keys/signer.key"
[[destination]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = 4242
[[route]]
called = "SEALGATE"
action = "seal"
to = ["pacs"]
"""


SIGNATURE = '{ key = "keys/standard.key", certificate = "keys/standard.crt" }'
STAMP = '{ url = "http://tsa.example/tsr", certificates = "keys/tsa.pem" }'


def stamped(url: str, more: str = "required = true") -> str:
    """The table of sealing with a time stamp authority."""
    stamp = f'{{ url = "{url}", certificates = "keys/tsa.pem", {more} }}'
    return f"[seal]\nstandard_signature = {SIGNATURE}\ntime_stamp = {stamp}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "sealgate.toml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, **environment: str) -> Config:
    return load(write(folder, text), environment=environment)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD)
    assert config.keys.signer == tmp_path / "keys" / "signer.key"
    assert config.gateway.data_dir == tmp_path / "sealgate-data"
    assert config.source == tmp_path / "sealgate.toml"


def test_standard_signatures_and_time_stamps_are_off_unless_they_are_configured(tmp_path: Path) -> None:
    assert (loaded(tmp_path, GOOD).seal.standard_signature, loaded(tmp_path, GOOD).seal.time_stamp) == (
        None,
        None,
    )
    on = loaded(tmp_path, f"[seal]\nstandard_signature = {SIGNATURE}\ntime_stamp = {STAMP}\n" + GOOD).seal
    assert on.standard_signature is not None and on.time_stamp is not None
    assert on.standard_signature.key == tmp_path / "keys" / "standard.key"
    assert on.time_stamp.certificates == tmp_path / "keys" / "tsa.pem"
    assert not on.time_stamp.required


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[gateway]\ndata_dir = "/var/x"\n' + GOOD).gateway.data_dir == Path("/var/x")


def test_a_loaded_configuration_does_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(tmp_path, GOOD).listener.port = 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[keys]", "[listener]\nprot = 1\n[keys]"), "listener.prot: "),
        (("[keys]", "[limits]\nassociations = 0\n[keys]"), "limits.associations: "),
        (('"ORTHANC"', '"A TITLE THAT IS TOO LONG"'), "destination.0.ae_title: "),
        (('"ORTHANC"', '"   "'), "destination.0.ae_title: "),
        (('"ORTHANC"', r'"A\\B"'), "destination.0.ae_title: "),
        (("port = 4242", "port = 70000"), "destination.0.port: "),
        (("port = 4242", ""), "destination.0.port: "),
        (("port = 4242", 'port = 4242\nfailover = "pacs"'), "destination.0.failover: 'pacs' is no other"),
        (("port = 4242", 'port = 4242\nhours = "always"'), "destination.0.hours.0: write hours as"),
        (('to = ["pacs"]', 'to = ["pax"]'), "route.0.to: no destination is called 'pax'"),
        (('to = ["pacs"]', "to = []"), "route.0.to: "),
        (('signer = "keys/signer.key"', ""), "keys.signer: missing"),
        (('action = "seal"', 'action = "restore"'), "keys.signers: missing"),
        (('action = "seal"', 'action = "steal"'), "route.0.action: "),
        (("[keys]", '[seal.standard_signature]\nkey = "a"\n[keys]'), "seal.standard_signature.certificate: "),
        (("[keys]", f"[seal]\ntime_stamp = {STAMP}\n[keys]"), "time_stamp: is for seal.standard_signature"),
        (("[keys]", f"{stamped('ftp://a')}[keys]"), "seal.time_stamp.url: "),
        (("[keys]", f"{stamped('a/b')}[keys]"), "seal.time_stamp.url: "),
        (("[keys]", f"{stamped('http://user:password@a/')}[keys]"), "seal.time_stamp.url: "),
        (("[keys]", f"{stamped('http://a:99999/')}[keys]"), "seal.time_stamp.url: "),
        (("[keys]", f"{stamped('http://a', 'timeout_s = 0')}[keys]"), "seal.time_stamp.timeout_s: "),
        (
            ('action = "seal"', 'action = "seal"\nwhere = { PatientNam = "X" }'),
            "PatientNam is not a DICOM keyword",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, GOOD.replace(*change))
    assert told in str(caught.value)
    assert caught.value.hint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, GOOD.replace("4242", "0").replace('"seal"', '"no"'))
    assert "destination.0.port" in str(caught.value)
    assert "route.0.action" in str(caught.value)


def test_two_destinations_of_one_name_are_refused(tmp_path: Path) -> None:
    second = '[[destination]]\nname = "pacs"\nae_title = "B"\nhost = "h"\nport = 1\n'
    with pytest.raises(ConfigurationError, match="same name"):
        loaded(tmp_path, GOOD + second)


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        loaded(tmp_path, "[keys]\nrecipient = \n")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "none.toml")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, GOOD, SEALGATE_LISTENER__PORT="104", SEALGATE_HTTP__TOKEN="s3cret" * 8, OTHER="x"
    )
    assert config.listener.port == 104
    assert config.http.token is not None


def test_secrets_are_masked(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD, SEALGATE_HTTP__TOKEN="s3cret" * 8)
    assert "s3cret" not in repr(config) + str(config) + config.model_dump_json()


def test_a_wrong_value_is_not_quoted_because_it_may_be_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, GOOD, SEALGATE_LISTENER__PORT="s3cret")
    assert "s3cret" not in str(caught.value)


def test_the_called_titles_are_those_of_listener_and_routes(tmp_path: Path) -> None:
    second = '[[route]]\ncalled = "ARCHIVE"\naction = "pass"\nto = ["pacs"]\n'
    assert loaded(tmp_path, GOOD + second).called_ae_titles == {"SEALGATE", "ARCHIVE"}


def test_conditions_of_a_route_are_patterns(tmp_path: Path) -> None:
    conditions = 'calling = "CT*"\nmodality = ["CT", "MR"]\nwhere = { InstitutionName = "*clinic*" }'
    (route,) = loaded(tmp_path, GOOD.replace('action = "seal"', 'action = "seal"\n' + conditions)).route
    header = {"Modality": "CT", "InstitutionName": "the clinic"}
    assert route.matches("SEALGATE", "CT1", "1.2", header)
    assert not route.matches("SEALGATE", "MR1", "1.2", header)
    assert not route.matches("OTHER", "CT1", "1.2", header)
    assert not route.matches("SEALGATE", "CT1", "1.2", header | {"Modality": "US"})
    assert not route.matches("SEALGATE", "CT1", "1.2", {"Modality": "CT"})


def test_resealing_needs_the_keys_to_verify_and_restore_first(tmp_path: Path) -> None:
    asked = '[seal]\nsealed = "reseal"\n' + GOOD
    with pytest.raises(ConfigurationError, match=r"keys\.recipient_key: missing, but seal\.sealed"):
        loaded(tmp_path, asked)
    with_keys = asked.replace("[keys]", '[keys]\nrecipient_key = "r.key"\nsigners = "trusted"')
    assert loaded(tmp_path, with_keys).seal.sealed == "reseal"


DEIDENTIFYING = """
[release]
command = {command}
"""
RELEASING = """
[[destination]]
name = "deid"
ae_title = "DEID"
host = "127.0.0.1"
port = 104

[[route]]
called = "RELEASE"
action = "release"
to = ["deid"]
"""
KEYS_TO_RELEASE = '[keys]\nsigners = "s.pub"\nrecipient_key = "r.key"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RELEASING, "keys.signers"),
        (KEYS_TO_RELEASE + RELEASING + 'on_failure = "mark"\n', "route.0.on_failure"),
        (KEYS_TO_RELEASE + DEIDENTIFYING.format(command='["deid", "{in}", "{out}"]') + RELEASING, "absolute"),
        (KEYS_TO_RELEASE + DEIDENTIFYING.format(command='["/deid", "{in}", "x"]') + RELEASING, "{out}"),
        (
            KEYS_TO_RELEASE + DEIDENTIFYING.format(command='["/deid", "{in}{out}"]') + RELEASING,
            "release.command",
        ),
    ],
)
def test_a_release_that_could_give_away_what_it_must_not_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "sealgate.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        load(path, environment={})


def test_a_release_with_its_keys_and_a_command_is_good(tmp_path: Path) -> None:
    path = tmp_path / "sealgate.toml"
    command = '["/deid", "--from={in}", "{out}"]'
    path.write_text(KEYS_TO_RELEASE + DEIDENTIFYING.format(command=command) + RELEASING)
    table = load(path, environment={}).release
    assert (table.command, table.unsealed) == (("/deid", "--from={in}", "{out}"), "refuse")
