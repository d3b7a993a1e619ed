"""Objects on disk until they are delivered everywhere."""

from __future__ import annotations

from gateway.spool.local import Draft, Spool

__all__ = ["Draft", "Spool"]
