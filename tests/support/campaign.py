"""What the campaigns share: seeds that can be given, a state that outlives an interruption, figures as JSON."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

CAMPAIGNS = Path(__file__).parents[2] / ".work" / "campaigns"
SEED = "SEALGATE_CAMPAIGN_SEED"


def number(variable: str, default: int) -> int:
    """A size of a campaign that the environment may change."""
    return int(os.environ.get(variable, default))


def seed() -> int:
    """Printed, so that a run can be repeated: from the environment, or drawn anew."""
    drawn = number(SEED, secrets.randbelow(1_000_000))
    print(f"{SEED}={drawn}")
    return drawn


def write_figures(name: str, **figures: Any) -> None:
    """.work/campaigns/NAME.json, with the date (UTC)."""
    CAMPAIGNS.mkdir(parents=True, exist_ok=True)
    measured = {"date": time.strftime("%Y-%m-%d", time.gmtime()), **figures}
    (CAMPAIGNS / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(f"{name}: {json.dumps(measured)}")


class Progress:
    """A folder and how far a campaign has come in it. The next run goes on there unless it was finished.

    values: what has been counted so far; kept with each `save`.
    """

    def __init__(self, folder: Path, **plan: int) -> None:
        """plan: what must be the same for going on; `seed` is taken over from the interrupted run."""
        self.folder = folder
        self._file = folder / "progress.json"
        self.values: dict[str, Any] = {}
        found = json.loads(self._file.read_text()) if self._file.exists() else None
        given = SEED in os.environ
        keys = plan if given else plan.keys() - {"seed"}
        if found and all(found["plan"].get(key) == plan[key] for key in keys):
            plan, self.values = found["plan"], found["values"]
            print(f"goes on in {folder}: {found}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.plan = plan

    def save(self, **values: Any) -> None:
        self.values.update(values)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({"plan": self.plan, "values": self.values}))
        fresh.replace(self._file)

    def finish(self) -> None:
        """The next run begins from nothing."""
        shutil.rmtree(self.folder)
