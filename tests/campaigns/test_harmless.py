"""What archives really do to sealed objects raises no false alarm, and what is only said to be compression does.

`python -m tests.campaigns.harmless` writes docs/harmless.md, which explains the findings.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.seal.codec.codec import Codec
from tests.campaigns.harmless.campaign import Results, run
from tests.campaigns.harmless.sources import of_the_collection, synthetic
from tests.support.campaign import number
from tests.support.desk import Desk

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def assert_no_false_alarms(results: Results) -> None:
    assert not results.alarms, "\n".join(str(alarm) for alarm in results.alarms[:40])
    assert sum(tally.good for tally in results.tallies) > 20 * len(results.samples)
    assert sum(loss.verdicts["lossy"] for loss in results.losses) > 0


@pytest.mark.timeout(1200)
def test_archives_raise_no_false_alarms(tmp_path: Path, key_folder: Path, codec: Codec) -> None:
    desk = Desk.of(key_folder, codec)
    results = run(desk, synthetic(desk), tmp_path)
    assert_no_false_alarms(results)
    assert {tally.name for tally in results.tallies if not tally.good} <= REFUSED_BY_ALL


@pytest.mark.campaign
@pytest.mark.timeout(4 * 3600)
def test_archives_raise_no_false_alarms_over_the_collection(
    tmp_path: Path, key_folder: Path, codec: Codec
) -> None:
    desk = Desk.of(key_folder, codec)
    every = number("SEALGATE_HARMLESS_EVERY", 1)
    assert_no_false_alarms(run(desk, of_the_collection(desk)[::every], tmp_path))


# Debian's Orthanc has no such codecs; and the synthetic objects have nothing to change in these.
REFUSED_BY_ALL = {
    "modified, transcoded to RLE Lossless",
    "modified, transcoded to JPEG 2000 Image Compression (Lossless Only)",
    "modified, transcoded to High-Throughput JPEG 2000 Image Compression (Lossless Only)",
    "modified, transcoded to High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
    "Specific Character Set ISO_IR 6 where there is none",
    "new standard elements turned UN",
    "decompress",
}
