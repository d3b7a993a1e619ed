"""From the queue into the ledger: each entry once, whatever is killed and whatever fails."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import ResourceError, WorkerDied
from gateway.keys import Signer
from gateway.keys.roles import HeldSigningKey
from gateway.ledger.checkpoint import SignedCheckpoint, sign, verifier_key
from gateway.ledger.folder import LedgerFolder
from gateway.observe import Metrics, logger
from gateway.queue import Arrival, Prepared, Step
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.work.ledger_keeping import KEEP_S, TROUBLE_S, LedgerKeeper
from tests.support.killing import Counted, killed_at
from tests.support.ledgers import entry, mth

SIGNER = Signer(HeldSigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32)))))


def signed(text: bytes) -> tuple[bytes, str]:
    note = sign(text, SIGNER)
    return note, verifier_key(SignedCheckpoint.parse(note).checkpoint.origin, SIGNER.public)


class Kept:
    """A queue, a ledger beside it, and a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 1000.0
        folder.mkdir(exist_ok=True)
        self.queue, self.metrics = SqliteQueue(folder / "queue.sqlite"), Metrics()
        self.keeper = LedgerKeeper(
            folder,
            queue=self.queue,
            gateway_id="gateway",
            metrics=self.metrics,
            log=logger(),
            clock=lambda: self.now,
        )
        self.sealed = 0

    def seal(self, how_many: int) -> None:
        """So many objects are sealed: they are in the queue, ready to be delivered."""
        for number in range(self.sealed, self.sealed + how_many):
            self.queue.put(arrival(number))
            (job,) = self.queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
            outcome = Prepared(outgoing=None, level="full", reason="sealed", ledger_entry=entry(number))
            self.queue.prepared("w", job, outcome)
        self.sealed += how_many

    def held(self) -> list[bytes]:
        ledger = LedgerFolder(self.folder / "ledger")
        return list(ledger.entries(stop=ledger.open_bundle().end)) if ledger.exists else []

    def close(self) -> None:
        self.keeper.close()
        self.queue.close()


def arrival(number: int) -> Arrival:
    return Arrival(
        pseudonym=f"{number:016x}",
        digest=f"{number:064x}",
        route_key="SEALGATE/seal/pacs",
        called="SEALGATE",
        calling="M",
        action="seal",
        on_failure="quarantine",
        destinations=("pacs",),
        bytes=1,
        incoming="in",
    )


def expected(size: int) -> list[bytes]:
    return [entry(number) for number in range(size)]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "data")
    yield made
    made.close()


def test_what_was_sealed_is_written_and_signed_and_the_queue_forgets_it(kept: Kept) -> None:
    kept.seal(3)
    kept.keeper.keep(signed)
    assert (kept.held(), kept.queue.unlogged_count()) == (expected(3), 0)
    checkpoint = LedgerFolder(kept.folder / "ledger").checkpoint()
    assert checkpoint is not None and checkpoint.signed_by(SIGNER.public)
    assert checkpoint.checkpoint.root == mth(expected(3))
    assert "sealgate_ledger_entries 3.0" in kept.metrics.exposition().decode()


def test_more_than_a_batch_is_written_at_once(kept: Kept) -> None:
    kept.seal(300)
    kept.keeper.keep(signed)
    assert kept.held() == expected(300)


def test_it_is_not_done_more_often_than_it_must(kept: Kept) -> None:
    kept.keeper.keep(signed)
    kept.seal(1)
    kept.keeper.keep(signed)
    assert kept.held() == []
    kept.now += KEEP_S
    kept.keeper.keep(signed)
    assert kept.held() == expected(1)
    kept.seal(1)
    kept.keeper.keep(signed, at_once=True)
    assert kept.held() == expected(2)


def test_without_news_nothing_is_signed(kept: Kept) -> None:
    asked = []

    def counting(text: bytes) -> tuple[bytes, str]:
        asked.append(text)
        return signed(text)

    kept.seal(1)
    for _ in range(3):
        kept.keeper.keep(counting, at_once=True)
    assert len(asked) == 1


