"""Callers that an identity provider vouches for: JSON Web Tokens, checked against the provider's public keys.

RFC 7519 (tokens), RFC 7517 (keys), RFC 8725 (what to beware of), OpenID Connect Core 1.0 3.1.3.7 (claims).
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

import jwt

from gateway.config.http import OidcSettings, Role
from gateway.web.errors import IdentityUnavailable, Unauthenticated

FETCH_TIMEOUT_S = 5.0
FETCH_BYTES_MAX = 1 << 20
PAUSE_S = 10.0  # between attempts to read keys, after a failure or for a key id that nobody knows
LEEWAY_S = 30.0  # that clocks may differ
CLAIMS = ["exp", "iat", "iss", "aud", "sub"]
NAME_CHARACTERS_MAX = 200


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from the address that was configured, nowhere else."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


class KeySet:
    """The provider's keys, read when needed and again when they are `keys_max_age_s` old. For several threads."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._failed_at: float | None = None

    def key(self, key_id: str | None) -> jwt.PyJWK:
        """Raises Unauthenticated for a key id that the provider does not have, IdentityUnavailable."""
        with self._lock:
            now = self._clock()
            fresh = self._read_at is not None and now - self._read_at < self._settings.keys_max_age_s
            if not fresh:
                self._read(now)
            elif key_id not in self._keys and now - (self._read_at or 0.0) >= PAUSE_S:
                self._read(now)  # the provider may have changed its keys
            if key_id is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if key_id is None or key_id not in self._keys:
                raise Unauthenticated(
                    "the token is signed with a key that the identity provider does not have"
                )
            return self._keys[key_id]

    def _read(self, now: float) -> None:
        if self._failed_at is not None and now - self._failed_at < PAUSE_S:
            raise IdentityUnavailable("the keys of the identity provider could not be read a moment ago")
        try:
            document = json.loads(self._document())
            keys = [jwt.PyJWK(item) for item in document["keys"] if _is_for_signatures(item)]
        except (OSError, HTTPException, ValueError, LookupError, TypeError, jwt.PyJWTError) as error:
            self._failed_at = now
            raise IdentityUnavailable("the keys of the identity provider can't be read") from error
        self._keys = {key.key_id: key for key in keys}
        self._read_at, self._failed_at = now, None

    def _document(self) -> bytes:
        """Raises OSError, HTTPException, ValueError."""
        if self._settings.jwks_file is not None:
            return self._settings.jwks_file.read_bytes()
        context = ssl.create_default_context(cafile=self._settings.ca)
        opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=context))
        deadline = time.monotonic() + FETCH_TIMEOUT_S
        document = bytearray()
        with opener.open(str(self._settings.jwks_url), timeout=FETCH_TIMEOUT_S) as response:
            while chunk := response.read1(1 << 16):
                document += chunk
                if len(document) > FETCH_BYTES_MAX or time.monotonic() > deadline:
                    raise ValueError("too large or too slow")
        return bytes(document)


class Provider:
    """Tells who a token is of, and what they may do here."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._keys = KeySet(settings, clock)

    def identify(self, token: str) -> tuple[str, frozenset[Role]]:
        """(subject, roles). Raises Unauthenticated, IdentityUnavailable."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._settings.algorithms:
                raise Unauthenticated("the token is signed with an algorithm that is not allowed")
            key_id = header.get("kid")
            claims = jwt.decode(
                token,
                self._keys.key(key_id if isinstance(key_id, str) else None),
                algorithms=list(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": CLAIMS},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired", hint="Get a new one.") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            # The messages quote the token's claims; the class says enough.
            raise Unauthenticated(f"the token is not valid: {type(error).__name__}") from error
        return str(claims["sub"])[:NAME_CHARACTERS_MAX], self._roles(claims)

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        found = _claim(claims, self._settings.roles_claim)
        values = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        return frozenset(
            role for value in values if isinstance(value, str) for role in self._settings.roles.get(value, ())
        )


def _is_for_signatures(item: Mapping[str, Any]) -> bool:
    """Not for encryption (RFC 7517 4.2), nor a secret that both sides know."""
    return item.get("use", "sig") == "sig" and item.get("kty") in ("RSA", "EC", "OKP")


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of that name, which may have dots in it, or what a path of names leads to; None if absent."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
