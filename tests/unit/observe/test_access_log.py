"""The audit log: whole lines, for its owner only, or an error."""

from __future__ import annotations

import json
import resource
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AuditFailed
from gateway.observe.access_log import (
    COUNTED_S,
    KINDS_MAX,
    VARIOUS,
    AccessLog,
    AccessRecord,
    Denials,
)
from tests.support.web import audit_lines


def access(caller: str = "reader", **changed: str | None) -> AccessRecord:
    given: dict[str, Any] = {
        "address": "127.0.0.1",
        "role": "extract",
        "action": "extract",
        "outcome": "allowed",
        "reason": "found",
    }
    return AccessRecord(caller=caller, **given | changed)


def test_a_line_tells_who_when_what_and_of_which_instance(tmp_path: Path) -> None:
    AccessLog(tmp_path).write(access(instance="00ff"))
    (line,) = audit_lines(tmp_path)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))).total_seconds()) < 3600
    assert line == {
        "caller": "reader", "address": "127.0.0.1", "role": "extract", "action": "extract", "outcome": "allowed",
        "reason": "found", "instance": "00ff", "record_instance": None,
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_names_can_not_forge_lines(tmp_path: Path) -> None:
    AccessLog(tmp_path).write(access('eve"}\n{"caller": "admin"}\u2028'))
    assert [line["caller"] for line in audit_lines(tmp_path)] == ['eve"}\n{"caller": "admin"}\u2028']
    assert (tmp_path / "audit.log").read_bytes().count(b"\n") == 1


def test_lines_of_many_threads_stay_whole_and_a_file_moved_away_is_made_anew(tmp_path: Path) -> None:
    log = AccessLog(tmp_path)
    log.write(access("before"))
    (tmp_path / "audit.log").rename(tmp_path / "audit.log.1")

    def write_ten(number: int) -> None:
        for i in range(10):
            log.write(access(f"{number}-{i}"))

    threads = [threading.Thread(target=write_ten, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({line["caller"] for line in audit_lines(tmp_path)}) == 80
    assert (tmp_path / "audit.log.1").read_text().count("\n") == 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditFailed):
        AccessLog(tmp_path).write(access())
    assert not (tmp_path / "elsewhere").exists()


WRITER = """
import signal, sys
from pathlib import Path
from gateway.errors import AuditFailed
from tests.unit.observe.test_access_log import AccessLog, access
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = AccessLog(Path(sys.argv[1]))
try:
    for number in range(1000):
        log.write(access(str(number)))
except AuditFailed:
    print(number)
"""


def test_a_full_disk_leaves_whole_lines_and_says_so(tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts a write short, as a full disk would."""
    limit = 5000

    def confined() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        preexec_fn=confined, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    written = int(done.stdout)
    content = (tmp_path / "audit.log").read_text()
    assert limit - 400 < len(content) <= limit
    assert [json.loads(line)["caller"] for line in content.splitlines()] == [str(n) for n in range(written)]


def test_each_line_is_on_the_disk_before_write_returns(tmp_path: Path) -> None:
    """strace shows the order: the line, then fsync of the file, then fsync of the folder of a new file."""
    code = (
        "from pathlib import Path; from tests.unit.observe.test_access_log import AccessLog, access; "
        f"AccessLog(Path({str(tmp_path)!r})).write(access()); print('answered', flush=True)"
    )
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "200",
        "-e",
        "trace=write,fsync",
        "-o",
        str(trace),
        sys.executable,
        "-c",
        code,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    calls = [line for line in trace.read_text().splitlines() if str(tmp_path) in line or "answered" in line]
    kinds = [line.split("(")[0].split()[-1] for line in calls]
    assert kinds == ["write", "fsync", "fsync", "write"]
    assert "audit.log" in calls[0]
    assert "audit.log" in calls[1]


@dataclass
class Timer:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_denials_of_one_kind_are_a_line_at_once_and_one_with_their_number() -> None:
    clock, lines = Timer(), list[AccessRecord]()
    denials = Denials(lines.append, clock)
    wrong, other = access("a", outcome="denied"), access("b", outcome="denied")
    for _ in range(200):
        denials.note(wrong)
    assert lines == [wrong]
    denials.note(other)
    denials.flush(everything=False)
    assert lines == [wrong, other], "their minute is not over"
    clock.now = COUNTED_S
    denials.flush(everything=False)
    assert lines == [wrong, other, replace(wrong, times=199)]
    denials.note(wrong)
    denials.note(wrong)
    denials.flush(everything=True)
    assert lines[3:] == [wrong, replace(wrong, times=1)]


def test_denials_of_many_kinds_fill_neither_memory_nor_disk_and_none_is_lost() -> None:
    clock, lines = Timer(), list[AccessRecord]()
    denials = Denials(lines.append, clock)
    for number in range(10 * KINDS_MAX):
        denials.note(access("x", address=str(number), outcome="denied"))
    assert len(lines) == KINDS_MAX + 1
    assert (lines[-1].address, lines[-1].caller) == (VARIOUS, None)
    denials.flush(everything=True)
    assert sum(line.times or 1 for line in lines) == 10 * KINDS_MAX
    assert len(lines) == KINDS_MAX + 2


def test_denials_that_can_not_be_written_down_stay_counted(tmp_path: Path) -> None:
    log, wrong = AccessLog(tmp_path), access("a", outcome="denied")
    log.deny(wrong)
    log.deny(wrong)
    (tmp_path / "audit.log").rename(tmp_path / "aside")
    (tmp_path / "audit.log").mkdir()
    with pytest.raises(AuditFailed):
        log.flush(everything=True)
    with pytest.raises(AuditFailed):
        log.deny(access("b", outcome="denied"))
    (tmp_path / "audit.log").rmdir()
    log.flush(everything=True)
    assert [(line["caller"], line["times"]) for line in audit_lines(tmp_path)] == [("a", 1)]
