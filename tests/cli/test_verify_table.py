"""`sealgate verify` of a folder at a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gateway import keys
from gateway.commands.common.batch import FileResult
from gateway.commands.common.exits import Exit
from gateway.commands.common.study_table import StudyTable
from gateway.commands.demo.study import with_one_pixel_changed
from tests.cli.terminal import sealgate
from tests.support import objects


def at_a_terminal(folder: Path, arguments: list[str], columns: int, **environment: str) -> tuple[str, int]:
    """Standard output as the terminal gets it, and the exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.commands.main", *arguments],
        cwd=folder,
        env=kept | {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
    )
    os.close(slave)
    output = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            # Linux says EIO when the last writer has gone.
            break
        if not piece:
            break
        output += piece
    os.close(master)
    return output.decode().replace("\r\n", "\n"), process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "keys")
    study = tmp_path / "study"
    study.mkdir()
    for number in (1, 2):
        (study / f"IM{number}").write_bytes(objects.ct(number=number, seed=3))
    done = sealgate(
        ["seal", "study", "sealed", "--recipient", "keys/recipient.pub", "--signer", "keys/signer.key"],
        tmp_path,
    )
    assert done.returncode == 0
    changed = tmp_path / "sealed" / "IM2"
    changed.write_bytes(with_one_pixel_changed(changed.read_bytes(), row=9, column=9))
    (tmp_path / "sealed" / "note.txt").write_text("not DICOM")
    return tmp_path


ARGUMENTS = ["verify", "sealed", "--signers", "keys/signer.pub"]


def test_a_study_is_a_table_with_the_worst_first(folder: Path) -> None:
    shown, code = at_a_terminal(folder, ARGUMENTS, 100, NO_COLOR="1")
    assert code == 3
    assert re.search(
        r"(?s)study \.\.\.\S{16}: 2 files\n +1 +tampered .*\n +1 +intact .*\n +sealed/IM2", shown
    ), shown
    assert "files of no study: 1 file" in shown
    assert "sealed/IM1" not in shown
    assert "\x1b[3" not in shown


def test_the_table_keeps_to_a_narrow_terminal_and_has_colours_there(folder: Path) -> None:
    shown, _ = at_a_terminal(folder, ARGUMENTS, 40)
    assert "\x1b[31mtampered" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= 40
    assert "IM2" in plain


def test_pipes_json_and_single_files_stay_as_they_were(folder: Path) -> None:
    piped = sealgate(ARGUMENTS, folder)
    assert [line.split()[0] for line in piped.stdout.splitlines()] == ["intact", "tampered", "unreadable"]
    shown, _ = at_a_terminal(folder, [*ARGUMENTS, "--json"], 100)
    assert [line[0] for line in shown.splitlines()] == ["{"] * 3
    shown, _ = at_a_terminal(folder, ["verify", "sealed/IM1", "--signers", "keys/signer.pub"], 100)
    assert shown == "intact         sealed/IM1\n"


def test_what_the_ledger_misses_stands_in_the_table_and_an_incomplete_study_before_good_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = StudyTable()
    for study in ("1.2.1", "1.2.2"):
        table.add(FileResult(line={}, word="intact", text=f"{study}/IM1", group=study))
    for study, word, detail in (("1.2.1", "complete", ""), ("1.2.2", "incomplete", "  (missing 2: aa, bb)")):
        line = {"study_instance_uid": study, "missing": [], "foreign": []}
        table.outcome(line, word, f"study {study}{detail}")
    table.show()
    shown = capsys.readouterr().out
    assert re.search(
        r"(?s)^study 1.2.2: 1 file\n.*incomplete +\(missing 2: aa, bb\).*study 1.2.1.*complete", shown
    )


def test_what_a_file_says_of_itself_can_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = StudyTable()
    table.add(
        FileResult(
            line={}, word="tampered", text="\x1b[2Jname [red]", group="1\x1b[2J", exit_code=Exit.FINDINGS
        )
    )
    table.show()
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]" in shown
