"""Interrupts, closed pipes, dying processes, defects and hostile names: clean ends and no tracebacks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import keys
from gateway.commands.common import batch, files
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import (
    InputFile,
    OutputRefused,
    inputs,
    inputs_and_outputs,
    opened_input,
    write_output,
)
from gateway.commands.common.printing import Printer, printable
from gateway.errors import ResourceError, UnreadableObject, UsageError
from tests.support import objects

PIPE_BYTES = 4096


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.commands.main", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Shells start background jobs, and so perhaps this run, with SIGINT ignored; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "keys")
    (tmp_path / "study").mkdir()
    for number in range(40):
        (tmp_path / "study" / f"IM{number:04d}").write_bytes(objects.ct(rows=64, columns=64, seed=number))
    return tmp_path


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_cleanly_and_leaves_no_half_file(study: Path, jobs: str) -> None:
    options = ["--recipient", "keys/recipient.pub", "--signer", "keys/signer.key", "--jobs", jobs]
    running = start(["seal", "study", "out", *options, "--json"], study)
    assert running.stdout is not None
    # Smaller than what it is going to print: it can't end before it is read, so it is caught at work.
    fcntl.fcntl(running.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    assert os.read(running.stdout.fileno(), 1)
    os.killpg(running.pid, signal.SIGINT)  # as the terminal does: to every process of the group
    _, errors = running.communicate(timeout=240)
    assert running.returncode == Exit.INTERRUPTED, errors
    assert "Traceback" not in errors
    written = list((study / "out").iterdir())
    assert written and not [path for path in written if path.suffix == ".part"]


def test_a_reader_that_leaves_ends_the_command_quietly(study: Path) -> None:
    running = start(["verify", "study", "--json"], study)
    assert running.stdout is not None and running.stderr is not None
    assert json.loads(running.stdout.readline())["verdict"] == "unsealed"
    running.stdout.close()
    with running.stderr:
        errors = running.stderr.read()
    assert running.wait(timeout=240) == Exit.FAILED
    assert errors == ""


@dataclass(frozen=True)
class Misbehaving:
    """What a file's name says: it may kill its process, or hit a defect of ours."""

    def __call__(self, item: InputFile) -> batch.FileResult:
        if item.source.name == "killer":
            os.kill(os.getpid(), signal.SIGKILL)
        if item.source.name == "defect":
            raise ZeroDivisionError
        if item.source.name == "bad":
            raise UnreadableObject("not DICOM")
        return batch.FileResult(
            line={"path": str(item.source), "ok": True}, word="good", text=str(item.source)
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {"path": str(item.source), "ok": False, "code": code, "detail": message}


def _run(names: list[str], jobs: int, capsys: pytest.CaptureFixture[str]) -> tuple[Exit, list[str], str]:
    items = [InputFile(Path(name)) for name in names]
    worst = batch.run(Misbehaving(), items, jobs=jobs, printer=Printer(as_json=True))
    out, errors = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["path"] for line in lines] == names
    return worst, [line.get("code", "") for line in lines], errors


def test_an_object_that_kills_its_process_is_named_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"a{number}" for number in range(3)] + ["killer"] + [f"b{number}" for number in range(12)]
    worst, codes, errors = _run(names, 2, capsys)
    assert worst is Exit.FINDINGS
    assert codes == ["", "", "", "crashed", *[""] * 12]
    assert "killer: killed the process" in errors


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_defect_on_one_object_is_told_and_the_others_go_on(
    jobs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    worst, codes, errors = _run(["a", "defect", "bad", "b"], jobs, capsys)
    assert worst is Exit.FAILED
    assert codes == ["", "internal-error", "unreadable", ""]
    assert "ZeroDivisionError" in errors and "Traceback" not in errors


def test_results_keep_the_order_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    worst, codes, _ = _run([f"f{number:03d}" for number in range(50)], 2, capsys)
    assert worst is Exit.OK and not any(codes)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("evil\x1b[2Jname\x07 Müller\n") == "evil\\x1b[2Jname\\x07 Müller\\n"


def test_json_lines_are_ascii_and_lossless(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(as_json=True).outcome({"name": "Müller^Élise 山田"}, "found", "")
    out = capsys.readouterr().out
    assert out.isascii() and json.loads(out) == {"name": "Müller^Élise 山田"}


def test_a_folder_is_read_recursively_and_sorted_and_outputs_keep_relative_paths(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a", "c/d/e"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = inputs_and_outputs(tmp_path / "in", tmp_path / "out")
    relative = [item.source.relative_to(tmp_path / "in").as_posix() for item in found]
    assert relative == ["a", "b/10", "b/2", "c/d/e"]
    assert [item.target for item in found] == [tmp_path / "out" / name for name in relative]


def test_a_link_to_nowhere_is_one_bad_file_among_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class Reading(Misbehaving):
        def __call__(self, item: InputFile) -> batch.FileResult:
            with opened_input(item, 1 << 30) as data:
                assert data[:]
            return super().__call__(item)

    (tmp_path / "good").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    worst = batch.run(Reading(), inputs(tmp_path), jobs=1, printer=Printer(as_json=True))
    assert worst is Exit.FINDINGS
    assert "link: it is a link; links in folders are not followed" in capsys.readouterr().err


def test_an_output_folder_inside_the_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="inside the input"):
        inputs_and_outputs(tmp_path, tmp_path / "out")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").write_bytes(b"old")
    with pytest.raises(OutputRefused, match="is a folder"):
        write_output(InputFile(tmp_path / "source", tmp_path / "target"), b"new")
    (tmp_path / "small").write_bytes(b"old")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(files, "pieces", lambda _data: broken())
    with pytest.raises(ResourceError, match="no space left"):
        write_output(InputFile(tmp_path / "source", tmp_path / "small"), b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "source", "target"]
    assert (tmp_path / "target" / "kept").read_bytes() == (tmp_path / "small").read_bytes() == b"old"
