"""multipart/related as it is written (RFC 2387, PS3.18 8.7.1)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping


class MultipartWriter:
    """For one response. The boundary is random, so that no object can hold it."""

    def __init__(self, media_type: str) -> None:
        """media_type: of the parts."""
        self._boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="{media_type}"; boundary={self._boundary}'

    def head(self, content_type: str, headers: Mapping[str, str] | None = None) -> bytes:
        """What stands before the bytes of a part. After them stands `after`."""
        lines = [f"--{self._boundary}", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def after(self) -> bytes:
        return b"\r\n"

    def end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()
