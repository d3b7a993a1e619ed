"""Objects of HTTP callers on their way to a worker process: nobody else can read them, and none stays."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import SpoolFull
from gateway.seal.findings import Verdict
from gateway.work import handover
from gateway.work.on_demand import OnDemand
from gateway.work.process import WorkerProcess
from tests.peers.test_workers import configured
from tests.support import objects

MARK = b"SYN-00000"


def test_what_is_handed_over_is_encrypted_private_and_gone_afterwards(tmp_path: Path) -> None:
    data = MARK * 300_000
    with handover.handed_over(tmp_path, data) as file:
        answer = file.beside("answer")
        answer.write(data[::-1])
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(written) == 2
        for path in written:
            assert MARK not in path.read_bytes() and MARK[::-1] not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert (file.read(), answer.read()) == (data, data[::-1])
        assert file.key.cipher(b"") and "key" not in repr(file)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_gateway_left_behind_is_removed(tmp_path: Path) -> None:
    handover.clear(tmp_path)
    with handover.handed_over(tmp_path, b"x"):
        handover.clear(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / handover.FOLDER).write_text("in the way")
    with pytest.raises(SpoolFull), handover.handed_over(tmp_path, b"x"):
        pass


def test_a_worker_verifies_what_it_is_handed_over_and_no_file_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at while the worker has it: the files of data_dir and of the folder for temporary files."""
    seen: dict[Path, bytes] = {}
    run = WorkerProcess.run

    def looked_at(process: WorkerProcess, task: Any, **options: Any) -> Any:
        seen.update((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file())
        return run(process, task, **options)

    monkeypatch.setattr(WorkerProcess, "run", looked_at)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    data = objects.ct(rows=64, columns=64)
    assert MARK in data
    on_demand = OnDemand(configured(tmp_path))
    try:
        assert on_demand.verify(data).verdict is Verdict.UNSEALED
        assert [path.name for path in seen if handover.FOLDER in path.parts] == ["object"]
        assert [path for path, content in seen.items() if MARK in content] == []
    finally:
        on_demand.stop()
    assert multiprocessing.active_children() == []
