"""Callers that an identity provider vouches for: JSON Web Tokens, checked against the provider's public keys.

RFC 7519 (tokens), RFC 7517 (keys), RFC 8725 (known attacks), OpenID Connect Core 1.0 3.1.3.7 (claims).
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
# Between attempts to read keys, after a failure or for an unknown key id.
PAUSE_S = 10.0
# Clocks may differ by so much.
LEEWAY_S = 30.0
CLAIMS = ["exp", "iat", "iss", "aud", "sub"]
NAME_CHARACTERS_MAX = 200


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come only from the address that is configured."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


class KeySet:
    """The provider's keys, read when needed, and again when they are `keys_max_age_s` old. For several threads."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._failed_at: float | None = None

    def key(self, key_id: str | None) -> jwt.PyJWK:
        """The key of this id. None: the only key, where the provider has one key.

        Raises Unauthenticated when the provider does not have it.
        Raises IdentityUnavailable when the keys can't be read.
        """
        with self._lock:
            now = self._clock()
            fresh = self._read_at is not None and now - self._read_at < self._settings.keys_max_age_s
            if not fresh:
                self._read(now)
            elif key_id not in self._keys and now - (self._read_at or 0.0) >= PAUSE_S:
                # The provider may have changed its keys.
                self._read(now)
            if key_id is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if key_id is None or key_id not in self._keys:
                raise Unauthenticated(
                    "the token is signed with a key that the identity provider does not have"
                )
            return self._keys[key_id]

    def _read(self, now: float) -> None:
        """Raises IdentityUnavailable; the keys that were read before stay."""
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
    """Checks tokens, and tells whose they are and which roles they give."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._keys = KeySet(settings, clock)

    def identify(self, token: str) -> tuple[str, frozenset[Role]]:
        """The subject and the roles of a token. Raises Unauthenticated, IdentityUnavailable."""
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
        claim = _claim(claims, self._settings.roles_claim)
        values = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        return frozenset(
            role for value in values if isinstance(value, str) for role in self._settings.roles.get(value, ())
        )


def _is_for_signatures(key: Mapping[str, Any]) -> bool:
    """False for keys for encryption (RFC 7517 4.2), and for secrets that both sides know."""
    return key.get("use", "sig") == "sig" and key.get("kty") in ("RSA", "EC", "OKP")


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of this name, which may contain dots, or the one at the end of a path of names; None if absent."""
    if name in claims:
        return claims[name]
    claim: object = claims
    for part in name.split("."):
        claim = claim.get(part) if isinstance(claim, Mapping) else None
    return claim
