"""What the C library does with memory that Python has freed."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8  # mallopt(3) of glibc
ARENAS = 2


def limit_arenas() -> None:
    """Few heaps for many threads (glibc): association threads come and go, and each heap keeps what they leave in it.

    Nothing where the C library knows no heaps.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Freed pages go back to the system (glibc's malloc_trim(3)). Nothing with other C libraries."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
