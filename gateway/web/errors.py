"""What a caller of the HTTP interface is refused for, each with its status (RFC 9110) and a code for programs."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import GatewayError, WorkerDied

# GatewayError codes that are the caller's to mend, or that pass; all others are ours: 500.
STATUS_OF_CODE = {"unreadable": 400, WorkerDied.code: 503, "audit-failed": 503}


class Refused(GatewayError):
    """Base of those below. `headers` go with the answer."""

    code = "refused"
    status = 400

    def __init__(
        self, message: str, *, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


class BadRequest(Refused):
    """The body is not what the endpoint takes."""

    code = "bad-request"
    hint = "Send a DICOM file."


class Unauthenticated(Refused):
    """Nobody knows who calls."""

    code, status = "unauthenticated", 401
    hint = "Send a valid token as Authorization: Bearer."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refused):
    """The caller lacks the role."""

    code, status = "forbidden", 403
    hint = "Ask the administrator of the gateway for the role."


class NotFound(Refused):
    """There is no such thing, or not exactly one."""

    code, status = "not-found", 404
    hint = "Look at the list."


class TooSlow(Refused):
    """The body did not come in time."""

    code, status, retry = "too-slow", 408, True
    hint = "Send it faster, or raise http.request_timeout_s."


class TooLarge(Refused):
    """What is sent or asked for is larger than the limit."""

    code, status = "too-large", 413
    hint = "Send less at once, or raise http.body_bytes_max."


class TooMany(Refused):
    """The caller asks too often."""

    code, status, retry = "rate-limit", 429, True
    hint = "Wait as long as Retry-After says, or raise http.requests_per_minute."


class NotConfigured(Refused):
    """This gateway has not what it takes."""

    code, status = "not-configured", 501
    hint = "Set keys.recipient_key where records may be opened."


class Busy(Refused):
    """As many requests as may be are being worked on."""

    code, status, retry = "busy", 503, True
    hint = "Try again in a second, or raise http.concurrent."


class IdentityUnavailable(Refused):
    """Nobody can tell who calls: the keys of the identity provider can't be read."""

    code, status, retry = "identity-unavailable", 503, True
    hint = "Check http.oidc.jwks_url (or jwks_file), and that the identity provider answers."
