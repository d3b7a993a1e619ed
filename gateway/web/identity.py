"""The caller of a request, identified by a configured token or by a token of the identity provider."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from gateway.config.http import TOKEN_CHARS_MIN, HttpSettings, Role
from gateway.web.errors import Unauthenticated
from gateway.web.oidc import Provider

SCHEME = "bearer"


@dataclass(frozen=True)
class Caller:
    """name: of the configured token, or `oidc:` and the subject; None where no token is needed.
    roles: what the caller may do.
    """

    name: str | None
    roles: frozenset[Role]


class Callers:
    """The callers that the settings know."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._provider = Provider(settings.oidc) if settings.oidc is not None else None

    @property
    def take_tokens(self) -> bool:
        """Whether a token can be right here."""
        return self._settings.token is not None or self._provider is not None

    def may_wait(self, authorization: str | None) -> bool:
        """Whether `identify` may wait for the identity provider, and so belongs into a thread."""
        return self._provider is not None and (authorization or "").count(".") == 2

    def identify(self, authorization: str | None) -> Caller:
        """The caller of a request. May wait for the identity provider.

        authorization: the header of that name (RFC 6750 2.1), None when there is none.
        Raises Unauthenticated, IdentityUnavailable.
        """
        if not self.take_tokens:
            if self._settings.verifies_for_all:
                more: set[Role] = {"retrieve"} if self._settings.retrieves_for_all else set()
                return Caller(None, frozenset({"verify", *more}))
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
        """The caller of a configured token, None for all other tokens.

        All hashes are compared, each in constant time, so that the time tells nothing.
        """
        if len(token) < TOKEN_CHARS_MIN:
            # Whoever wrote its hash into the configuration: it can be guessed.
            return None
        digest = hashlib.sha256(token.encode("latin-1", "replace")).hexdigest()
        caller = None
        for known in self._settings.token or ():
            if hmac.compare_digest(known.sha256, digest):
                caller = Caller(known.name, frozenset(known.roles))
        return caller
