"""Why a request is refused: each reason has its HTTP status (RFC 9110) and a code for programs."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import (
    AuditFailed,
    GatewayError,
    NotAmendable,
    PeerFailed,
    PeerUnreachable,
    SpoolFull,
    TooMuchMemory,
    UnreadableObject,
    UnsupportedPixels,
    UsageError,
    WorkerDied,
)

# Statuses of GatewayError codes that the caller can mend, or that pass. All others are our fault: 500.
STATUS_OF_CODE = {
    UnreadableObject.code: 400,
    NotAmendable.code: 422,
    UsageError.code: 400,
    TooMuchMemory.code: 413,
    WorkerDied.code: 503,
    AuditFailed.code: 503,
    SpoolFull.code: 503,
    # Of the way back: the archive, and what its objects can't do.
    PeerUnreachable.code: 502,
    PeerFailed.code: 502,
    "not-sent": 502,
    "identifier": 400,
    "too-many-instances": 413,
    "no-retrieve": 501,
    "resource": 503,
    UnsupportedPixels.code: 406,
}


class Refused(GatewayError):
    """Base of the reasons below. `headers` go with the answer."""

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
    """The caller is unknown."""

    code, status = "unauthenticated", 401
    hint = "Send a valid token as Authorization: Bearer."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refused):
    """The caller lacks the role."""

    code, status = "forbidden", 403
    hint = "Ask the administrator of the gateway for the role."


class NotFound(Refused):
    """Nothing has this name, or several things have it."""

    code, status = "not-found", 404
    hint = "Look at the list."


class NotAcceptable(Refused):
    """What is asked for is offered in none of the accepted types."""

    code, status = "not-acceptable", 406
    hint = "Ask for another media type or transfer syntax; docs/dicomweb.md lists what is offered."


class Gone(Refused):
    """It was there, and the archive has it no more."""

    code, status = "gone", 410
    hint = "Look at the archive for who removed it."


class Withheld(Refused):
    """The object is not what was sealed, and the policy says that it is not handed out."""

    code, status = "withheld", 403
    hint = (
        "Do not report on it; the metadata and /api/v1/findings say what is wrong, the audit log who asked."
    )


class TooSlow(Refused):
    """The body did not come in time."""

    code, status, retry = "too-slow", 408, True
    hint = "Send it faster, raise http.request_timeout_s, or lower http.body_bytes_s_min."


class TooLarge(Refused):
    """The object that is sent or asked for is larger than the limit."""

    code, status = "too-large", 413
    hint = "Send less at once, or raise http.body_bytes_max."


class TooMany(Refused):
    """The caller sends too many requests."""

    code, status, retry = "rate-limit", 429, True
    hint = "Wait as long as Retry-After says, or raise http.requests_per_minute."


class TooManyWrongTokens(Refused):
    """Too many wrong tokens came from this address, or from all of them: this one was not looked at."""

    code, status, retry = "wrong-tokens", 429, True
    hint = "Wait as long as Retry-After says; look into the audit log for who sends wrong tokens."


class NotConfigured(Refused):
    """This gateway has no key for it."""

    code, status = "not-configured", 501
    hint = "Set keys.recipient_key where records may be opened."


class Busy(Refused):
    """The gateway works on as many requests as it may at once."""

    code, status, retry = "busy", 503, True
    hint = "Try again in a second, or raise http.concurrent."


class IdentityUnavailable(Refused):
    """The caller can't be identified, because the keys of the identity provider can't be read."""

    code, status, retry = "identity-unavailable", 503, True
    hint = "Check http.oidc.jwks_url (or jwks_file), and that the identity provider answers."
