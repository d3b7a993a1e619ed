"""Exit codes: people script against them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # the program failed
    USAGE = 2  # wrong usage or configuration
    FINDINGS = 3  # the work was done and at least one instance is not as it should be
    INTERRUPTED = 130  # Ctrl-C, as shells report it
