"""`sealgate demo` on a machine without a real study: proves all it claims, cleans up, and works again."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.terminal import sealgate
from tests.support.alone import alone


def test_the_demo_proves_its_claims_stops_what_it_started_and_runs_again(tmp_path: Path) -> None:
    for _ in range(2):
        with alone("demo"):  # each prefers the same ports
            done = sealgate(["demo"], tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Proven on this machine" in done.stdout and not re.search(r"\bNOT\b", done.stdout)
        for verdict in ("intact", "tampered", "misidentified", "transcoded", "stripped"):
            assert verdict in done.stdout
        assert processes_that_name(tmp_path) == []


def processes_that_name(folder: Path) -> list[str]:
    """Command lines of the processes that were started with a file or folder in `folder`, or that work there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line or (process / "cwd").readlink().is_relative_to(folder):
                found.append(line)
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
    return found


def test_the_demo_does_not_empty_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = sealgate(["demo", "--work", "mine"], tmp_path)
    assert done.returncode == 2
    assert "not a demo's" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
