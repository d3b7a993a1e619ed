"""A multipart/form-data body (RFC 7578), parsed while it comes and kept in memory.

Starlette's form would write each part above a megabyte into a temporary file, in clear.
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.web.errors import BadRequest

# Of one body, those that are no files included.
PARTS_MAX = 1000


class MultipartBody:
    """Call `write` for each piece of the body, then `files`."""

    def __init__(self, content_type: str) -> None:
        """Raises BadRequest when the header names no boundary that can be used."""
        _, options = parse_options_header(content_type)
        self._file_name: str | None = None
        self._content = bytearray()
        self._files: list[tuple[str, bytes]] = []
        self._parts = 0
        self._ended = False
        self._field, self._value = b"", b""
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_part_data": self._on_data,
                    "on_part_end": self._end,
                    "on_end": self._on_end,
                },
            )
        except (KeyError, FormParserError) as error:
            raise _unparsable("its Content-Type names no boundary") from error

    def write(self, chunk: bytes) -> None:
        """Raises BadRequest."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unparsable("see RFC 7578") from error

    def files(self) -> list[tuple[str, bytes]]:
        """File name, or field name, and content of each part that is a file. Raises BadRequest."""
        if not self._ended:
            raise _unparsable("its end is missing")
        if not self._files:
            raise BadRequest("no part of the multipart body is a file")
        return self._files

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _unparsable(f"it has more than {PARTS_MAX} parts")
        self._file_name, self._content = None, bytearray()
        self._field, self._value = b"", b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if b"filename" in options:
                named = options[b"filename"] or options.get(b"name", b"")
                self._file_name = named.decode("utf-8", "replace")
        self._field, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        # What is no file is not kept.
        if self._file_name is not None:
            self._content += data[start:end]

    def _end(self) -> None:
        if self._file_name is not None:
            self._files.append((self._file_name, bytes(self._content)))
        self._content = bytearray()

    def _on_end(self) -> None:
        self._ended = True


def _unparsable(hint: str) -> BadRequest:
    return BadRequest("the multipart body can't be parsed", hint=hint)
