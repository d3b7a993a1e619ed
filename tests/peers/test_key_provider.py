"""Private keys held by another process: the gateway seals and opens without ever reading them."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from gateway import keys
from gateway.config import Config
from gateway.errors import KeyFileError, ResourceError
from gateway.spool import LocalSpool
from gateway.work.executor import Executor
from gateway.work.keyring import KeyRing
from gateway.work.tasks import Failure, Outcome, SealTask, VerifyTask
from gateway.work.worker import guarded
from tests.docs.tables import REPOSITORY
from tests.support.gateway import wait_for
from tests.support.key_holder import ask
from tests.support.objects import ct

PROVIDER = "tests.support.key_holder:provider"


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """The socket of a running key holder. No private key is on the disk; tmp_path/public has the public ones."""
    secret, public = tmp_path / "secret", tmp_path / "public"
    keys.generate(secret)
    public.mkdir()
    for name in ("recipient.pub", "signer.pub"):
        shutil.copyfile(secret / name, public / name)
    with tempfile.TemporaryDirectory() as short:  # the path of a Unix socket has at most 107 bytes
        path = Path(short) / "socket"
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.support.key_holder", str(secret), str(path)], cwd=REPOSITORY
        )
        try:
            wait_for(lambda: answers(path), what="the key holder listens")
            shutil.rmtree(secret)
            yield path
        finally:
            holder.kill()
            holder.wait()


def answers(socket: Path) -> bool:
    """Whether a key holder listens there; its socket has a name a moment before that."""
    try:
        ask(socket, "signer", "public")
    except ResourceError:
        return False
    return True


def configured(folder: Path, socket: Path, action: str, provider: str = PROVIDER) -> Config:
    return Config.model_validate(
        {
            "gateway": {"data_dir": folder / "data"},
            "keys": {
                "recipient": folder / "public" / "recipient.pub",
                "signers": folder / "public" / "signer.pub",
                "signer": socket,
                "recipient_key": socket,
                "provider": provider,
            },
            "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}],
            "route": [{"called": "SEALGATE", "action": action, "to": ["pacs"]}],
        }
    )


def pixels(data: bytes) -> bytes:
    return bytes(dcmread(io.BytesIO(data)).PixelData)


def test_objects_are_sealed_and_restored_with_keys_that_only_another_process_has(
    tmp_path: Path, socket: Path
) -> None:
    original = ct()
    executor = Executor(configured(tmp_path, socket, "seal"))
    spool = LocalSpool(tmp_path / "data")
    sealed = executor.do(SealTask(object_name=spool.put(original)))
    assert isinstance(sealed, Outcome)
    assert sealed.level == "full"
    assert sealed.outgoing
    restored = executor.do(VerifyTask(object_name=sealed.outgoing, restores=True, marks_failing=False))
    assert isinstance(restored, Outcome)
    assert restored.verdict == "intact"
    assert restored.outgoing
    assert pixels(spool.read(restored.outgoing)) == pixels(original)
    assert [path.name for path in tmp_path.rglob("*.key")] == ["pseudonym.key"]  # that of names in logs


def test_a_key_holder_that_is_gone_is_a_failure_to_try_again(tmp_path: Path) -> None:
    keys.generate(tmp_path / "public")
    executor = Executor(configured(tmp_path, tmp_path / "nobody", "seal"))
    name = LocalSpool(tmp_path / "data").put(ct())
    failure = guarded(executor.do, SealTask(object_name=name))
    assert isinstance(failure, Failure)
    assert failure.retry
    assert failure.code == ResourceError.code


@pytest.mark.parametrize(
    "provider", ["no.such.module:provider", "tests.support.key_holder:nothing", "json:JSONDecoder"]
)
def test_the_error_names_a_provider_that_can_not_be_used(tmp_path: Path, provider: str) -> None:
    with pytest.raises(KeyFileError, match=provider):
        KeyRing.load(configured(tmp_path, tmp_path, "pass", provider).keys)
