"""`sealgate demo`: everything on one machine."""

from __future__ import annotations

from gateway.commands.demo.command import command

__all__ = ["command"]