def test_where_nothing_is_sealed_there_is_no_ledger_and_nobody_is_asked_to_sign(kept: Kept) -> None:
    """A gateway that only verifies may have no signer's key."""
    asked: list[bytes] = []

    def unable(text: bytes) -> tuple[bytes, str]:
        asked.append(text)
        raise ResourceError("no key")

    kept.keeper.keep(unable)
    assert not (kept.folder / "ledger").exists()
    assert asked == []


@pytest.mark.parametrize("error", [WorkerDied("died"), ResourceError("no key")], ids=lambda error: error.code)
def test_entries_wait_for_nobody_who_can_not_sign_and_are_signed_later(
    kept: Kept, error: ResourceError
) -> None:
    def failing(_: bytes) -> tuple[bytes, str]:
        raise error

    kept.seal(2)
    kept.keeper.keep(failing)
    assert kept.held() == expected(2)
    assert f'code="{error.code}",step="ledger"' in kept.metrics.exposition().decode()
    kept.seal(1)
    kept.now += TROUBLE_S
    kept.keeper.keep(signed)
    checkpoint = LedgerFolder(kept.folder / "ledger").checkpoint()
    assert checkpoint is not None and checkpoint.checkpoint.root == mth(expected(3))


def test_a_worker_that_signs_something_else_gets_nowhere(kept: Kept) -> None:
    kept.seal(1)
    kept.keeper.keep(lambda text: signed(text.replace(b"\n1\n", b"\n2\n")))
    assert LedgerFolder(kept.folder / "ledger").checkpoint() is None
    assert 'code="ledger-broken"' in kept.metrics.exposition().decode()


def test_a_broken_ledger_keeps_nobody_from_sealing_and_what_is_sealed_waits(kept: Kept) -> None:
    kept.seal(2)
    kept.keeper.keep(signed)
    kept.keeper.close()
    (kept.folder / "ledger" / "open").unlink()
    kept.seal(2)
    kept.keeper.keep(signed, at_once=True)
    assert kept.queue.unlogged_count() == 2


def test_of_many_threads_one_writes_and_the_others_go_on(kept: Kept) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(text: bytes) -> tuple[bytes, str]:
        inside.set()
        assert go_on.wait(60)
        return signed(text)

    kept.seal(1)
    writing = threading.Thread(target=kept.keeper.keep, args=(slow,))
    writing.start()
    assert inside.wait(60)
    kept.keeper.keep(signed)  # it would never return if it waited
    go_on.set()
    writing.join(60)
    assert kept.held() == expected(1)


def test_killed_at_any_step_each_entry_is_in_the_ledger_once(tmp_path: Path) -> None:
    """kill -9 before each system call that writes, and before each transaction of the queue."""
    before = Kept(tmp_path / "before")
    before.seal(20)
    before.keeper.keep(signed)
    before.seal(250)
    before.close()
    for step in count():
        folder = tmp_path / str(step)
        shutil.copytree(before.folder, folder)

        def write_and_sign(counted: Counted, folder: Path = folder) -> None:
            kept = Kept(folder)
            kept.queue.logged = counted(kept.queue.logged)  # type: ignore[method-assign]
            kept.keeper.keep(signed, at_once=True)

        killed = killed_at(step, write_and_sign)
        kept = Kept(folder)
        kept.keeper.keep(signed)
        assert kept.held() == expected(270), f"step {step}"
        assert kept.queue.unlogged_count() == 0
        checkpoint = LedgerFolder(folder / "ledger").checkpoint()
        assert checkpoint is not None and checkpoint.checkpoint.root == mth(expected(270))
        kept.close()
        shutil.rmtree(folder)
        if not killed:
            break
    assert step > 20
    print(f"kill -9: {step} steps")
