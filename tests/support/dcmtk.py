"""Real DCMTK and GDCM peers: senders, a receiver, and the transcodes and edits a PACS may do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.commands.demo.dcmtk import echoscu, run, storescu
from gateway.commands.demo.process import Process, free_port, program

__all__ = [
    "Storescp",
    "echoscu",
    "remove_private_elements",
    "run",
    "set_element",
    "storescu",
    "tool",
    "transcode",
]

# What a PACS might do to store an object smaller, without loss: name -> (program, package, options).
LOSSLESS_TRANSCODES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "jpeg-ls": ("dcmcjpls", "dcmtk", ()),
    "jpeg-2000": ("gdcmconv", "libgdcm-tools", ("--j2k",)),
    "jpeg-lossless": ("gdcmconv", "libgdcm-tools", ("--jpeg",)),
    "rle": ("dcmcrle", "dcmtk", ()),
}


class Storescp:
    """DCMTK's storescp writing what it receives, byte for byte, into `folder`."""

    def __init__(
        self, folder: Path, *, ae_title: str = "VIEWER", options: Sequence[str] = ("+xa", "+B")
    ) -> None:
        """options: default `+xa` accepts all transfer syntaxes, `+B` writes the data set exactly as read."""
        self.folder = folder
        self.received = folder / "received"
        self.ae_title = ae_title
        self.port = free_port()
        self._options = list(options)
        self._process: Process | None = None

    def start(self) -> Storescp:
        self.received.mkdir(parents=True, exist_ok=True)
        arguments = ["-aet", self.ae_title, "-od", str(self.received), *self._options, str(self.port)]
        command = [str(program("storescp", "dcmtk")), *arguments]
        self._process = Process(command, log=self.folder / "storescp.log")
        self._process.start()
        self._process.wait_until(lambda: echoscu(self.port, called=self.ae_title), what="storescp")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def files(self) -> list[Path]:
        """All that are written to their end, sorted."""
        there = sorted(path for path in self.received.iterdir() if path.is_file())
        being_written = set(self._open_files())
        return [path for path in there if str(path.resolve()) not in being_written]

    def _open_files(self) -> Iterator[str]:
        """Names of the files that storescp holds open; it closes an object's file before it answers."""
        if self._process is None or not self._process.running:
            return
        for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
            try:
                yield str(descriptor.readlink())
            except FileNotFoundError:  # closed meanwhile
                continue

    def __enter__(self) -> Storescp:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def transcode(source: Path, target: Path, kind: str) -> None:
    """Re-encode `source` losslessly as `kind` (a key of LOSSLESS_TRANSCODES), as a PACS would."""
    name, package, options = LOSSLESS_TRANSCODES[kind]
    _must([str(program(name, package)), *options, str(source), str(target)])


def set_element(source: Path, target: Path, element: str) -> None:
    """Copy with one element changed; `element` as dcmodify takes it, for example `PatientID=X`."""
    shutil.copyfile(source, target)
    _must([str(program("dcmodify", "dcmtk")), "-nb", "-imt", "-ma", element, str(target)])


def remove_private_elements(source: Path, target: Path) -> None:
    """Copy without any private element, as de-identifying software and some archives do."""
    shutil.copyfile(source, target)
    _must([str(program("dcmodify", "dcmtk")), "-nb", "-imt", "-ep", str(target)])


def tool(name: str, *arguments: str | Path) -> None:
    """Run a tool of DCMTK or GDCM. Raises AssertionError, with what it said, when it fails."""
    package = "libgdcm-tools" if name.startswith("gdcm") else "dcmtk"
    _must([str(program(name, package)), *map(str, arguments)])


def _must(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=240, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{Path(command[0]).name} exited {done.returncode}: {done.stdout}{done.stderr}")
