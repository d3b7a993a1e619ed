"""An honest modality that sends a C-ECHO every quarter of a second, in a process of its own.

`python -m tests.campaigns.honest_peer PORT` prints a line for each: milliseconds, or `failed`. It is no thread of the
attackers' process, so that their work does not count as waiting.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.docs.tables import REPOSITORY
from tests.support.pdus import echo

INTERVAL_S = 0.25
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answers:
    """times: milliseconds of those that were answered, sorted."""

    times: list[float]
    failed: int

    def share(self, part: float) -> float:
        """The time within which this part of the answers came."""
        return self.times[min(len(self.times) - 1, int(part * len(self.times)))]


class HonestPeer:
    """Use as a context manager; `answers` after it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers = Answers([], 0)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.campaigns.honest_peer", str(self._port)]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        lines = self._process.communicate()[0].split()
        times = sorted(float(line) for line in lines if line != "failed")
        self.answers = Answers(times, lines.count("failed"))


def main(port: int) -> None:
    while True:
        began = time.perf_counter()
        try:
            echo(port, timeout_s=PATIENCE_S)
        except OSError:
            print("failed", flush=True)
        else:
            print(f"{(time.perf_counter() - began) * 1000:.1f}", flush=True)
        time.sleep(max(0.0, INTERVAL_S - (time.perf_counter() - began)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
