"""What a process uses of the machine, from /proc (proc(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vitals:
    """resident: MiB of memory. files: open descriptors."""

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
