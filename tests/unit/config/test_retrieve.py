"""The way back in the configuration: what [retrieve] needs, and what each verdict does."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from gateway.config import Config, load
from gateway.config.nodes import Node
from gateway.config.retrieve import DEFAULT_POLICY, VerdictName
from gateway.dicom.uids import PATIENT_ROOT_GET, STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gateway.errors import ConfigurationError
from gateway.seal.findings import GOOD, Verdict

BASE = """
[keys]
recipient = "keys/recipient.pub"
signer = "keys/signer.key"
signers = "keys/signer.pub"
recipient_key = "keys/recipient.key"
[retrieve]
archive = "pacs"
ae_title = "SEALVIEW"
[[node]]
name = "viewer"
ae_title = "VIEWER"
hosts = ["10.0.0.9"]
services = ["echo", "find", "get"]
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
CT = "1.2.840.10008.5.1.4.1.1.2"


def loaded(folder: Path, text: str) -> Config:
    (folder / "sealgate.toml").write_text(text)
    return load(folder / "sealgate.toml", environment={})


def test_the_way_back_has_a_title_of_its_own(tmp_path: Path) -> None:
    config = loaded(tmp_path, BASE)
    assert config.called_ae_titles == {"SEALGATE", "SEALVIEW"}
    assert config.archive is not None
    assert config.archive.name == "pacs"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('archive = "pacs"', 'archive = "pax"', "retrieve.archive: no destination is called 'pax'"),
        ('ae_title = "SEALVIEW"', "", "retrieve.ae_title: "),
        ('"SEALVIEW"', '"SEALGATE"', "retrieve.ae_title: the listener, or a route"),
        ('"SEALVIEW"', '"SEALVIEW"\nfetch = "ftp"', "retrieve.fetch: "),
        ('"SEALVIEW"', '"SEALVIEW"\nfetch = "wado"', "retrieve: dicomweb: missing"),
        ('"SEALVIEW"', '"SEALVIEW"\nfetch = "c-move"', "no node ORTHANC may store"),
        ('"SEALVIEW"', '"SEALVIEW"\ndicomweb = "ftp://a"', "retrieve.dicomweb: "),
        ('"SEALVIEW"', '"SEALVIEW"\ninstances = 70000', "retrieve.instances: "),
        ('"SEALVIEW"', '"SEALVIEW"\npolicy = { intct = "mark" }', "retrieve.policy.intct"),
        ('"SEALVIEW"', '"SEALVIEW"\npolicy = { intact = "hide" }', "retrieve.policy.intact: "),
        ('"SEALVIEW"', '"SEALVIEW"\npolicy = { unreadable = "mark" }', "nothing can be written into"),
        ("port = 4242", 'port = 4242\npolicy = { unreadable = "mark" }', "nothing can be written into"),
        ('signers = "keys/signer.pub"', "", "keys.signers: missing, but [retrieve]"),
        ('recipient_key = "keys/recipient.key"', "", "keys.recipient_key: missing, but [retrieve]"),
        (
            '[retrieve]\narchive = "pacs"\nae_title = "SEALVIEW"',
            "",
            "viewer may find, but there is no [retrieve]",
        ),
    ],
)
def test_a_mistake_on_the_way_back_is_named_with_its_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, BASE.replace(old, new))
    assert told in str(caught.value)


def test_every_verdict_has_a_treatment() -> None:
    assert set(get_args(VerdictName)) == set(DEFAULT_POLICY) == {verdict.value for verdict in Verdict}


def test_only_what_is_good_is_delivered_unmarked_unless_configured(tmp_path: Path) -> None:
    table = loaded(tmp_path, BASE).retrieve
    assert table is not None
    delivered = {verdict for verdict in Verdict if table.treatment(verdict, {}) == "deliver"}
    assert delivered == GOOD
    assert table.treatment("a verdict of tomorrow", {}) == "withhold"


def test_the_policy_of_a_destination_goes_before_that_of_all(tmp_path: Path) -> None:
    text = BASE.replace('"SEALVIEW"', '"SEALVIEW"\npolicy = { tampered = "mark", unknown-signer = "mark" }')
    config = loaded(tmp_path, text.replace("port = 4242", 'port = 4242\npolicy = { tampered = "withhold" }'))
    assert config.retrieve is not None
    pacs = config.destination[0]
    assert config.retrieve.treatment("tampered", {}) == "mark"
    assert config.retrieve.treatment("tampered", pacs.policy) == "withhold"
    assert config.retrieve.treatment("unknown-signer", pacs.policy) == "mark"
    assert config.retrieve.treatment("lossy", pacs.policy) == "mark"


def test_a_node_has_the_services_that_it_was_given() -> None:
    node = Node(name="v", ae_title="V", hosts=("10.0.0.1",), services=("find", "get"))
    assert node.may(STUDY_ROOT_FIND)
    assert node.may(PATIENT_ROOT_GET)
    assert not node.may(STUDY_ROOT_MOVE)
    # What it gets comes on such a context, on which it may not store.
    assert node.may(CT)
    assert not node.may_store(CT)
    assert not Node(name="v", ae_title="V", hosts=("10.0.0.1",)).may(STUDY_ROOT_FIND)
