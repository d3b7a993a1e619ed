"""Run the long form and write docs/harmless.md. SEALGATE_HARMLESS_EVERY=n takes every n-th object only."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from gateway import keys
from gateway.seal.codec.codec import Codec
from tests.campaigns.harmless.campaign import run
from tests.campaigns.harmless.report import rendered
from tests.campaigns.harmless.sources import of_the_collection
from tests.support.campaign import number
from tests.support.data import REPOSITORY
from tests.support.desk import Desk

EVERY = "SEALGATE_HARMLESS_EVERY"


def main() -> None:
    # pydicom warns of every sloppy value, and there are many.
    logging.captureWarnings(True)
    logging.disable(logging.WARNING)
    every = number(EVERY, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys.generate(folder / "keys")
        desk = Desk.of(folder / "keys", Codec.load())
        results = run(desk, of_the_collection(desk)[::every], folder)
    (REPOSITORY / "docs" / "harmless.md").write_text(
        rendered(results.samples, results.tallies, results.losses, results.lies, every=every)
    )
    for alarm in results.alarms:
        print(" | ".join((alarm.operation, alarm.tool, alarm.sample, alarm.verdict, alarm.why)))
    print(f"{len(results.alarms)} false alarms")


if __name__ == "__main__":
    main()
