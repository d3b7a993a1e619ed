"""Owners and rights of a folder that one program must be able to use: what is wrong with them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path


def unusable(folder: Path) -> list[str]:
    """The paths that this process can't read and write, each with its owner. Empty when the folder is not there."""
    try:
        folder.stat()
    except PermissionError:
        return [f"{folder} can't be reached by this user"]
    except OSError:
        return []
    return [
        f"{path} ({_owner(path)}'s) can't be read and written" for path in _parts(folder) if not _usable(path)
    ]


def of_others(folder: Path) -> list[str]:
    """The paths that belong to somebody else than the folder does. Empty when the folder is not there."""
    parts = list(_parts(folder))
    return [
        f"{path} is {_owner(path)}'s, {folder} is {_owner(folder)}'s"
        for path in parts
        if path.lstat().st_uid != folder.stat().st_uid
    ]


def give(folder: Path, *, like: Path) -> None:
    """Give a folder and all that is in it to the owner of `like`, where we may: as root. Raises OSError."""
    if os.geteuid() != 0:
        return
    owner = like.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _parts(folder: Path) -> Iterator[Path]:
    """The folder, its folders and files, and the folders in these. What vanishes meanwhile is passed over."""
    try:
        folder.stat()
        yield folder
        for path in sorted(folder.iterdir()):
            if path.exists():
                yield path
            if path.is_dir():
                yield from (inner for inner in sorted(path.iterdir()) if inner.is_dir())
    except OSError:
        # It is not there, or can't be listed and was yielded before.
        return


def _usable(path: Path) -> bool:
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids)


def _owner(path: Path) -> str:
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
