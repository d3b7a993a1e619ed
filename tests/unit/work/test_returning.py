"""What a worker hands out of an object that a viewer asked for, by verdict and policy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config.retrieve import DEFAULT_POLICY
from gateway.dicom.part10 import read
from gateway.dicom.tags import SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.errors import ResourceError
from gateway.spool import LocalSpool
from gateway.spool.cipher import KEY_BYTES, SpoolKey
from gateway.work.executor import Executor
from gateway.work.handover import SecretFile
from gateway.work.return_pool import ReturnPool
from gateway.work.tasks import ConvertFileTask, Outcome, Returned, ReturnTask, SealTask
from tests.peers.test_workers import configured
from tests.support import objects

IMAGE_COMMENTS = 0x00204000
POLICY: dict[str, str] = dict(DEFAULT_POLICY.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("returning")


@pytest.fixture(scope="module")
def executor(folder: Path) -> Executor:
    return Executor(configured(folder))


@pytest.fixture(scope="module")
def original() -> bytes:
    return objects.ct(rows=128, columns=128, seed=8)


@pytest.fixture(scope="module")
def sealed(folder: Path, executor: Executor, original: bytes) -> bytes:
    spool = LocalSpool(configured(folder).gateway.data_dir)
    outcome = executor.do(SealTask(object_name=spool.put(original)))
    assert isinstance(outcome, Outcome) and outcome.outgoing is not None
    return spool.read(outcome.outgoing)


def task_for(
    folder: Path, data: bytes, *, asked: bytes | None = None, policy: Mapping[str, str] = POLICY
) -> ReturnTask:
    """asked: the object that the viewer asked for; None: this one."""
    file = SecretFile(folder / os.urandom(8).hex(), SpoolKey(os.urandom(KEY_BYTES)))
    file.write(data)
    header = read(asked or data)
    return ReturnTask(
        file=file,
        target=file.beside(file.path.name + "-target"),
        sop_instance=header.text(SOP_INSTANCE_UID),
        study_instance=header.text(STUDY_INSTANCE_UID),
        policy=policy,
    )


def returned(executor: Executor, task: ReturnTask) -> Returned:
    result = executor.do(task)
    assert isinstance(result, Returned)
    return result


def test_what_is_intact_comes_back_as_it_was_received(
    folder: Path, executor: Executor, sealed: bytes, original: bytes
) -> None:
    task = task_for(folder, sealed)
    result = returned(executor, task)
    assert (result.verdict, result.treatment, result.restored) == ("intact", "deliver", True)
    assert task.target.read() == original


def test_what_was_tampered_with_leaves_nothing_to_hand_out(
    folder: Path, executor: Executor, sealed: bytes
) -> None:
    changed = bytearray(sealed)
    changed[-3000] ^= 0x40
    task = task_for(folder, bytes(changed))
    result = returned(executor, task)
    assert (result.verdict, result.treatment, result.written) == ("tampered", "withhold", False)
    assert result.tiles == 1
    assert not task.target.path.exists()


def test_a_policy_may_mark_it_or_deliver_it_as_it_lies_there(
    folder: Path, executor: Executor, sealed: bytes
) -> None:
    changed = bytearray(sealed)
    changed[-3000] ^= 0x40
    task = task_for(folder, bytes(changed), policy={"tampered": "mark"})
    assert returned(executor, task).treatment == "mark"
    comment = read(task.target.read()).text(IMAGE_COMMENTS)
    assert comment.startswith("SEALGATE: verification failed: tampered")
    result = returned(executor, task_for(folder, bytes(changed), policy={"tampered": "deliver"}))
    assert (result.treatment, result.written, result.restored) == ("deliver", False, False)


def test_a_whole_object_that_nobody_asked_for_is_another_one(
    folder: Path, executor: Executor, sealed: bytes
) -> None:
    task = task_for(folder, sealed, asked=objects.ct(rows=16, columns=16, seed=9))
    result = returned(executor, task)
    assert (result.verdict, result.treatment, result.reason) == (
        "misidentified",
        "withhold",
        "another-object",
    )
    assert not task.target.path.exists()


def test_an_object_of_the_right_name_in_another_study_is_another_one(
    folder: Path, executor: Executor, sealed: bytes
) -> None:
    task = task_for(folder, sealed)
    elsewhere = ReturnTask(
        file=task.file,
        target=task.target,
        sop_instance=task.sop_instance,
        study_instance="1.2.3",
        policy=task.policy,
    )
    assert returned(executor, elsewhere).reason == "another-object"


def test_a_verdict_that_the_policy_does_not_know_is_withheld(
    folder: Path, executor: Executor, sealed: bytes
) -> None:
    assert returned(executor, task_for(folder, sealed, policy={})).treatment == "withhold"


def test_what_can_not_be_read_is_withheld(folder: Path, executor: Executor, sealed: bytes) -> None:
    result = returned(executor, task_for(folder, b"no DICOM" * 40, asked=sealed))
    assert (result.verdict, result.treatment) == ("unreadable", "withhold")


def test_a_pool_does_the_tasks_and_ends_at_once(folder: Path, sealed: bytes, original: bytes) -> None:
    pool = ReturnPool(configured(folder, gateway={"data_dir": folder / "data", "workers": 1}))
    pool.start()
    task = task_for(folder, sealed)
    assert pool.submit(task).result(timeout=120).restored
    assert task.target.read() == original
    conversion = ConvertFileTask(
        file=task.target, target=task.target.beside("implicit"), syntax="1.2.840.10008.1.2"
    )
    pool.submit(conversion).result(timeout=120)
    assert read(conversion.target.read()).transfer_syntax == "1.2.840.10008.1.2"
    pool.stop()
    with pytest.raises(ResourceError):
        pool.submit(task)
