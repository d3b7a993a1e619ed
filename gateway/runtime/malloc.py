"""How the C library keeps memory that Python has freed."""

from __future__ import annotations

import ctypes
import sys

# mallopt(3) of glibc
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
ARENAS = 2
MAPPED_BYTES_MIN = 512 << 10


def keep_little() -> None:
    """Let freed memory go back to the system (glibc). Nothing happens with other C libraries.

    All threads share a few heaps: threads come and go, and each heap keeps the memory that they leave. Large pieces,
    such as data sets while they arrive, are mapped each for itself: glibc would put them into the heaps once one was
    freed.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_ARENA_MAX, ARENAS)
        library.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN)


def trim() -> None:
    """Give freed pages back to the system (malloc_trim(3) of glibc). Nothing happens with other C libraries."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
