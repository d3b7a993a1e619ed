"""Whatever an object is, the service goes on, and the object is delivered right, put aside or refused with a reason.

SEALGATE_HOSTILE_OBJECTS is its size, SEALGATE_CAMPAIGN_SEED makes its draws; interrupted, it goes on
after the last whole batch. With the collection beside the repository it begins with its files as well.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import keys
from gateway.errors import ResourceError
from gateway.observe.pseudonyms import Pseudonyms
from gateway.receive.intake import UNNAMED
from gateway.seal import SealOptions, seal
from gateway.seal.codec.codec import Codec
from tests.campaigns.hostile_objects import hostile
from tests.support import objects
from tests.support.campaign import CAMPAIGNS, Progress, number, seed, write_figures
from tests.support.data import SHIPPED, collection, shipped
from tests.support.gateway import wait_for
from tests.support.line import Line, running_line, wrong_deliveries
from tests.support.modality import Parcel, parcel, send
from tests.support.vitals import vitals

# The values are too long, of wrong characters and of wrong kinds on purpose, and pydicom says so of each.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

ACTIONS = {"SEALGATE": "seal", "VERIFY": "verify", "RESTORE": "restore"}
BATCH, SHORT_BATCH = 60, 20
SOURCE_BYTES = 2 << 20  # larger files of the collection make the campaign slow, not harder
HTTP_EVERY = 6
WORKER_BYTES = 2 << 30
GROWTH_MIB = 400.0
EXTRA = f"[limits]\nfree_bytes_min = 0\nseal_timeout_s = 60\nworker_memory_bytes = {WORKER_BYTES}\n"


@dataclass
class Outcomes:
    """problems: one line for each object of which nobody knows what became, or that arrived wrong."""

    counted: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def sources(line: Line, codec: Codec, *, with_collection: bool) -> list[bytes]:
    """Good files of many kinds, and some sealed with the gateway's own keys."""
    files = [shipped(name).read_bytes() for name in SHIPPED]
    files += [
        objects.ct(rows=64, columns=64),
        objects.fundus(rows=64, columns=64),
        objects.multi_frame(),
        objects.report(),
    ]
    if with_collection:
        files += [path.read_bytes() for path in collection("**/*") if path.stat().st_size < SOURCE_BYTES]
    recipient = keys.load_recipient(line.gateway.keys / "recipient.pub")
    signer = keys.load_signer(line.gateway.keys / "signer.key")
    for data in (objects.ct(), objects.mr(rows=128, columns=128), objects.fundus(), objects.report()) * 2:
        sealed, _ = seal(
            data,
            recipient=recipient,
            signer=signer,
            codec=codec,
            options=SealOptions(),
            now=datetime.now(UTC),
        )
        files.append(sealed)
    return [data for data in files if data]


def run_batch(line: Line, codec: Codec, batch: Sequence[Parcel], called: str, outcomes: Outcomes) -> None:
    """Send, wait until nothing moves, and say of each object what became of it."""
    before = len(line.archive.files())
    statuses = send(batch, line.gateway.dicom_port, called=called)
    line.settle(len(batch) * 5)
    delivered = line.archive.files()[before:]
    arrived = {parcel(data, fallback_uid="").sop_instance for data in delivered}
    pseudonyms = Pseudonyms.load(line.gateway.folder / "data")
    parked = {job["instance"]: str(job["reason"]) for job in line.jobs() if job["state"] == "parked"}
    for item, status in zip(batch, statuses, strict=True):
        # One that does not name itself goes by a pseudonym of its own.
        names = (item.sop_instance, UNNAMED + item.sop_instance)
        reason = next((parked[one] for one in map(pseudonyms.of, names) if one in parked), None)
        if status != 0:
            outcomes.counted[f"{called}: refused with {status:04X}"] += 1
        elif item.sop_instance in arrived:
            outcomes.counted[f"{called}: delivered"] += 1
        elif reason:
            outcomes.counted[f"{called}: parked, {reason}"] += 1
        else:
            outcomes.problems.append(
                f"{called} {item.sop_instance}: acknowledged and neither delivered nor parked"
            )
    if called != "RESTORE":  # what is restored differs from what was sent, as it should
        outcomes.problems += wrong_deliveries(line, codec, batch, delivered)


def ask(line: Line, item: Parcel) -> str:
    """What POST /api/v1/verify says of it: a verdict, or the status of the error."""
    try:
        answer = line.gateway.request("POST", "/api/v1/verify", item.as_file(), "application/dicom")
    except ResourceError as error:
        return f"HTTP: {str(error).split(' to ')[0]}"
    return f"HTTP: {json.loads(answer.splitlines()[0])['verdict']}"


def assert_well(line: Line) -> int:
    """The service runs and is ready; its resident memory in MiB."""
    assert line.gateway.process is not None and line.gateway.process.running
    wait_for(line.gateway.ready, what="readiness")  # a worker that was ended is started again
    return round(vitals(line.gateway.process.pid).resident)


def hostile_batches(line: Line, codec: Codec, progress: Progress, *, with_collection: bool) -> Outcomes:
    found = Outcomes(Counter(progress.values.get("counted", {})), list(progress.values.get("problems", [])))
    begin, size = sources(line, codec, with_collection=with_collection), progress.plan["batch"]
    for first in range(progress.values.get("done", 0), progress.plan["objects"], size):
        numbers = range(first, min(first + size, progress.plan["objects"]))
        draws = [random.Random(progress.plan["seed"] * 1_000_003 + one) for one in numbers]
        drawn = [hostile(draw, begin, one) for draw, one in zip(draws, numbers, strict=True)]
        # pynetdicom announces an empty data set, and never sends its end.
        batch = [item for item in drawn if item.dataset]
        run_batch(line, codec, batch, tuple(ACTIONS)[first // size % len(ACTIONS)], found)
        found.counted.update(ask(line, item) for item in batch[::HTTP_EVERY])
        assert_well(line)
        progress.save(done=numbers.stop, counted=found.counted, problems=found.problems)
    return found


def test_hostile_objects_are_delivered_right_or_put_aside(tmp_path: Path, codec: Codec) -> None:
    progress = Progress(tmp_path / "progress", objects=3 * SHORT_BATCH, batch=SHORT_BATCH, seed=seed())
    with running_line(tmp_path, actions=ACTIONS, extra=EXTRA) as line:
        found = hostile_batches(line, codec, progress, with_collection=False)
    assert not found.problems, "\n".join(found.problems)
    assert sum(found.counted.values()) >= 3 * SHORT_BATCH


@pytest.mark.campaign
@pytest.mark.timeout(4 * 3600)
def test_thousands_of_hostile_objects(tmp_path: Path, codec: Codec) -> None:
    progress = Progress(
        CAMPAIGNS / "hostile-objects",
        objects=number("SEALGATE_HOSTILE_OBJECTS", 6000),
        batch=BATCH,
        seed=seed(),
    )
    with running_line(tmp_path, actions=ACTIONS, extra=EXTRA) as line:
        before = assert_well(line)
        found = hostile_batches(line, codec, progress, with_collection=True)
        after = assert_well(line)
        deaths = line.gateway.metric("sealgate_worker_deaths_total")
    write_figures(
        "hostile-objects",
        seed=progress.plan["seed"],
        objects=progress.plan["objects"],
        outcomes=dict(sorted(found.counted.items())),
        worker_deaths=deaths,
        resident_mib=[before, after],
        problems=found.problems,
    )
    assert not found.problems, "\n".join(found.problems)
    assert after < before + GROWTH_MIB
    progress.finish()
