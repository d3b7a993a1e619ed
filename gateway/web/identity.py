"""Who calls the HTTP interface: a configured token, a token of the identity provider, or nobody."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from gateway.config.http import HttpSettings, Role
from gateway.web.errors import Unauthenticated
from gateway.web.oidc import Provider

SCHEME = "bearer"


@dataclass(frozen=True)
class Caller:
    """name: of the token; `oidc:` and the subject; or None, for whom no token was asked."""

    name: str | None
    roles: frozenset[Role]


class Callers:
    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._provider = Provider(settings.oidc) if settings.oidc is not None else None

    def identify(self, authorization: str | None) -> Caller:
        """authorization: the header of that name (RFC 6750 2.1). May wait for the identity provider.

        Raises Unauthenticated, IdentityUnavailable.
        """
        if self._settings.token is None and self._provider is None:
            if self._settings.verifies_for_all:
                return Caller(None, frozenset({"verify"}))
            raise Unauthenticated(
                "no caller is configured",
                hint="Add [[http.token]] (made with `sealgate token`) or [http.oidc].",
            )
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != SCHEME or not token:
            raise Unauthenticated("there is no token")
        caller = self._of_token(token)
        if caller is not None:
            return caller
        if self._provider is None or token.count(".") != 2:
            raise Unauthenticated("nobody has this token")
        subject, roles = self._provider.identify(token)
        return Caller(f"oidc:{subject}", roles)

    def _of_token(self, token: str) -> Caller | None:
        """All hashes are compared, each in constant time: how long it takes tells nothing."""
        digest = hashlib.sha256(token.encode("latin-1", "replace")).hexdigest()
        found = None
        for known in self._settings.token or ():
            if hmac.compare_digest(known.sha256, digest):
                found = Caller(known.name, frozenset(known.roles))
        return found
