"""Test runs side by side on one machine: one waits for another where both need the same thing."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(what: str) -> Iterator[None]:
    """No other test process of this user is inside a block of the same name at the same time."""
    with (Path(tempfile.gettempdir()) / f"sealgate-tests-{os.getuid()}-{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
