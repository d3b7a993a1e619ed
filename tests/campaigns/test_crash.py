"""Nothing acknowledged is lost or doubled, whichever process is killed, however often, at whatever moment.

The campaign takes its size from SEALGATE_CRASH_ROUNDS and SEALGATE_CRASH_OBJECTS, its moments from
SEALGATE_CAMPAIGN_SEED; interrupted, it goes on where it was.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.seal.codec import Codec
from tests.campaigns.crash_plant import KINDS, Plant, original
from tests.campaigns.crash_proof import examined
from tests.support.campaign import CAMPAIGNS, Progress, number, seed, write_figures
from tests.support.gateway import wait_for
from tests.support.modality import parcel

MOMENT_S = 1.5  # after a round's objects were handed out, the latest moment of its kill
DOWN_S = 0.5  # the longest pause before the killed process is started again


def test_whatever_is_killed_and_whenever_each_acknowledged_object_arrives_once_and_whole(
    tmp_path: Path, codec: Codec
) -> None:
    progress = Progress(tmp_path / "crash", rounds=len(KINDS), objects=50, seed=seed())
    _campaign(progress, codec)


@pytest.mark.campaign
@pytest.mark.timeout(4 * 3600)
def test_two_hundred_kills_over_five_thousand_objects(codec: Codec) -> None:
    progress = Progress(
        CAMPAIGNS / "crash",
        rounds=number("SEALGATE_CRASH_ROUNDS", 200),
        objects=number("SEALGATE_CRASH_OBJECTS", 5000),
        seed=seed(),
    )
    figures = _campaign(progress, codec)
    write_figures("crash", **figures)
    progress.finish()


@pytest.mark.campaign
def test_the_proof_finds_what_is_missing_exchanged_or_foreign(tmp_path: Path, codec: Codec) -> None:
    plan = seed()
    with Plant(tmp_path, seed=plan) as plant:
        plant.give(0, 4)
        wait_for(lambda: len(plant.acknowledged()) == 4, what="everything acknowledged")
        wait_for(lambda: plant.gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
        assert examined(plant, range(4), plan, codec).problems == []
        lost, exchanged = (plant.orthanc.find(uid_of(number, plan)) for number in (1, 2))
        plant.orthanc.request("DELETE", f"/instances/{lost}")
        plant.orthanc.request("DELETE", f"/instances/{exchanged}")
        plant.orthanc.upload(original(2, plan))
        plant.orthanc.upload(original(99, plan))
        problems = examined(plant, range(4), plan, codec).problems
    assert problems == [
        "1: acknowledged, but missing",
        "2: the destinations hold different bytes",
        "2: verified as unsealed",
        f"{uid_of(99, plan)}: in the PACS, but never sent",
    ]


def uid_of(number: int, plan: int) -> str:
    return parcel(original(number, plan), fallback_uid="").sop_instance


def _campaign(progress: Progress, codec: Codec) -> dict[str, object]:
    plan, done = progress.plan, progress.values
    rounds, objects = plan["rounds"], plan["objects"]
    kills = Counter(done.get("kills", {}))
    before_s = done.get("seconds", 0.0)
    started = time.monotonic()
    with Plant(progress.folder, seed=plan["seed"]) as plant:
        for turn in range(done.get("rounds", 0), rounds):
            plant.give(turn * objects // rounds, (turn + 1) * objects // rounds)
            kills[_killed(plant, turn, plan["seed"])] += 1
            progress.save(rounds=turn + 1, kills=kills, seconds=before_s + time.monotonic() - started)
        wait_for(
            lambda: len(plant.acknowledged()) == objects,
            what="everything acknowledged",
            timeout_s=360 + objects / 5,
        )
        wait_for(
            lambda: plant.gateway.metric("sealgate_queue_jobs") == _waiting_for_people(plant),
            what="an empty queue",
            timeout_s=360 + objects / 5,
        )
        seconds = before_s + time.monotonic() - started
        found = examined(plant, range(objects), plan["seed"], codec)
        if not found.parked:
            # A killed worker leaves a draft, or an object that nobody wrote down. The next start removes both.
            assert plant.gateway.stop() == 0
            plant.gateway.start()
            wait_for(lambda: _spool(plant) == [], what="an empty spool")
    assert not found.problems, (
        f"{len(found.problems)} problems with seed {plan['seed']}: {found.problems[:5]}"
    )
    assert found.delivered + sum(found.parked.values()) == objects
    return {
        "seed": plan["seed"],
        "rounds": rounds,
        "objects": objects,
        "kills": dict(kills),
        "delivered": found.delivered,
        "parked": found.parked,
        "came again with the same bytes": found.came_again,
        "missing": 0,
        "wrong": 0,
        "seconds": round(seconds),
    }


def _killed(plant: Plant, turn: int, seed: int) -> str:
    """Each kind in turn, at a moment that depends on the seed only."""
    draw = random.Random(seed * 1_000_003 + turn)
    kind = KINDS[turn % len(KINDS)]
    time.sleep(draw.uniform(0, MOMENT_S))
    down_s, choice = draw.uniform(0, DOWN_S), draw.randrange(1000)
    wait_for(lambda: plant.kill(kind, down_s=down_s, choice=choice), what=f"a {kind} to kill")
    return kind


def _waiting_for_people(plant: Plant) -> float:
    parked = plant.gateway.metric("sealgate_queue_jobs", state="parked")
    return parked + plant.gateway.metric("sealgate_queue_jobs", state="waiting") if parked else 0


def _spool(plant: Plant) -> list[Path]:
    return list((plant.gateway.folder / "data" / "spool").glob("*/*"))
