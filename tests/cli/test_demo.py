"""`sealgate demo` on a machine without a real study: proves all it claims, cleans up, and works again."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.terminal import sealgate


@pytest.mark.timeout(280)
def test_the_demo_proves_its_claims_stops_what_it_started_and_runs_again(tmp_path: Path) -> None:
    for _ in range(2):
        done = sealgate(["demo"], tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Proven on this machine" in done.stdout and "NOT" not in done.stdout
        for verdict in ("intact", "tampered", "misidentified", "transcoded", "stripped"):
            assert verdict in done.stdout
        for url in set(re.findall(r"http://127\.0\.0\.1:\d+", done.stdout)):
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(url, timeout=5)


def test_the_demo_does_not_empty_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = sealgate(["demo", "--work", "mine"], tmp_path)
    assert done.returncode == 2
    assert "not a demo's" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
