"""Runs the scripts of tests/cli/scripts: what a person types, and what must come back.

    # a comment: what this shows
    $ sealgate verify sealed.dcm --signers keys/signer.pub
    exit 0                      (the default is exit 0)
    stdout: intact              (this text is in stdout; `stdout!` says it is not; the same for stderr)
    json: verdict == "intact"   (true of every JSON line of stdout, its keys being names)

`$ change-pixel IN OUT ROW COLUMN`, `$ change-element IN OUT KEYWORD=VALUE`, `$ strip IN OUT`, `$ cp IN OUT`,
`$ same-pixels A B`, `$ same-bytes A B`, `$ exists PATH` and `$ missing PATH` are done by this module.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.filereader import dcmread

from gateway.commands.demo.study import with_one_pixel_changed
from tests.support.dcmtk import remove_private_elements, set_element

COMMAND_TIMEOUT_S = 480


@dataclass
class Command:
    """One `$` line with what is expected of it."""

    words: list[str]
    exit_code: int = 0
    expectations: list[tuple[str, str]] = field(default_factory=list)


def parse(script: str) -> list[Command]:
    commands: list[Command] = []
    for number, line in enumerate(script.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("$ "):
            commands.append(Command(shlex.split(text[2:])))
            continue
        assert commands, f"line {number}: an expectation before the first command"
        word, _, rest = text.partition(" ")
        if word == "exit":
            commands[-1].exit_code = int(rest)
        else:
            assert word in {"stdout:", "stdout!", "stderr:", "stderr!", "json:"}, f"line {number}: {word}?"
            commands[-1].expectations.append((word, rest.strip()))
    return commands


def play(script: str, folder: Path) -> None:
    """Run every command in `folder`; AssertionError at the first that does not behave."""
    for command in parse(script):
        name, *arguments = command.words
        if name != "sealgate":
            HELPERS[name](*(folder / word if "=" not in word else word for word in arguments))
            continue
        done = sealgate(arguments, folder)
        said = f"$ {shlex.join(command.words)}\n{done.stdout}{done.stderr}exit {done.returncode}"
        assert done.returncode == command.exit_code, said
        assert "Traceback" not in done.stderr, said
        for kind, expected in command.expectations:
            _expect(kind, expected, done, said)


def sealgate(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `sealgate` as its own process in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.commands.main", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def _expect(kind: str, expected: str, done: subprocess.CompletedProcess[str], said: str) -> None:
    if kind == "json:":
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, f"no JSON lines\n{said}"
        for line in lines:
            assert eval(expected, {}, line), f"json: {expected}\n{line}\n{said}"
        return
    text = done.stdout if kind.startswith("stdout") else done.stderr
    assert (expected in text) == kind.endswith(":"), f"{kind} {expected}\n{said}"


def _change_pixel(source: Path, target: Path, row: Path, column: Path) -> None:
    data = source.read_bytes()
    target.write_bytes(with_one_pixel_changed(data, row=int(row.name), column=int(column.name)))


def _change_element(source: Path, target: Path, assignment: str) -> None:
    set_element(source, target, assignment)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _same_pixels(a: Path, b: Path) -> None:
    assert dcmread(a).PixelData == dcmread(b).PixelData, f"{a.name} and {b.name} differ in pixel data"


def _missing(path: Path) -> None:
    assert not path.exists(), f"{path.name} is there"


def _same_bytes(a: Path, b: Path) -> None:
    assert a.read_bytes() == b.read_bytes(), f"{a.name} and {b.name} differ"


def _exists(path: Path) -> None:
    assert path.exists(), f"{path.name} is missing"


HELPERS: dict[str, Callable[..., None]] = {
    "change-pixel": _change_pixel,
    "change-element": _change_element,
    "strip": remove_private_elements,
    "cp": _copy,
    "same-pixels": _same_pixels,
    "same-bytes": _same_bytes,
    "exists": _exists,
    "missing": _missing,
}
