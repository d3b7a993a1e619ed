"""The memory of a process that holds private keys is never written to disk, nor read by other processes of its user."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

from gateway.errors import ResourceError

# linux/prctl.h
PR_SET_DUMPABLE = 4


def empty_dumps() -> None:
    """Keep the memory of this process, and of those it starts, out of core dumps: it holds images and tokens.

    Unlike after `forbid_dumps`, a debugger can still be attached.

    Raises ResourceError when the system refuses.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            # The limit does not hold for a dump that is piped to a program, see core(5). No mapping is in it then.
            Path("/proc/self/coredump_filter").write_text("0")
    except (OSError, ValueError) as error:
        raise ResourceError(
            "memory can't be kept out of core dumps", hint="Allow setrlimit and /proc to the service."
        ) from error


def forbid_dumps() -> None:
    """Forbid core dumps of this process.

    On Linux, other processes of the same user cannot attach a debugger either, nor read /proc/PID/mem and environ.

    Call it before the first private key is read. Children that run another program must call it themselves.

    Raises ResourceError when the system refuses.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            # The limit alone does not stop a dump that is piped to a program, see core(5).
            library = ctypes.CDLL(None, use_errno=True)
            if library.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except (OSError, ValueError) as error:
        raise ResourceError(
            "core dumps of a process with private keys can't be turned off",
            hint="Allow prctl and setrlimit to the service (seccomp, SystemCallFilter).",
        ) from error
