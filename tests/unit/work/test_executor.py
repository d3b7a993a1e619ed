"""What a worker does with a task, without its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.dicom import part10
from gateway.seal import examination
from gateway.seal.codec import Codec, Revealed
from gateway.spool import LocalSpool
from gateway.work.executor import Executor
from gateway.work.tasks import Outcome, SealTask, VerifyTask
from tests.peers.test_workers import configured
from tests.support import objects


def test_a_restore_route_parses_and_reveals_an_object_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)
    executor, spool = Executor(config), LocalSpool(config.gateway.data_dir)
    original = objects.ct(rows=128, columns=128)
    sealed = executor.do(SealTask(object_name=spool.put(original)))
    assert isinstance(sealed, Outcome) and sealed.outgoing is not None
    calls = []
    reveal = Codec.reveal

    def counted_reveal(codec: Codec, *arguments: object, **options: object) -> Revealed | None:
        calls.append("reveal")
        return reveal(codec, *arguments, **options)  # type: ignore[arg-type]

    def counted_read(data: bytes) -> object:
        calls.append("read")
        return part10.read(data)

    monkeypatch.setattr(Codec, "reveal", counted_reveal)
    monkeypatch.setattr(examination, "read", counted_read)
    task = VerifyTask(object_name=sealed.outgoing, restores=True, marks_failing=False)
    restored = executor.do(task)
    assert isinstance(restored, Outcome) and restored.outgoing is not None
    assert spool.read(restored.outgoing) == original
    assert sorted(calls) == ["read", "reveal"]
