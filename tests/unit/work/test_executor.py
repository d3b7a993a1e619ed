"""What a worker does with a task, without its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import keys
from gateway.config import Config
from gateway.dicom import part10
from gateway.seal import examination
from gateway.seal.codec import Codec, Revealed
from gateway.work.executor import Executor
from gateway.work.tasks import Outcome, SealTask, VerifyTask
from tests.support import objects


@pytest.fixture
def executor(tmp_path: Path) -> Executor:
    keys.generate(tmp_path / "keys")
    return Executor(
        Config.model_validate(
            {
                "gateway": {"data_dir": tmp_path / "data"},
                "keys": {
                    "recipient": tmp_path / "keys" / "recipient.pub",
                    "signer": tmp_path / "keys" / "signer.key",
                    "signers": tmp_path / "keys" / "signer.pub",
                    "recipient_key": tmp_path / "keys" / "recipient.key",
                },
                "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}],
                "route": [{"called": "SEALGATE", "action": "restore", "to": ["pacs"]}],
            }
        )
    )


def test_a_restore_route_parses_and_reveals_an_object_once(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, original = executor.spool, objects.ct(rows=128, columns=128)
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
