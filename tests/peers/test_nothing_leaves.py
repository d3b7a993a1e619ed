"""Commands and gateway write where they are told to, and call nobody but the peers that are configured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway import keys
from gateway.commands.demo.dcmtk import storescu
from gateway.commands.demo.process import free_port
from tests.support import objects
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.watching import Watched, environment, outside

COMMANDS = {
    "seal": [
        "seal",
        "in",
        "out",
        "--recipient",
        "keys/recipient.pub",
        "--signer",
        "keys/signer.key",
        "--jobs",
        "2",
    ],
    "verify": ["verify", "in", "--signers", "keys/signer.pub", "--jobs", "2"],
    "version": ["--version"],
}
TELLING = """
import pathlib, socket
pathlib.Path.home().joinpath("told").write_text("everything")
pathlib.Path.home().joinpath("folder").mkdir()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.connect(("127.0.0.1", 9))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "keys")
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / str(number)).write_bytes(objects.ct(rows=64, columns=64, seed=number))
    return tmp_path


def watched(folder: Path, arguments: list[str]) -> Watched:
    watching = Watched(folder / "watched", working=folder)
    done = subprocess.run(
        [*watching.command(), sys.executable, *arguments],
        cwd=folder,
        env=environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return watching


def test_who_writes_and_calls_is_seen(folder: Path) -> None:
    watching = watched(folder, ["-c", TELLING])
    assert watching.changed() == {str(folder / "home" / "told"), str(folder / "home" / "folder")}
    assert watching.called() == {("127.0.0.1", 9)}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_writes_its_output_and_nothing_else_and_calls_nobody(folder: Path, name: str) -> None:
    """ONNX Runtime, as locked, writes a device id and events into the home folder, and sends them away."""
    watching = watched(folder, ["-m", "gateway.commands.main", *COMMANDS[name]])
    assert outside(watching.changed(), folder / "out") == set()
    assert watching.called() == set()
    assert list((folder / "home").iterdir()) == []
    assert (folder / "out").exists() == (name == "seal")


def test_the_gateway_writes_below_its_data_folder_alone_and_calls_its_destinations_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = Watched(folder / "watched", working=Path.cwd())
    for variable in set(os.environ) - {"PATH"}:
        monkeypatch.delenv(variable)
    for variable, value in environment(folder / "home").items():
        monkeypatch.setenv(variable, value)
    with Storescp(folder / "pacs") as pacs:
        gateway = RunningGateway(
            folder / "gateway",
            nodes=[DemoDestination(name="pacs", ae_title="VIEWER", port=pacs.port)],
            routes=[DemoRoute(called="SEALGATE", action="seal", to=("pacs",))],
            environment={"SEALGATE_GATEWAY__WORKERS": "1"},
            wrapper=watching.command(in_background=True),
            dicom_port=free_port(),
            http_port=free_port(),
        )
        with gateway:
            assert gateway.process is not None
            pid = gateway.process.pid
            storescu(gateway.dicom_port, sorted((folder / "in").iterdir()))
            wait_for(lambda: len(pacs.files()) == 3, what="all are delivered")
            large = objects.ct(rows=1024, columns=1024)
            files = [("file", (name, large)) for name in ("a", "b")]
            answer = httpx.post(f"{gateway.url}/api/v1/verify", files=files, timeout=240)
            assert [report["verdict"] for report in answer.json()] == ["unsealed"] * 2
        wait_for(lambda: watching.has_ended(pid), what="the end of the trace")
    data = folder / "gateway" / "data"
    changed = watching.changed()
    assert str(data / "queue.sqlite") in changed
    assert outside(changed, data) == set()
    assert watching.called() == {("127.0.0.1", pacs.port)}
    assert list((folder / "home").iterdir()) == []
