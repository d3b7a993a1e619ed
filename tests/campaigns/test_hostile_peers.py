"""Whatever comes over the wire, an honest modality is answered, and the gateway neither grows nor falls.

The campaign takes its size from SEALGATE_HOSTILE_TALKS, SEALGATE_HOSTILE_ASSOCIATIONS and SEALGATE_HOSTILE_HOLD_S, its
draws from SEALGATE_CAMPAIGN_SEED; interrupted, it goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.commands.demo.process import free_port
from tests.campaigns import hostile_peers as attacks
from tests.campaigns.honest_peer import Answers, HonestPeer
from tests.support.campaign import CAMPAIGNS, Progress, number, seed, write_figures
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct
from tests.support.vitals import Vitals, peak, vitals

BATCH = 1000  # conversations between two notes of how far it is
GROWTH_MIB = 200.0
# Of the service's own process, workers not counted, at any moment.
MEMORY_MIB = 500.0
# The largest that stays in memory while it arrives.
LARGE_DATA_SET = bytes(15 << 20)
ANSWERED_WITHIN_MS = 1000.0
# The honest modality is a configured node; all the others are strangers who are let in as well.
LIMITS = """
[limits]
network_timeout_s = 5
acse_timeout_s = 5
free_bytes_min = 0
[[node]]
name = "honest"
ae_title = "HONEST"
hosts = "127.0.0.1"
"""


# The gateway ends no hostile connection before an honest modality was answered beside it.
PATIENT = {"SEALGATE_LIMITS__NETWORK_TIMEOUT_S": "600", "SEALGATE_LIMITS__ACSE_TIMEOUT_S": "600"}


@pytest.fixture
def limits() -> dict[str, str]:
    return {}


@pytest.fixture
def plant(tmp_path: Path, limits: dict[str, str]) -> Iterator[tuple[RunningGateway, Storescp]]:
    with Storescp(tmp_path / "pacs") as pacs:
        gateway = RunningGateway(
            tmp_path / "gateway",
            nodes=[DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.port)],
            routes=[DemoRoute(called="SEALGATE", action="seal", to=("pacs",))],
            extra=LIMITS,
            environment=limits,
            dicom_port=free_port(),
            http_port=free_port(),
        )
        with gateway:
            yield gateway, pacs


def own(gateway: RunningGateway) -> Vitals:
    assert gateway.process is not None
    return vitals(gateway.process.pid)


def settled(gateway: RunningGateway, before: Vitals) -> Vitals:
    """Once everything that hostile peers held has been given back."""

    def back() -> bool:
        now = own(gateway)
        return now.threads <= before.threads + 2 and now.files <= before.files + 2

    wait_for(back, what="threads and descriptors as before")
    return own(gateway)


def still_serves(gateway: RunningGateway, pacs: Storescp) -> None:
    """An object sent now arrives, and no thread died on the way."""
    before = len(pacs.files())
    assert send([parcel(ct(), fallback_uid="2.25.1")], gateway.dicom_port) == [0]
    wait_for(lambda: len(pacs.files()) > before, what="an object sent after the attack")
    assert "Traceback" not in gateway.log


def test_an_honest_modality_is_answered_among_hostile_ones(plant: tuple[RunningGateway, Storescp]) -> None:
    gateway, pacs = plant
    port, before = gateway.dicom_port, own(gateway)
    with HonestPeer(port) as honest:
        attacks.fuzz(port, count=150, seed=seed())
        attacks.huge_lengths(port, count=12, hold_s=1)
        attacks.associations(port, count=60)
        honest.meanwhile()
    after = settled(gateway, before)
    assert honest.answers.failed == 0
    assert after.resident < before.resident + GROWTH_MIB
    still_serves(gateway, pacs)


@pytest.mark.parametrize("limits", [PATIENT], ids=["patient"])
def test_an_honest_modality_is_answered_while_slow_and_silent_ones_hold_their_connections(
    plant: tuple[RunningGateway, Storescp],
) -> None:
    gateway, pacs = plant
    port, before = gateway.dicom_port, own(gateway)
    with HonestPeer(port) as honest:
        attacks.slow_loris(port, count=24, hold_s=4, meanwhile=honest.meanwhile)
        attacks.silent(port, count=24, hold_s=1, meanwhile=honest.meanwhile)
    settled(gateway, before)
    assert honest.answers.failed == 0
    still_serves(gateway, pacs)


def test_memory_stays_bounded_whatever_is_sent_without_an_end_or_without_waiting(
    plant: tuple[RunningGateway, Storescp],
) -> None:
    gateway, pacs = plant
    port, before = gateway.dicom_port, own(gateway)
    assert gateway.process is not None
    with HonestPeer(port) as honest:
        endings = attacks.endless_commands(port, count=6, bytes_each=50 << 20)
        endings += attacks.unwanted_data_sets(port, count=3, bytes_each=20 << 20)
        attacks.unanswered_requests(port, count=6, messages=6, data_set=LARGE_DATA_SET)
        honest.meanwhile()
    after = settled(gateway, before)
    assert set(endings) == {"closed by the gateway"}
    assert honest.answers.failed == 0
    assert peak(gateway.process.pid) < MEMORY_MIB
    assert after.resident < before.resident + GROWTH_MIB
    assert gateway.log.count('"event": "protocol broken"') == endings.total()
    still_serves(gateway, pacs)


@pytest.mark.campaign
@pytest.mark.timeout(3 * 3600)
def test_ten_thousand_associations_and_as_many_broken_conversations(
    plant: tuple[RunningGateway, Storescp],
) -> None:
    gateway, pacs = plant
    port, before = gateway.dicom_port, own(gateway)
    assert gateway.process is not None
    progress = Progress(
        CAMPAIGNS / "hostile-peers",
        talks=number("SEALGATE_HOSTILE_TALKS", 10_000),
        associations=number("SEALGATE_HOSTILE_ASSOCIATIONS", 10_000),
        seed=seed(),
    )
    hold_s = number("SEALGATE_HOSTILE_HOLD_S", 60)
    talks, plan = Counter(progress.values.get("endings", {})), progress.plan
    times, failed = list(progress.values.get("times", [])), progress.values.get("failed", 0)
    for first in range(progress.values.get("talks", 0), plan["talks"], BATCH):
        with HonestPeer(port) as honest:
            count = min(BATCH, plan["talks"] - first)
            talks += attacks.fuzz(port, count=count, first=first, seed=plan["seed"])
        times, failed = times + honest.answers.times, failed + honest.answers.failed
        progress.save(talks=first + count, endings=talks, times=times, failed=failed)
    fuzzed = settled(gateway, before)
    with HonestPeer(port) as honest:
        attacks.huge_lengths(port, count=200, hold_s=2)
        attacks.slow_loris(port, count=200, hold_s=hold_s)
        attacks.silent(port, count=200, hold_s=hold_s)
        answered = attacks.associations(port, count=plan["associations"])
        endings = attacks.endless_commands(port, count=60, bytes_each=500 << 20)
        endings += attacks.unwanted_data_sets(port, count=20, bytes_each=500 << 20)
        attacks.unanswered_requests(port, count=16, messages=120, data_set=LARGE_DATA_SET)
    answers = Answers(sorted(times + honest.answers.times), failed + honest.answers.failed)
    after = settled(gateway, before)
    still_serves(gateway, pacs)
    write_figures(
        "hostile-peers",
        seed=plan["seed"],
        conversations=plan["talks"],
        endings=dict(talks),
        associations=dict(answered),
        honest_echoes=len(answers.times),
        honest_failed=answers.failed,
        echo_ms={
            name: answers.share(part) for name, part in (("median", 0.5), ("99 %", 0.99), ("most", 1.0))
        },
        endless=dict(endings),
        peak_mib=round(peak(gateway.process.pid)),
        resident_mib=[round(one.resident) for one in (before, fuzzed, after)],
        threads=[one.threads for one in (before, fuzzed, after)],
        descriptors=[one.files for one in (before, fuzzed, after)],
    )
    assert answers.failed == 0
    assert answers.times[-1] < ANSWERED_WITHIN_MS
    assert set(endings) == {"closed by the gateway"}
    assert peak(gateway.process.pid) < MEMORY_MIB
    assert after.resident < before.resident + GROWTH_MIB
    progress.finish()
