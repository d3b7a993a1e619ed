"""The configuration: frozen tables, read once from one file."""

from __future__ import annotations

from gateway.config.destinations import Destination
from gateway.config.limits import Limits
from gateway.config.loading import load
from gateway.config.model import Config
from gateway.config.routing import Route
from gateway.config.tables import (
    GatewaySettings,
    KeySettings,
    LedgerSettings,
    ListenerSettings,
    QueueSettings,
    ReleaseSettings,
    SealSettings,
    StandardSignatureSettings,
    TimeStampSettings,
)

__all__ = [
    "Config",
    "Destination",
    "GatewaySettings",
    "KeySettings",
    "LedgerSettings",
    "Limits",
    "ListenerSettings",
    "QueueSettings",
    "ReleaseSettings",
    "Route",
    "SealSettings",
    "StandardSignatureSettings",
    "TimeStampSettings",
    "load",
]
