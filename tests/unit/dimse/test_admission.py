"""Which node a peer is, by its title, address and certificate; and what a node may do."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import Config
from gateway.config.nodes import Node
from gateway.dicom.uids import STORAGE_COMMITMENT, VERIFICATION
from gateway.dimse.admission import (
    AssociationPolicy,
    AssociationRequest,
    Names,
    Refusal,
    address_of,
)

DESTINATION = {"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104}
ROUTE = {"called": "SEALGATE", "action": "pass", "to": ["pacs"]}


def policy(*nodes: dict[str, object], accept: str = "nodes") -> AssociationPolicy:
    tls = {"certificate": "c", "key": "k", "ca": "a"}  # not read here
    tables = {
        "listener": {"accept": accept},
        "tls": tls,
        "destination": [DESTINATION],
        "route": [ROUTE],
        "node": nodes,
    }
    config = Config.model_validate(tables)
    return AssociationPolicy(lambda: config)


def request(
    calling: str = "CT", address: str = "10.0.0.5", fingerprint: str | None = None
) -> AssociationRequest:
    return AssociationRequest(calling=calling, called="SEALGATE", address=address, fingerprint=fingerprint)


def node(**changes: object) -> dict[str, object]:
    return {"name": "ct", "ae_title": "CT", "hosts": ["10.0.0.0/24"], **changes}


@pytest.mark.parametrize(
    ("hosts", "address", "inside"),
    [
        ("10.0.0.0/24", "10.0.0.255", True),
        ("10.0.0.0/24", "10.0.1.0", False),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),  # IPv4 on a socket for both
        ("fe80::/10", "fe80::1%eth0", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("localhost", "127.0.0.1", True),
        ("no-such-host.invalid", "127.0.0.1", False),
    ],
)
def test_a_node_is_known_by_its_address(hosts: str, address: str, inside: bool) -> None:
    answer = policy(node(hosts=hosts)).admit(request(address=address))
    assert isinstance(answer, Node if inside else Refusal)


@pytest.mark.parametrize("host", ["10.0.0.1/24", "10.0.0.256", "a host", "-x", "", "10.0.0.*"])
def test_what_is_no_host_is_refused_in_the_file(host: str) -> None:
    with pytest.raises(ValidationError, match="neither an address"):
        Node.model_validate(node(hosts=[host]))


def test_of_several_nodes_with_one_title_the_one_at_the_address_is_meant() -> None:
    other = node(name="other", hosts="10.0.1.0/24")
    answer = policy(node(), other).admit(request(address="10.0.1.7"))
    assert isinstance(answer, Node)
    assert answer.name == "other"


@pytest.mark.parametrize("accept", ["nodes", "any"])
def test_a_pinned_node_needs_its_certificate(accept: str) -> None:
    pinned = policy(node(tls_fingerprint="AB:" * 31 + "AB"), accept=accept)
    assert isinstance(pinned.admit(request(fingerprint="ab" * 32)), Node)
    for shown in (None, "cd" * 32):
        refusal = pinned.admit(request(fingerprint=shown))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "certificate"


def test_strangers_come_in_only_where_any_is_written() -> None:
    assert isinstance(policy(node()).admit(request("X")), Refusal)
    assert policy(node(), accept="any").admit(request("X")) is None


def test_services_and_classes_are_those_of_the_node() -> None:
    ct, report = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.22"
    everything = Node.model_validate(node(report_to="ct"))
    assert all(everything.may(sop_class) for sop_class in (ct, report, VERIFICATION, STORAGE_COMMITMENT))
    nowhere_to_report = Node.model_validate(node())
    assert not nowhere_to_report.may(STORAGE_COMMITMENT)
    reports = Node.model_validate(node(services=["store"], sop_classes="*.88.*"))
    assert [reports.may(sop_class) for sop_class in (ct, report, VERIFICATION)] == [False, True, False]
    assert not Node.model_validate(node(services="commit")).may_store(ct)


def test_a_name_is_looked_up_once_a_minute() -> None:
    now = 0.0
    names = Names(clock=lambda: now)
    assert address_of("127.0.0.1") in names.addresses("localhost")
    names._known["localhost"] = (60.0, frozenset())
    assert names.addresses("localhost") == frozenset()
    now = 60.0
    assert address_of("127.0.0.1") in names.addresses("localhost")
