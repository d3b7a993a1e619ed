"""A glance at the beginning of a data set: a few elements of it, within bounds of memory and time.

The service decides by it what to do with an object, in its own process. Data sets are hostile: a deflated one of a
megabyte may inflate to gigabytes, another one may consist of millions of empty elements.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from gateway.dicom.elements import IMPLICIT_LE, UNDEFINED, Encoding, header, skip_undefined
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import observed_encoding
from gateway.dicom.syntaxes import Form, syntax_of
from gateway.errors import HeaderTooLarge, UnreadableObject

# So much of a deflated data set is inflated.
INFLATED_BYTES_MAX = 4 << 20
DEFLATED_PIECE_BYTES = 64 << 10
# Headers of elements and items that are read. This takes a second at most.
STEPS_MAX = 100_000
# A longer value is none that anything is decided by.
VALUE_BYTES_MAX = 16 << 10
# For the end of a data set that was not inflated to its end.
FAR = 1 << 60


@dataclass(frozen=True)
class Glance:
    """What was seen.

    values: of the elements that were asked for and stand there, each without its padding.
    reached: everything before this tag was seen; None when the whole data set was.
    failure: why the rest was not seen; None when there was no need to, or nothing more.
    """

    values: Mapping[int, str]
    reached: int | None
    failure: UnreadableObject | HeaderTooLarge | None

    def text(self, tag: int) -> str:
        """The value of an element that was asked for; empty when it is absent.

        Raises UnreadableObject, HeaderTooLarge when the glance ended before it.
        """
        if tag in self.values:
            return self.values[tag]
        if self.failure is not None and (self.reached is None or self.reached <= tag):
            # Anew: with its traceback it would hold the data set, and both each other, until garbage is collected.
            raise type(self.failure)(*self.failure.args)
        return ""


def glance(data_set: ByteSource, syntax: str, tags: Collection[int]) -> Glance:
    """Look for top-level elements, up to the place where the last of them belongs (PS3.5 7.1: in ascending order).

    data_set: without file meta information.
    syntax: UID of its transfer syntax.
    """
    values: dict[int, str] = {}
    reached = 0
    try:
        data, encoding = _opened(data_set, syntax)
        for tag, value, stop in _elements(data, encoding):
            if tag > max(tags):
                return Glance(values, tag, None)
            reached = max(reached, tag)
            if tag in tags and tag not in values:
                if stop - value > VALUE_BYTES_MAX:
                    raise HeaderTooLarge("a value that decides about the object is longer than any may be")
                values[tag] = data[value:stop].decode("latin-1").strip(" \0")
    except (UnreadableObject, HeaderTooLarge) as error:
        return Glance(values, reached, error.with_traceback(None))
    return Glance(values, None, None)


def check_readable(data_set: ByteSource, syntax: str) -> None:
    """Raises UnreadableObject when the bytes are no data set, HeaderTooLarge when that is not seen at a glance."""
    data, encoding = _opened(data_set, syntax)
    for tag, _, _ in _elements(data, encoding):
        if tag >> 16 == 0:
            raise UnreadableObject("not a DICOM data set")


def _opened(data_set: ByteSource, syntax: str) -> tuple[_CountedSource, Encoding]:
    """Raises UnreadableObject, HeaderTooLarge."""
    content, is_whole = data_set, True
    if syntax_of(syntax).form is Form.DEFLATED:
        content, is_whole = _inflated(data_set)
    data = _CountedSource(content, is_whole=is_whole)
    return data, observed_encoding(data, syntax)


def _elements(data: _CountedSource, encoding: Encoding) -> Iterator[tuple[int, int, int]]:
    """Tag, and offsets around the value, of each top-level element. Raises UnreadableObject, HeaderTooLarge."""
    at, stop = 0, len(data)
    while at < stop:
        if data.ends_at(at):
            return
        tag, vr, value, length = header(data, at, stop, encoding)
        if length == UNDEFINED:
            end = skip_undefined(data, value, stop, IMPLICIT_LE if vr == b"UN" else encoding)
        else:
            end = value + length
        if end > stop:
            raise UnreadableObject(f"the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) runs past the end")
        yield tag, value, end
        at = end


class _CountedSource:
    """The bytes of a data set, of which only so many pieces can be read."""

    def __init__(self, content: ByteSource, *, is_whole: bool) -> None:
        """is_whole: False when the data set goes on behind these bytes."""
        self._content, self._is_whole = content, is_whole
        self._steps = count(1)

    def __len__(self) -> int:
        return len(self._content) if self._is_whole else FAR

    def __getitem__(self, where: slice, /) -> bytes:
        """Raises HeaderTooLarge."""
        if next(self._steps) > STEPS_MAX:
            raise HeaderTooLarge(f"more than {STEPS_MAX} elements stand before what decides about the object")
        if not self._is_whole and where.stop > len(self._content):
            raise HeaderTooLarge(
                f"what decides about the object is not in the first {INFLATED_BYTES_MAX >> 20} MiB that were inflated"
            )
        return self._content[where]

    def ends_at(self, at: int) -> bool:
        return self._is_whole and at >= len(self._content)


def _inflated(data_set: ByteSource) -> tuple[bytes, bool]:
    """The beginning of a deflated data set, and whether that is all of it. Raises UnreadableObject."""
    engine, inflated = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    try:
        for start in range(0, len(data_set), DEFLATED_PIECE_BYTES):
            piece = data_set[start : start + DEFLATED_PIECE_BYTES]
            while piece and not engine.eof:
                left = INFLATED_BYTES_MAX - len(inflated)
                if left <= 0:
                    return bytes(inflated), False
                inflated += engine.decompress(piece, left)
                piece = engine.unconsumed_tail
            if engine.eof:
                return bytes(inflated), True
    except zlib.error as error:
        raise UnreadableObject("the deflated data set is damaged") from error
    raise UnreadableObject("the deflated data set is incomplete")
