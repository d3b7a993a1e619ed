"""Read key files, and refuse those that others can read or replace."""

from __future__ import annotations

import stat
from pathlib import Path

from gateway.errors import KeyFileError


def read(path: Path) -> bytes:
    """The content of a key file.

    Raises KeyFileError when it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"can't read the key file {path}: {error.strerror}", hint="Check the path and its permissions."
        ) from error


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner can read.

    Raises KeyFileError when others can read or replace the file.
    """
    content = read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(
            f"the private key {path} is open to group or others", hint=f"Run: chmod 600 {path}"
        )
    parent = path.absolute().parent
    mode = parent.stat().st_mode
    # In a sticky folder only the owner can replace the file.
    if mode & 0o002 and not mode & stat.S_ISVTX:
        raise KeyFileError(
            f"everybody may replace files in {parent}, which holds a private key",
            hint=f"Run: chmod o-w {parent}",
        )
    return content


def read_passphrases(path: Path) -> list[bytes]:
    """The lines of a file of mode 0600.

    Raises KeyFileError, which never quotes them, when the file is open to others, or empty.
    """
    content = read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(
            f"the passphrase file {path} is open to group or others", hint=f"Run: chmod 600 {path}"
        )
    lines = [line for line in content.splitlines() if line]
    if not lines:
        raise KeyFileError(f"the passphrase file {path} is empty", hint="Write the passphrase into one line.")
    return lines


def check_folder(path: Path, *, forbidden: int) -> None:
    """Raises KeyFileError when the folder has one of the forbidden permission bits."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & forbidden:
        who = "everybody" if mode & 0o002 else "the group"
        raise KeyFileError(
            f"{who} may add keys to {path}", hint=f"Run: chmod {mode & ~forbidden & 0o777:o} {path}"
        )


def check_closed_for_writing(path: Path) -> None:
    """Raises KeyFileError when everybody may change a public key, or the validity beside it."""
    for part in (path, path.with_suffix(".toml")):
        if part.exists() and part.stat().st_mode & 0o002:
            raise KeyFileError(f"everybody may change {part}", hint=f"Run: chmod o-w {part}")
