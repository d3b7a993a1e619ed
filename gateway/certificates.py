"""The certificates in use: read at start and again at each reload, all of them or none."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from gateway.config import Config
from gateway.tls import Certificate, client_context, server_context


def own(config: Config) -> dict[str, Certificate]:
    """What we show: `listener`, `http`, and destinations by name. Every file of TLS is read. Raises KeyFileError."""
    found: dict[str, Certificate] = {}
    if config.tls.certificate is not None:
        server_context(config.tls)
        found["listener"] = Certificate.read(config.tls.certificate)
    if config.http.tls is not None and config.http.tls.certificate is not None:
        server_context(config.http.tls)
        found["http"] = Certificate.read(config.http.tls.certificate)
    for destination in config.destination:
        if destination.tls is not None:
            client_context(destination.tls)
            if destination.tls.certificate is not None:
                found[f"destination {destination.name}"] = Certificate.read(destination.tls.certificate)
    return found


class Certificates:
    """A new association gets what was read last; those that are open keep theirs."""

    def __init__(self, config: Config) -> None:
        """Raises KeyFileError."""
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Raises KeyFileError, and then nothing has changed."""
        certificates = own(config)
        self._server = server_context(config.tls) if config.tls.certificate is not None else None
        self._own = certificates

    def server(self) -> ssl.SSLContext:
        """For the TLS port, which is open only if there is one."""
        assert self._server is not None
        return self._server

    def seconds_left(self) -> dict[str, float]:
        """Until each certificate of ours expires; negative after that."""
        now = datetime.now(UTC)
        return {name: (item.not_after - now).total_seconds() for name, item in self._own.items()}
