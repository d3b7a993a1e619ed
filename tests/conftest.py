"""Fixtures for all tests. A missing real peer is a failure that says how to install it, never a skip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway import keys
from gateway.errors import ResourceError
from gateway.seal.codec.codec import Codec
from tests.support.dcmtk import Storescp
from tests.support.orthanc import Orthanc
from tests.support.ports import take_own_ports

take_own_ports()

# How fast the machine is at the moment is no property of the code.
settings.register_profile("gateway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gateway")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What Hypothesis makes up may be too long or not decodable, which pydicom says; it is no finding."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning:pydicom"))


@pytest.fixture(scope="session")
def codec() -> Codec:
    """The shipped networks, loaded once."""
    return Codec.load()


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recipient.key, recipient.pub, signer.key, signer.pub."""
    folder = tmp_path_factory.mktemp("keys")
    keys.generate(folder)
    return folder


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        server.start()
    except ResourceError as error:
        pytest.fail(f"{error}. {error.hint}", pytrace=False)
    yield server
    server.stop()


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """A running, empty Orthanc."""
    orthanc_server.reset()
    return orthanc_server


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Storescp]:
    """A running DCMTK storescp with an empty folder."""
    receiver = Storescp(tmp_path / "storescp")
    try:
        receiver.start()
    except ResourceError as error:
        pytest.fail(f"{error}. {error.hint}", pytrace=False)
    yield receiver
    receiver.stop()
