"""All operations on all objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gateway.seal.findings import Verdict
from tests.campaigns.harmless import archives, elements, lossy, transcodes, with_pydicom
from tests.campaigns.harmless.findings import explained
from tests.campaigns.harmless.losing import Loss, try_loss
from tests.campaigns.harmless.operation import Workbench
from tests.campaigns.harmless.sources import Sample
from tests.campaigns.harmless.trying import Alarm, Tally, try_all
from tests.support.desk import Desk

LOSSY = frozenset({Verdict.LOSSY, Verdict.ALTERED})
CAUGHT = frozenset({Verdict.TAMPERED, Verdict.LOSSY})


@dataclass(frozen=True)
class Results:
    """What came out, for docs/harmless.md."""

    samples: Sequence[Sample]
    tallies: Sequence[Tally]
    losses: Sequence[Loss]
    lies: Sequence[Loss]

    @property
    def alarms(self) -> list[Alarm]:
        """False ones, and lies that were believed."""
        found = [alarm for tally in self.tallies for alarm in tally.alarms]
        found += [alarm for loss in (*self.losses, *self.lies) for alarm in loss.alarms]
        return [alarm for alarm in found if explained(alarm) is None]


def run(desk: Desk, samples: Sequence[Sample], folder: Path) -> Results:
    """Try everything on every object; archives are started and stopped."""
    bench = Workbench(folder / "bench")
    with archives.Archives(folder / "archives") as peers:
        harmless = chain(
            transcodes.operations(bench),
            with_pydicom.operations(),
            elements.operations(bench),
            archives.operations(peers),
        )
        tallies = try_all(desk, samples, harmless)
        losing = chain(lossy.honest(bench), lossy.honest_archives(peers))
        losses = try_loss(desk, samples, losing, good=LOSSY)
    lies = try_loss(desk, samples, lossy.lies(), good=CAUGHT)
    return Results(samples, tallies, losses, lies)
