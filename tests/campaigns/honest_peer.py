"""An honest modality that sends a C-ECHO every quarter of a second, in a process of its own.

`python -m tests.campaigns.honest_peer PORT` prints a line for each: milliseconds, or `failed`. It is no thread of the
attackers' process, so that their work does not count as waiting. It ends when its standard input does.
"""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.docs.tables import REPOSITORY
from tests.support.gateway import wait_for
from tests.support.pdus import echo

INTERVAL_S = 0.25
PATIENCE_S = 60.0


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
        self._lines: list[str] = []
        self.answers = Answers([], 0)

    def meanwhile(self) -> None:
        """Return when two echoes are through from now on: at least the second of them began after this call."""
        before = len(self._lines)
        wait_for(lambda: len(self._lines) >= before + 2, what="answers to the honest modality")

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.campaigns.honest_peer", str(self._port)]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._reader.join()
        self._process.stdout.close()
        self._process.wait()
        times = sorted(float(line) for line in self._lines if line != "failed")
        self.answers = Answers(times, self._lines.count("failed"))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.strip())


def main(port: int) -> None:
    ended = False
    while not ended:
        began = time.perf_counter()
        try:
            echo(port, timeout_s=PATIENCE_S)
        except OSError:
            print("failed", flush=True)
        else:
            print(f"{(time.perf_counter() - began) * 1000:.1f}", flush=True)
        pause_s = max(0.0, INTERVAL_S - (time.perf_counter() - began))
        ended = bool(select.select([sys.stdin], [], [], pause_s)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
