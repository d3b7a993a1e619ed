"""The configuration: frozen tables, read once from one file."""

from __future__ import annotations

from gateway.config.limits import Limits
from gateway.config.loading import load
from gateway.config.model import (
    Config,
    Destination,
    GatewaySettings,
    KeySettings,
    ListenerSettings,
    QueueSettings,
    SealSettings,
)
from gateway.config.routing import Route

__all__ = [
    "Config",
    "Destination",
    "GatewaySettings",
    "KeySettings",
    "Limits",
    "ListenerSettings",
    "QueueSettings",
    "Route",
    "SealSettings",
    "load",
]
