"""A gateway is known by its name in associations, and its own addresses by looking."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from gateway.config import Config
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.dimse.own_gateway import gateway_of, leads_here, version_name
from gateway.observe.pseudonyms import Pseudonyms


def test_the_name_of_a_gateway_tells_its_id_and_fits_into_an_association() -> None:
    first, second = (Pseudonyms(bytes([number]) * 32).gateway_id() for number in (1, 2))
    assert first != second
    assert first == Pseudonyms(bytes([1]) * 32).gateway_id()
    assert len(version_name(first)) == 16
    assert gateway_of(IMPLEMENTATION_CLASS_UID, version_name(first) + " ") == first


@pytest.mark.parametrize(
    ("class_uid", "name"),
    [
        (None, None),
        (IMPLEMENTATION_CLASS_UID, None),
        (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION),
        (IMPLEMENTATION_CLASS_UID, version_name("")),
        ("1.2.3", version_name("abcdefg")),
        (IMPLEMENTATION_CLASS_UID, "DCMTK_367"),
    ],
)
def test_other_programs_and_versions_without_an_id_are_no_gateways(class_uid: object, name: object) -> None:
    assert gateway_of(class_uid, name) is None


def configured(host: str, port: int = 11112, **tables: Any) -> Config:
    return Config.model_validate(
        {
            "destination": [{"name": "pacs", "ae_title": "P", "host": host, "port": port}],
            "route": [{"called": "IN", "action": "pass", "to": ["pacs"]}],
            **tables,
        }
    )


TLS = {"certificate": "c.pem", "key": "k.pem"}


@pytest.mark.parametrize(
    ("host", "port", "tables", "key"),
    [
        ("127.0.0.1", 11112, {}, "listener.port"),
        ("127.0.0.5", 11112, {}, "listener.port"),
        ("localhost", 11112, {}, "listener.port"),
        ("::1", 11112, {}, "listener.port"),
        ("0.0.0.0", 11112, {}, "listener.port"),
        ("127.0.0.1", 11113, {}, None),
        ("127.0.0.1", 2762, {}, None),
        ("127.0.0.1", 2762, {"tls": TLS}, "tls.port"),
        ("127.0.0.1", 11112, {"tls": TLS | {"plain": False}}, None),
        ("192.0.2.1", 11112, {}, None),
        ("no-such-host.invalid", 11112, {}, None),
        ("127.0.0.1", 11112, {"listener": {"host": "127.0.0.1"}}, "listener.port"),
        ("127.0.0.2", 11112, {"listener": {"host": "127.0.0.1"}}, None),
        ("localhost", 11112, {"listener": {"host": "127.0.0.1"}}, "listener.port"),
    ],
)
def test_a_destination_that_is_a_port_of_ours_is_known(
    host: str, port: int, tables: dict[str, Any], key: str | None
) -> None:
    config = configured(host, port, **tables)
    assert leads_here(config.destination[0], config) == key


def test_this_machine_is_known_by_its_own_name_and_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent; the system only chooses the address that it would send from.
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    config = configured(address)
    assert leads_here(config.destination[0], config) == "listener.port"
