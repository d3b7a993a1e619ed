"""Programs that the demo starts, watches, and stops by their process ids."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import ResourceError

# The DCMTK of Debian uses Nagle's algorithm unless this is set. That costs 40 ms for each message.
PEER_ENVIRONMENT = {"TCP_NODELAY": "1"}

# Programs are taken from here only: pynetdicom installs scripts with names such as storescu into virtual environments.
SYSTEM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")

# Below the ports of outgoing connections on Linux (from 32768) and on other systems (from 49152).
PORTS = range(20_000, 32_000)
PORT_ATTEMPTS = 20

INSTALL_HINT = "Install it: sh deploy/install-peers.sh (Debian, Ubuntu: apt-get install {package})."


def program(name: str, package: str) -> Path:
    """The full path of a system program.

    package: that has the program, for the hint.
    Raises ResourceError when it is not installed.
    """
    path = shutil.which(name, path=os.pathsep.join(SYSTEM_FOLDERS))
    if path is None:
        raise ResourceError(f"{name} is not installed", hint=INSTALL_HINT.format(package=package))
    return Path(path)


def free_port(preferred: int | None = None) -> int:
    """A TCP port of 127.0.0.1 on which nobody listens: the preferred one if it is free, otherwise any.

    It is none that the system gives to outgoing connections, because such a connection could get it a moment later.

    Raises ResourceError when no free port was found.
    """
    drawn = [random.choice(PORTS) for _ in range(PORT_ATTEMPTS)]
    for candidate in drawn if preferred is None else [preferred, *drawn]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    raise ResourceError("no free TCP port on 127.0.0.1")


class Process:
    """A program in the background, with its output in a file. It ends with the `with` block."""

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self._environment = {**os.environ, **PEER_ENVIRONMENT, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ResourceError(f"{self.command[0]} was not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start in a process group of its own, so that `kill` reaches its children too."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float = 60.0) -> None:
        """Return when `ready()` is true.

        what: names the program in messages.
        Raises ResourceError, with the end of the log, when the program ends, and when it takes too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if ready():
                return
            if not self.running:
                raise ResourceError(
                    f"{what} ended while starting: {self.last_lines()}", hint=f"See {self.log}."
                )
            time.sleep(0.05)
        raise ResourceError(f"{what} was not ready after {timeout_s:.0f} s", hint=f"See {self.log}.")

    def last_lines(self, count: int = 12) -> str:
        """The end of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self, timeout_s: float = 30.0) -> int | None:
        """Send SIGTERM, and SIGKILL to the group if that does not end it in time.

        Returns the exit code; None when the program was not started.
        """
        if self._child is None:
            return None
        if self.running:
            self._child.terminate()
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """Send SIGKILL to the whole process group: to the program it is like a power cut.

        Returns the exit code; None when the program was not started.
        """
        if self._child is None:
            return None
        if self.running:
            os.killpg(self._child.pid, signal.SIGKILL)
        return self._child.wait(10)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
