"""What a process uses of the machine, from /proc (proc(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vitals:
    """What a process uses now.

    resident: memory, MiB.
    files: number of open descriptors.
    """

    resident: float
    threads: int
    files: int


def vitals(pid: int) -> Vitals:
    """Raises FileNotFoundError when the process is gone."""
    status = Path(f"/proc/{pid}/status").read_text()

    def number(key: str) -> int:
        found = re.search(rf"^{key}:\s+(\d+)", status, re.MULTILINE)
        return int(found[1]) if found else 0

    return Vitals(number("VmRSS") / 1024, number("Threads"), len(list(Path(f"/proc/{pid}/fd").iterdir())))


def peak(pid: int) -> float:
    """The most memory that was resident since the process started, MiB, mapped files included."""
    found = re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def family(pid: int) -> list[int]:
    """The process and its descendants, whichever thread started them."""
    lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *(member for children in lists for child in children for member in family(int(child)))]
