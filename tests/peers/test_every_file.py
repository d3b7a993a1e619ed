"""Whatever a modality sends goes through: sealed, digested, passed or put aside with its reason, never lost.

The archive at the end keeps wire bytes, so that "unchanged except the private block" is checked byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.seal.codec.codec import Codec
from tests.support import objects
from tests.support.data import SHIPPED, collection, shipped
from tests.support.line import Line, running_line, through_and_judged


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with running_line(tmp_path) as running:
        yield running


def test_synthetic_and_shipped_objects_go_through(line: Line, codec: Codec) -> None:
    kinds = (objects.ct, objects.mr, objects.signed_ct, objects.fundus, objects.multi_frame, objects.report)
    data = [build() for build in kinds] + [shipped(name).read_bytes() for name in SHIPPED]
    data += [objects.ct(rows=33, columns=47, seed=5), b"not DICOM " * 30, objects.mr(seed=9)[:-999]]
    through_and_judged(line, codec, data)


@pytest.mark.campaign
def test_every_file_of_the_collection_goes_through(line: Line, codec: Codec) -> None:
    files = [path.read_bytes() for path in collection("**/*")]
    through_and_judged(line, codec, [data for data in files if data])  # DIMSE has no empty data sets
