"""How the C library keeps memory that Python has freed."""

from __future__ import annotations

import ctypes
import sys

# mallopt(3) of glibc
M_ARENA_MAX = -8
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads share a few heaps (glibc): threads come and go, and each heap keeps the memory that they leave.

    Nothing happens with other C libraries.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give freed pages back to the system (malloc_trim(3) of glibc). Nothing happens with other C libraries."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
