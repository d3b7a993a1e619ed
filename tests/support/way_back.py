"""A gateway with a way back, in front of an archive, and the viewers that ask it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.commands.demo.process import program
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway

# Orthanc answers queries of everybody only where it is told to. Without its cache it reads what lies in its folder.
OPEN = {
    "DicomAlwaysAllowFind": True,
    "DicomAlwaysAllowGet": True,
    "DicomAlwaysAllowMove": True,
    "MaximumStorageCacheSize": 0,
}
TITLE = "SEALVIEW"
VIEWER = "VIEWER"


@dataclass(frozen=True)
class Answered:
    """What a DCMTK user printed, and its exit code."""

    code: int
    text: str


def with_way_back(
    folder: Path,
    archive: DemoDestination,
    *,
    viewers: Sequence[DemoDestination] = (),
    services: Sequence[str] = ("echo", "find", "move", "get"),
    retrieve: str = "",
    extra: str = "",
    listener: str = "",
) -> RunningGateway:
    """A gateway (not started) that seals what MODALITY sends, and answers VIEWER under TITLE.

    retrieve: further lines of [retrieve].
    """
    named = ", ".join(f'"{service}"' for service in services)
    tables = f"""
[limits]
free_bytes_min = 0
[retrieve]
archive = "{archive.name}"
ae_title = "{TITLE}"
{retrieve}
[[node]]
name = "modality"
ae_title = "MODALITY"
hosts = ["127.0.0.1"]
[[node]]
name = "viewer"
ae_title = "{VIEWER}"
hosts = ["127.0.0.1"]
services = [{named}]
{extra}
"""
    return RunningGateway(
        folder,
        nodes=[archive, *viewers],
        routes=[DemoRoute(called="SEALGATE", action="seal", to=(archive.name,))],
        extra=tables,
        listener=listener,
    )


def dcmtk(tool: str, *arguments: str, cwd: Path | None = None) -> Answered:
    """Run a DCMTK user to its end."""
    done = subprocess.run(
        [str(program(tool, "dcmtk")), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240,
        check=False,
        cwd=cwd,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    return Answered(done.returncode, done.stdout + done.stderr)


def findscu(
    port: int, *keys: str, options: Sequence[str] = ("-S",), calling: str = VIEWER, called: str = TITLE
) -> Answered:
    """options: -S Study Root, -P Patient Root."""
    flags = [flag for key in keys for flag in ("-k", key)]
    return dcmtk("findscu", "-v", "-aet", calling, "-aec", called, *options, *flags, "127.0.0.1", str(port))


def getscu(
    port: int, into: Path, *keys: str, options: Sequence[str] = ("-S",), calling: str = VIEWER
) -> Answered:
    """Objects go to `into`, as they came (`+B`)."""
    into.mkdir(parents=True, exist_ok=True)
    flags = [flag for key in keys for flag in ("-k", key)]
    into_options = ("-od", str(into), "+B")
    return dcmtk(
        "getscu",
        "-d",
        "-aet",
        calling,
        "-aec",
        TITLE,
        *options,
        *into_options,
        *flags,
        "127.0.0.1",
        str(port),
    )


def movescu(
    port: int, to: str, *keys: str, options: Sequence[str] = ("-S",), calling: str = VIEWER
) -> Answered:
    flags = [flag for key in keys for flag in ("-k", key)]
    return dcmtk(
        "movescu", "-d", "-aet", calling, "-aec", TITLE, "-aem", to, *options, *flags, "127.0.0.1", str(port)
    )
