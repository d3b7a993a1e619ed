"""No file verifies good, or would be sealed, that pydicom, DCMTK, GDCM and the gateway read in different ways.

The long form is `python -m tests.campaigns.differential`; docs/differential.md has what it found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.seal.codec import Codec
from tests.campaigns.differential.bases import bases
from tests.campaigns.differential.campaign import GOOD, SEALABLE, Campaign, Tally
from tests.campaigns.differential.dcmtk_reader import DCMDUMP
from tests.support.campaign import number, seed
from tests.support.desk import Desk

# Wrong on purpose, and pydicom says so of each.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:tests.campaigns.differential"),
]
SHORT_SEED, SHORT_FILES, BATCH = 20_250_301, 600, 200


@pytest.fixture
def desk(key_folder: Path, codec: Codec) -> Desk:
    if not Path(DCMDUMP).exists():
        pytest.fail(f"{DCMDUMP} is missing: run `make peers`", pytrace=False)
    return Desk.of(key_folder, codec)


def run(desk: Desk, folder: Path, files: int, drawn: int) -> Tally:
    campaign = Campaign(desk, bases(desk), folder, drawn)
    tally = Tally()
    try:
        for first in range(0, files, BATCH):
            campaign.run(range(first, min(first + BATCH, files)), tally)
    finally:
        campaign.close()
    return tally


def test_a_file_that_readers_read_differently_is_never_believed(desk: Desk, tmp_path: Path) -> None:
    tally = run(desk, tmp_path, SHORT_FILES, SHORT_SEED)
    assert not tally.misses, "\n".join(tally.misses)
    assert tally.counted[GOOD] > SHORT_FILES / 20
    assert tally.counted[SEALABLE] > SHORT_FILES / 40
    assert tally.refused["pydicom"] < tally.counted[GOOD]


@pytest.mark.campaign
@pytest.mark.timeout(6 * 3600)
def test_no_file_of_many_thousands_is_believed_that_readers_read_differently(
    desk: Desk, tmp_path: Path
) -> None:
    tally = run(desk, tmp_path, number("SEALGATE_DIFFERENTIAL_FILES", 20_000), seed())
    assert not tally.misses, "\n".join(tally.misses)
