"""The `[viewer]` table: OHIF, served at the root of a port of its own."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gateway.config.http import HttpSettings, is_loopback
from gateway.config.tls import TlsIdentity
from gateway.config.values import FilePath, Port, Table


class ViewerSettings(Table):
    """Tokens, limits and proxies are those of [http]."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 8081
    # Where `sealgate viewer fetch` puts OHIF; None: below data_dir.
    folder: FilePath | None = None
    tls: TlsIdentity | None = None
    # Allows other addresses than loopback without TLS.
    insecure: bool = False
    # The client that OHIF is at the identity provider of http.oidc; None: a proxy before the gateway shows the token.
    oidc_client_id: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _closed_to_the_network(self) -> Self:
        if self.tls is None and not is_loopback(self.host) and not self.insecure:
            raise ValueError(
                f"host: {self.host} is not loopback, and there is no viewer.tls: images would travel in clear "
                "(give a certificate, or write viewer.insecure = true)"
            )
        return self

    def served(self, http: HttpSettings) -> HttpSettings:
        """The settings of [http] for this address.

        Off loopback nobody gets in without a token, wherever [http] listens.
        """
        return http.model_copy(
            update={
                "host": self.host,
                "port": self.port,
                "tls": self.tls,
                "insecure": http.insecure or self.insecure,
            }
        )
