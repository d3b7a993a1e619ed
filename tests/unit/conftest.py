"""What the tests of the core share: keys, a sealer, a verifier, all without a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import keys
from gateway.seal.codec import Codec
from tests.support.desk import Desk


@pytest.fixture(scope="session")
def desk(key_folder: Path, codec: Codec) -> Desk:
    return Desk.of(key_folder, codec)


@pytest.fixture(scope="session")
def other_desk(tmp_path_factory: pytest.TempPathFactory, codec: Codec) -> Desk:
    """Someone else's keys, on the other curve."""
    folder = tmp_path_factory.mktemp("other-keys")
    keys.generate(folder, curve="p256")
    return Desk.of(folder, codec)
