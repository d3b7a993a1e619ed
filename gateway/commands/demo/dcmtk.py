"""The command-line tools of DCMTK in the role of the modality: they send files and echo a node."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.commands.demo.process import PEER_ENVIRONMENT, program
from gateway.errors import PeerError

SEND_TIMEOUT_S = 900.0


def run(name: str, arguments: Sequence[str], *, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK tool to its end. The caller checks the exit code.

    Raises ResourceError when the tool is not installed.
    """
    command = [str(program(name, "dcmtk")), *arguments]
    environment = {**os.environ, **PEER_ENVIRONMENT}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def storescu(
    port: int,
    files: Iterable[Path],
    *,
    called: str = "SEALGATE",
    calling: str = "MODALITY",
    host: str = "127.0.0.1",
    options: Sequence[str] = (),
) -> str:
    """Send uncompressed files, and folders with all their files, on one association. Returns the output of storescu.

    called, calling: AE titles.
    options: further options of storescu, for example `-xs` to propose JPEG lossless, or `+IR 100`.
    Raises PeerError when the association or an object was refused.
    """
    arguments = ["-v", "-R", "+sd", "+r", "-aet", calling, "-aec", called, *options]
    finished = run("storescu", [*arguments, host, str(port), *map(str, files)], timeout_s=SEND_TIMEOUT_S)
    output = finished.stdout + finished.stderr
    if finished.returncode != 0:
        raise PeerError(f"storescu to {called} failed with exit code {finished.returncode}: {output[-600:]}")
    return output


def echoscu(
    port: int, *, called: str = "SEALGATE", calling: str = "MODALITY", host: str = "127.0.0.1"
) -> bool:
    """Whether `called` accepts an association and answers a C-ECHO."""
    return run("echoscu", ["-aet", calling, "-aec", called, host, str(port)]).returncode == 0
