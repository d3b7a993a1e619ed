"""Users: the names and passwords of user identity negotiation (PS3.7 D.3.3.7).

The file of users has mode 0600 and one line for each user, `name:hash`; the hashes are Argon2id (RFC 9106).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.errors import KeyFileError, UsageError

# RFC 9106 4, the second recommended choice.
ITERATIONS, LANES, MEMORY_KIB = 3, 4, 64 << 10
SALT_BYTES, HASH_BYTES = 16, 32


@dataclass(frozen=True)
class UserIdentity:
    """What a requestor states of itself (PS3.7 D.3.3.7.1).

    kind: 1 name, 2 name and password, 3 to 5 tickets.
    """

    kind: int
    name: bytes = b""
    password: bytes = field(default=b"", repr=False)


def hashed(password: bytes) -> str:
    """The salted hash of a password, in the PHC string format: `$argon2id$v=19$...`."""
    function = Argon2id(
        salt=os.urandom(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return str(function.derive_phc_encoded(password))


def line(name: str, password: bytes) -> str:
    """The line of one user in the file.

    Raises UsageError when the name or the password can't be used.
    """
    if not name or ":" in name or name != name.strip() or not name.isprintable() or name.startswith("#"):
        raise UsageError(
            "a user name has no colon, no # in front and no spaces around it", hint="Choose another name."
        )
    if not password:
        raise UsageError("the password is empty", hint="Give one.")
    return f"{name}:{hashed(password)}"


def read(path: Path) -> dict[bytes, str]:
    """Read the file: name -> hash.

    Raises KeyFileError when the file can't be read, has a wrong line, or is open to group or others.
    """
    try:
        content = path.read_text(encoding="utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise KeyFileError(f"can't read the users of {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path} is not UTF-8 text") from error
    if mode & 0o077:
        raise KeyFileError(
            f"the users' file {path} is open to group or others", hint=f"Run: chmod 600 {path}"
        )
    users: dict[bytes, str] = {}
    for number, text in enumerate(content.splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        name, _, hash_text = text.strip().partition(":")
        if not hash_text.startswith("$argon2id$"):
            raise KeyFileError(
                f"{path}: line {number} is no user", hint="Make lines with `sealgate password NAME`."
            )
        users[name.encode()] = hash_text
    return users


def is_right(users: dict[bytes, str], identity: UserIdentity) -> bool:
    """Whether the name is known and the password belongs to it.

    The check of an unknown name takes as long as that of a wrong password.
    """
    stored = users.get(identity.name)
    if stored is None:
        hashed(identity.password)
        return False
    try:
        Argon2id.verify_phc_encoded(identity.password, stored)
    except (InvalidKey, ValueError):
        return False
    return True
