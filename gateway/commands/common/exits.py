"""Exit codes, which the scripts of users rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `sealgate`."""

    OK = 0
    # The program failed.
    FAILED = 1
    # Wrong usage or configuration.
    USAGE = 2
    # The work was done, and at least one instance is not as it should be.
    FINDINGS = 3
    # Ctrl-C, as shells report it.
    INTERRUPTED = 130
