"""`python -m tests.campaigns.differential --files 100000 --seed 1`: the long run. It goes on where it was interrupted."""

from __future__ import annotations

import argparse
import time
import warnings

from gateway import keys
from gateway.seal.codec import Codec
from tests.campaigns.differential.bases import bases
from tests.campaigns.differential.campaign import Campaign, Tally
from tests.support.campaign import CAMPAIGNS, Progress, write_figures
from tests.support.desk import Desk

BATCH = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = CAMPAIGNS / f"differential-{arguments.seed}"
    progress = Progress(folder, files=arguments.files, seed=arguments.seed)
    key_folder = folder / "keys"
    if not key_folder.exists():
        keys.generate(key_folder)
    desk = Desk.of(key_folder, Codec.load())
    campaign = Campaign(desk, bases(desk), folder, arguments.seed)
    tally = Tally.of(progress.values)
    started = time.monotonic()
    try:
        for first in range(progress.values.get("done", 0), arguments.files, BATCH):
            stop = min(first + BATCH, arguments.files)
            campaign.run(range(first, stop), tally)
            progress.save(done=stop, **tally.as_json())
            if first // BATCH % 8 == 0:
                seconds = time.monotonic() - started
                print(f"{stop} of {arguments.files}, {seconds:.0f} s, {dict(tally.counted)}", flush=True)
    finally:
        campaign.close()
    for line in tally.misses:
        print(line)
    write_figures("differential", seed=arguments.seed, files=arguments.files, **tally.as_json())


if __name__ == "__main__":
    main()
