"""Where private keys are: in files, or with a provider of one's own (PKCS #11, a key management service).

`keys.provider = "module:factory"` names a function without parameters that gives a KeyProvider. It runs with the
rights of the gateway, in each sealing process; module and configuration must be closed to others as the keys are.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from gateway.errors import KeyFileError
from gateway.keys.files import KeyFiles, Passphrases
from gateway.keys.roles import (
    OpeningKey,
    RecipientKey,
    Signer,
    SigningKey,
)
from gateway.runtime.core_dumps import forbid_dumps

HINT = 'Write "package.module:function"; the function gives an object with signing_key and opening_keys.'


@runtime_checkable
class KeyProvider(Protocol):
    """reference: the path that the configuration gives as `keys.signer` or `keys.recipient_key`.

    What is there is the provider's own affair: a TOML file with a PKCS #11 URI, a socket. Both raise KeyFileError
    for a key that is not to be had, ResourceError for a holder that can't be reached now.
    """

    def signing_key(self, reference: Path) -> SigningKey: ...

    def opening_keys(self, reference: Path) -> Sequence[OpeningKey]: ...


def key_provider(name: str | None = None, *, passphrase_file: Path | None = None) -> KeyProvider:
    """The provider of this name, or key files. Raises KeyFileError."""
    if name is None:
        return KeyFiles(Passphrases(passphrase_file))
    forbid_dumps()  # it may hold a PIN or a token
    module, _, factory = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise KeyFileError(f"the key provider {name} can't be loaded: {error}", hint=HINT) from error
    if not isinstance(made, KeyProvider):
        raise KeyFileError(f"the key provider {name} lacks signing_key or opening_keys", hint=HINT)
    return made


def load_signer(path: Path, provider: KeyProvider | None = None) -> Signer:
    """The private key statements are signed with. Raises KeyFileError."""
    return Signer((provider or key_provider()).signing_key(path))


def load_recipient_key(path: Path, provider: KeyProvider | None = None) -> RecipientKey:
    """The private keys that open records: of a file, or of a folder of them. Raises KeyFileError."""
    return RecipientKey(tuple((provider or key_provider()).opening_keys(path)))
