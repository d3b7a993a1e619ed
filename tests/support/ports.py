"""TCP ports for one test process, so that test processes side by side never draw the same port.

A port is drawn some time before its server binds it, and some ports stay without a server on purpose. Each test process
therefore has a share of the range for itself, held by a lock on a file, and goes round in it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateway.commands.demo import process

# Many more than one test process uses at once. `free_port` draws twenty at a time, so no multiple of two or five.
SHARE = 299


class OwnPorts(Sequence[int]):
    """Takes the place of `process.PORTS`: whatever index is asked for, the next port of this process comes."""

    def __init__(self, ports: Sequence[int]) -> None:
        """ports: the range that all test processes of this machine share."""
        shares = [ports[first : first + SHARE] for first in range(0, len(ports) - SHARE + 1, SHARE)]
        random.shuffle(shares)
        mine = next((share for share in shares if _lock(share[0])), shares[0])
        self._next = itertools.cycle(mine)

    def __len__(self) -> int:
        return SHARE

    def __getitem__(self, _index: object) -> int:  # type: ignore[override]
        return next(self._next)


def take_own_ports() -> None:
    """From now on `free_port` draws from ports that no other test process has."""
    process.PORTS = OwnPorts(process.PORTS)  # type: ignore[assignment]


def _lock(first: int) -> bool:
    """Whether the share that begins with this port is ours now, until this process ends."""
    folder = Path(tempfile.gettempdir()) / f"sealgate-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / str(first), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
