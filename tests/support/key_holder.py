"""Private keys in a process of their own, as a PKCS #11 device or a key service would hold them.

`python -m tests.support.key_holder FOLDER SOCKET` answers on a Unix socket. `provider` is the other end: it is what
`keys.provider = "tests.support.key_holder:provider"` names, and takes the socket's path for the key's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from gateway import keys
from gateway.errors import ResourceError

AUTHENTICATION = b"only for tests"


def ask(socket: Path, *question: object) -> bytes:
    try:
        with Client(str(socket), "AF_UNIX", authkey=AUTHENTICATION) as connection:
            connection.send(question)
            answer = connection.recv()
    except OSError as error:
        raise ResourceError(f"the key holder can't be reached: {error.strerror}", hint="Start it.") from error
    if isinstance(answer, ValueError):
        raise answer
    assert isinstance(answer, bytes)
    return answer


@dataclass(frozen=True)
class RemoteKey:
    """Knows the socket and the role, nothing else."""

    socket: Path
    role: str

    @property
    def public(self) -> PublicKeyTypes:
        return load_pem_public_key(ask(self.socket, self.role, "public"))

    def sign(self, message: bytes) -> bytes:
        return ask(self.socket, self.role, "sign", message)

    def open(self, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes:
        return ask(self.socket, self.role, "open", encapsulated, ciphertext, info)


class Provider:
    def signing_key(self, reference: Path) -> RemoteKey:
        return RemoteKey(reference, "signer")

    def opening_keys(self, reference: Path) -> tuple[RemoteKey, ...]:
        return (RemoteKey(reference, "recipient"),)


def provider() -> Provider:
    return Provider()


def main(folder: Path, socket: Path) -> None:
    signer = keys.KeyFiles().signing_key(folder / "signer.key")
    (recipient,) = keys.KeyFiles().opening_keys(folder / "recipient.key")
    held: dict[str, keys.SigningKey | keys.OpeningKey] = {"signer": signer, "recipient": recipient}
    with Listener(str(socket), "AF_UNIX", authkey=AUTHENTICATION) as listener:
        while True:
            with listener.accept() as connection:
                role, what, *arguments = connection.recv()
                connection.send(_answer(held[role], what, arguments))


def _answer(key: keys.SigningKey | keys.OpeningKey, what: str, arguments: list[bytes]) -> bytes | ValueError:
    if what == "public":
        return key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        act: Callable[..., bytes] = getattr(key, what)
        return act(*arguments)
    except ValueError as error:
        return error


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
