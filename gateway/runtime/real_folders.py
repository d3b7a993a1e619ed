"""Files below a folder, reached without following a link: whoever can make links there decides nothing.

Each part of a path is opened from the one before it (openat(2)), so that none can be exchanged in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Only a way to what lies in it, which takes no right to read it. Linux alone has it.
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
# What open(2) says of a link in the place of a folder or a file.
LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


@contextmanager
def folder_below(
    root: Path, parts: Sequence[str], *, mode_of_new: Callable[[int], int] | None = None
) -> Iterator[int]:
    """A descriptor of the folder root/parts, for `dir_fd`.

    root: may be reached over links; it is what a person named.
    parts: names of folders, one below the other. None of them may be a link.
    mode_of_new: the permissions of a part that is missing and made, from its number; None: none is made.

    Raises OSError; ELOOP or ENOTDIR where a part is a link.
    """
    descriptor = os.open(root, _FOLDER)
    try:
        for number, part in enumerate(parts):
            if mode_of_new is not None:
                with suppress(FileExistsError):
                    os.mkdir(part, mode_of_new(number), dir_fd=descriptor)
            below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        yield descriptor
    finally:
        os.close(descriptor)


def open_to_read(path: Path, *, below: Path | None) -> int:
    """A descriptor of a file. A FIFO does not make it wait, and what is no regular file is opened as well: look.

    below: the folder below which no link is followed; None: all are.
    Raises OSError.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if below is None:
        return os.open(path, flags)
    *folders, name = path.relative_to(below).parts
    with folder_below(below, folders) as folder:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)


def kind_of(mode: int) -> str:
    """What st_mode says in words; "a file" for a regular one."""
    for test, word in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return word
    return "no file"
