"""The bars on real images: all of them in the campaign, every sixth in the quick run."""

from statistics import mean

import numpy as np
import pytest

from export import evaluate
from gateway.seal.codec import Codec, Profile
from tests.support.data import COLLECTION

ITEMS = evaluate.evaluation_items(COLLECTION) if COLLECTION.exists() else []
BARS_DB = {"fundus": 48.0, "mri_t1": 50.0, "mri_other": 50.0, "MR": 50.0, "ct_head_ge_28": 60.0}


def figures(codec: Codec, items: list[evaluate.Item]) -> list[evaluate.Row]:
    rng = np.random.default_rng(5)
    rows = (evaluate.measure(codec, item, COLLECTION, Profile.FIDELITY, rng) for item in items)
    return [row for row in rows if row is not None]


@pytest.mark.parametrize(
    "step", [pytest.param(6, id="a sixth"), pytest.param(1, id="all", marks=pytest.mark.campaign)]
)
def test_real_images_give_the_payload_back_and_stay_what_they_were(codec: Codec, step: int) -> None:
    rows = [row for row in figures(codec, ITEMS[::step]) if row.level == "full"]
    assert all(row.recovered and row.in_range for row in rows)
    assert all(row.ssim is not None and row.ssim >= 0.995 for row in rows)
    for kind, bar in BARS_DB.items():
        reached = [row.psnr_db for row in rows if row.kind.endswith("/" + kind) and row.psnr_db is not None]
        assert not reached or mean(reached) >= bar, kind
