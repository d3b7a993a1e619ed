"""One thing that archives do to an object, and the tools that do it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.commands.demo.process import PEER_ENVIRONMENT, program

PACKAGE_OF_PROGRAM = {"gdcmconv": "libgdcm-tools", "gdcmanon": "libgdcm-tools"}
TIMEOUT_S = 120


class Declined(Exception):
    """The tool does not do this to this object, which is no finding about the seal."""


@dataclass(frozen=True)
class Operation:
    """group, name: for people. tool: that does it. change: the object afterwards; raises Declined."""

    group: str
    name: str
    tool: str
    change: Callable[[bytes], bytes]


class Workbench:
    """A folder in which one tool after the other works on a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def run(self, data: bytes, *steps: list[str]) -> bytes:
        """The file behind some commands, each of which gets source and target as its last arguments.

        Raises Declined when one fails or writes nothing.
        """
        for step in steps:
            data = self._step(data, step)
        return data

    def in_place(self, data: bytes, command: list[str]) -> bytes:
        """The file after a command that edits it where it is. Raises Declined."""
        path = self.folder / "place.dcm"
        path.write_bytes(data)
        self._called([*command, str(path)])
        return path.read_bytes()

    def _step(self, data: bytes, command: list[str]) -> bytes:
        source, target = self.folder / "source.dcm", self.folder / "target.dcm"
        source.write_bytes(data)
        target.unlink(missing_ok=True)
        self._called([*command, str(source), str(target)])
        if not target.exists() or not target.stat().st_size:
            raise Declined(f"{command[0]} wrote nothing")
        return target.read_bytes()

    @staticmethod
    def _called(command: list[str]) -> None:
        path = program(command[0], PACKAGE_OF_PROGRAM.get(command[0], "dcmtk"))
        ended = subprocess.run(
            [str(path), *command[1:]],
            env={**os.environ, **PEER_ENVIRONMENT},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
        if ended.returncode:
            said = (ended.stderr + ended.stdout).strip().splitlines()
            raise Declined(f"{command[0]}: {said[-1][:160] if said else ended.returncode}")
