"""Where private keys are: in files, or with a provider that the user wrote (PKCS #11, a key management service).

`keys.provider = "module:factory"` names a function without parameters that returns a KeyProvider. It runs with the
rights of the gateway, in each sealing process. Module and configuration must be closed to others, as key files are.
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
    """Gives private keys.

    reference is the path that the configuration names as `keys.signer` or `keys.recipient_key`. The provider decides
    what is there, for example a TOML file with a PKCS #11 URI, or a socket.

    Both methods raise KeyFileError when there is no such key, and ResourceError when the holder of the key can't be
    reached now.
    """

    def signing_key(self, reference: Path) -> SigningKey: ...

    def opening_keys(self, reference: Path) -> Sequence[OpeningKey]: ...


def key_provider(name: str | None = None, *, passphrase_file: Path | None = None) -> KeyProvider:
    """The provider of private keys.

    name: "module:factory"; None: key files.
    passphrase_file: opens encrypted key files.
    Raises KeyFileError when the provider can't be loaded, or lacks a method.
    """
    if name is None:
        return KeyFiles(Passphrases(passphrase_file))
    # The provider may hold a PIN or a token.
    forbid_dumps()
    module, _, factory = name.partition(":")
    try:
        provider = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise KeyFileError(f"the key provider {name} can't be loaded: {error}", hint=HINT) from error
    if not isinstance(provider, KeyProvider):
        raise KeyFileError(f"the key provider {name} lacks signing_key or opening_keys", hint=HINT)
    return provider


def load_signer(path: Path, provider: KeyProvider | None = None) -> Signer:
    """The private key with which statements are signed.

    provider: None means key files.
    Raises KeyFileError or ResourceError as the provider does.
    """
    return Signer((provider or key_provider()).signing_key(path))


def load_recipient_key(path: Path, provider: KeyProvider | None = None) -> RecipientKey:
    """The private keys that open records.

    path: a file, or a folder of them.
    provider: None means key files.
    Raises KeyFileError or ResourceError as the provider does.
    """
    return RecipientKey(tuple((provider or key_provider()).opening_keys(path)))
