"""The `[http]` table: who may call, over what, and how often."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from gateway.config.tls import TlsIdentity
from gateway.config.values import FilePath, Port, Seconds, Table, one_or_many

# verify: have objects verified. extract: read hidden records. restore: get originals. retrieve: query and
# retrieve from the archive (DICOMweb). operate: look at the queue.
# administer: change the running gateway. No role includes another.
Role = Literal["verify", "extract", "restore", "retrieve", "amend", "operate", "administer"]
Roles = Annotated[tuple[Role, ...], Field(min_length=1)]
# Characters of a token. A shorter one can be guessed; those of `sealgate token` have 52.
TOKEN_CHARS_MIN = 32
# Signatures only: with an HMAC, everybody who can check a token can make one (RFC 8725 3.1, 3.2).
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip


def _network(value: str) -> str:
    """An address, or a range as CIDR writes it (RFC 4632)."""
    try:
        return str(ipaddress.ip_network(value.strip(), strict=False))
    except ValueError as error:
        raise ValueError(f"{value!r} is no address and no range (10.0.0.7, 10.0.0.0/24)") from error


def _origin(value: str) -> str:
    """Scheme, host and port, as browsers send them (RFC 6454)."""
    url = urlsplit(value)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or value != f"{url.scheme}://{url.netloc}"
        or url.username
    ):
        raise ValueError(f"{value!r} is no origin (https://viewer.example)")
    return value.lower()


class Token(Table):
    """A caller who shows a token. The file has only its hash; `sealgate token` makes both."""

    # What logs and the audit log call the caller.
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    roles: Roles
    # Of the token, hexadecimal.
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class OidcSettings(Table):
    """Callers who show a JSON Web Token of an identity provider (OpenID Connect Core 1.0, RFC 7519, RFC 9068)."""

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    # Where the provider's public keys are (RFC 7517).
    jwks_url: str | None = None
    # The same keys in a file.
    jwks_file: FilePath | None = None
    # Authorities for jwks_url; None: those of the system.
    ca: FilePath | None = None
    # Older keys are read again. While that fails, nobody gets in.
    keys_max_age_s: Seconds = 300.0
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    # The name of the claim, or a path such as realm_access.roles.
    roles_claim: str = Field(default="roles", min_length=1)
    # Value in the claim -> our roles.
    roles: dict[str, Roles] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give one of jwks_url and jwks_file")
        if self.jwks_url is not None:
            url = urlsplit(self.jwks_url)
            local = url.scheme == "http" and is_loopback(url.hostname or "")
            if not url.hostname or not (url.scheme == "https" or local):
                raise ValueError("jwks_url must begin with https:// (or http:// and a loopback address)")
        return self


class HttpSettings(Table):
    host: str = "127.0.0.1"
    port: Port = 8080
    # A text instead of tables: one token with the role verify.
    token: tuple[Token, ...] | None = None
    oidc: OidcSettings | None = None
    tls: TlsIdentity | None = None
    # Allows other addresses than loopback without TLS, and verification without a token.
    insecure: bool = False
    body_bytes_max: int = Field(default=512 << 20, ge=1 << 10)
    # The whole body must have come by then.
    request_timeout_s: Seconds = 120.0
    # A body that comes slower is refused.
    body_bytes_s_min: int = Field(default=20_000, ge=1)
    # Of each caller.
    requests_per_minute: int = Field(default=600, ge=1)
    # Of each caller, for DICOMweb: a viewer asks for each frame.
    retrieve_requests_per_minute: int = Field(default=60_000, ge=1)
    # Of each address; above that no token from there is looked at.
    wrong_tokens_per_minute: int = Field(default=30, ge=1)
    # Requests that are worked on at once, and times body_bytes_max that all bodies may hold in memory.
    concurrent: int = Field(default=4, ge=1, le=1000)
    # The same for DICOMweb, whose requests mostly wait.
    retrieve_concurrent: int = Field(default=64, ge=1, le=1000)
    # Pages of these origins may ask (CORS), such as "https://viewer.example"; "*" is none.
    allowed_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    # Whose X-Forwarded-For is believed: addresses or ranges.
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] | None = None

    _many_proxies = field_validator("trusted_proxies", "allowed_origins", mode="before")(one_or_many)

    @field_validator("token", mode="before")
    @classmethod
    def _text_or_tables(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            return value
        if not text:
            raise ValueError("an empty token would let in everybody (leave the key out)")
        if len(text) < TOKEN_CHARS_MIN:
            raise ValueError(
                f"a token of less than {TOKEN_CHARS_MIN} characters can be guessed "
                "(make one with `sealgate token NAME --role verify`)"
            )
        digest = hashlib.sha256(text.encode()).hexdigest()
        return ({"name": "http.token", "roles": ("verify",), "sha256": digest},)

    @model_validator(mode="after")
    def _closed_to_the_network(self) -> Self:
        tokens = self.token or ()
        if len({token.name for token in tokens}) != len(tokens):
            raise ValueError("token.name: two tokens have the same name (rename one)")
        if len({token.sha256 for token in tokens}) != len(tokens):
            raise ValueError("token.sha256: two callers have the same token (make one for each)")
        if self.tls is not None and self.tls.certificate is None:
            raise ValueError("tls.certificate: missing (give certificate and key)")
        if self.tls is None and not is_loopback(self.host) and not self.insecure:
            raise ValueError(
                f"host: {self.host} is not loopback, and there is no http.tls: tokens and patient data would "
                "travel in clear (give a certificate, or write http.insecure = true)"
            )
        return self

    def kept_open(self, running: HttpSettings) -> HttpSettings:
        """These settings, but with the address and the TLS files of `running`: a server that runs can't change them."""
        return self.model_copy(update={"host": running.host, "port": running.port, "tls": running.tls})

    @property
    def verifies_for_all(self) -> bool:
        """Whether POST /api/v1/verify needs no token."""
        return self.token is None and self.oidc is None and (is_loopback(self.host) or self.insecure)

    @property
    def retrieves_for_all(self) -> bool:
        """Whether programs on this machine need no token for DICOMweb."""
        return self.token is None and self.oidc is None and is_loopback(self.host)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
