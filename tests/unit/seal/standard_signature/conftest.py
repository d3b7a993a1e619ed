"""What these tests share: an authority, a signer with its certificate, and sealed objects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.keys import (
    CertificateTrust,
    CertifiedSigner,
    TimeStampQuery,
    load_certificates,
    load_certified_signer,
)
from tests.support import objects
from tests.support.desk import Desk
from tests.support.time_stamp_authority import SigningAuthority, TimeStampAuthority

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SigningAuthority:
    return SigningAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def signer(authority: SigningAuthority) -> CertifiedSigner:
    pair = authority.signer()
    return load_certified_signer(pair.key, pair.certificate)


@pytest.fixture(scope="session")
def trust(authority: SigningAuthority) -> CertificateTrust:
    return CertificateTrust(load_certificates(authority.certificate))


@pytest.fixture(scope="session")
def stamping(tmp_path_factory: pytest.TempPathFactory, authority: SigningAuthority) -> TimeStampAuthority:
    return TimeStampAuthority(tmp_path_factory.mktemp("tsa"), authority.stamper())


@pytest.fixture(scope="session")
def stamp_of(stamping: TimeStampAuthority, trust: CertificateTrust) -> Callable[[bytes], bytes]:
    def stamp(signature: bytes) -> bytes:
        query = TimeStampQuery.about(signature)
        return query.stamp_in(stamping.answer(query.encoded), trust).token

    return stamp


@pytest.fixture(scope="session")
def sealed_ct(desk: Desk) -> bytes:
    return desk.seal(objects.ct(rows=64, columns=64, ImageComments="as received"))[0]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Path]:
    """Puts an object into a file of its own."""
    folder = tmp_path_factory.mktemp("objects")

    def write(data: bytes) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}.dcm"
        path.write_bytes(data)
        return path

    return write
