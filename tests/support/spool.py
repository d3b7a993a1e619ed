"""Where a spool keeps an object, for tests that damage it or look at its file."""

from __future__ import annotations

from pathlib import Path

from gateway.spool import LocalSpool


def file_of(spool: LocalSpool, name: str) -> Path:
    return spool._path(name)
