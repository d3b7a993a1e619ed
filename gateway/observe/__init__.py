"""What the gateway tells the people who run it: log lines, metrics, and the audit log of access to records."""

from __future__ import annotations

from gateway.observe.logs import Log, configure_logging, log_error, logger, where
from gateway.observe.metrics import Metrics

__all__ = ["Log", "Metrics", "configure_logging", "log_error", "logger", "where"]
