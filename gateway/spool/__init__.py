"""Objects on disk until they are delivered everywhere."""

from __future__ import annotations

from gateway.spool.contract import Draft, Spool
from gateway.spool.local import LocalSpool

__all__ = ["Draft", "LocalSpool", "Spool"]
