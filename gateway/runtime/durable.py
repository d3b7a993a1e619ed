"""The one way to write files that must survive a power cut.

A file survives when its bytes are synced and when the folder that holds its name is synced as well.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

WRITE_BYTES_MAX = 1 << 30  # Linux takes less than 2 GiB in one call, write(2)
_TEMPORARY_NAME = ".sealgate-{}.part"
# A disk that a person chose may not support the sync of a folder, or the folder may not be readable.
FOLDER_NOT_SYNCED = {errno.EINVAL, errno.EACCES, errno.ENOTSUP}


def replace(target: Path, parts: Iterable[bytes], *, mode: int) -> None:
    """Write `parts` to `target`. Others see the old file or the complete new one, never a half one.

    mode: permissions of the new file, less what the umask takes away.

    Raises OSError; then `target` is as it was.
    """
    temporary = _temporary(target)
    try:
        _write_new(temporary, parts, mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_name(target)


def replace_in(folder: int, name: str, parts: Iterable[bytes], *, mode: int) -> None:
    """What `replace` does, for a name in an open folder: it stays there whatever becomes of the folder's own name.

    folder: a descriptor.
    Raises OSError; then `name` is as it was.
    """
    temporary = _temporary(Path(name)).name
    try:
        _write_new(temporary, parts, mode, folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    try:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in FOLDER_NOT_SYNCED:
            raise


def create(target: Path, parts: Iterable[bytes], *, mode: int) -> None:
    """Write `parts` to a new file. Others may see it while it is written.

    mode: permissions of the new file, less what the umask takes away.

    Raises FileExistsError when `target` exists; nothing is changed.
    Raises OSError; then there is no new file.
    """
    _write_new(target, parts, mode)
    _sync_name(target)


def create_at_once(target: Path, parts: Iterable[bytes], *, mode: int) -> bool:
    """Write `parts` to a new file. Others see nothing or the complete file, and the first of two writers wins.

    The file system must know hard links.

    mode: permissions of the new file, less what the umask takes away.

    Returns False when `target` exists; nothing is changed.
    Raises OSError; then there is no new file.
    """
    temporary = _temporary(target)
    try:
        _write_new(temporary, parts, mode)
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_name(target)
    return True


def rename(source: Path, target: Path) -> None:
    """Give a file or folder, whose content is synced, its final name.

    Raises OSError, also when the folder of `target` cannot be synced.
    """
    source.rename(target)
    sync_folder(target.parent)


def link(source: Path, target: Path) -> bool:
    """Give a file, whose content is synced, a second name (a hard link).

    Returns False when `target` exists; nothing is changed.
    Raises OSError, also when the folder of `target` cannot be synced.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    sync_folder(target.parent)
    return True


def remove_unfinished(folder: Path) -> None:
    """At start, when nobody else writes there: remove what a killed process left of the functions above.

    Raises OSError.
    """
    for path in folder.glob(_TEMPORARY_NAME.format("*")):
        path.unlink(missing_ok=True)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: one call of the system may take less.

    Raises OSError.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:WRITE_BYTES_MAX]) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut.

    Raises OSError.
    """
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_tree(folder: Path) -> None:
    """Make `folder` and all that is below it survive a power cut.

    Raises OSError.
    """
    for path in (folder, *folder.rglob("*")):
        _sync(path, os.O_RDONLY)


def _temporary(target: Path) -> Path:
    return target.with_name(_TEMPORARY_NAME.format(secrets.token_hex(8)))


def _write_new(path: Path | str, parts: Iterable[bytes], mode: int, folder: int | None = None) -> None:
    """folder: a descriptor of the folder that `path` is relative to.

    Raises OSError; whatever is raised, an unfinished file is removed.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        try:
            for part in parts:
                write_all(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(path, dir_fd=folder)
        raise


def _sync_name(path: Path) -> None:
    """The file is complete and in its place: where folders cannot be synced, this is not an error."""
    try:
        sync_folder(path.parent)
    except OSError as error:
        if error.errno not in FOLDER_NOT_SYNCED:
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
