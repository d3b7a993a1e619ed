"""Data sets of storage commitment as they come, read without making objects of them.

They come from any node, before anything is known of them. pydicom takes a kilobyte of memory for each of the quarter of
a million empty items that fit into the largest of these data sets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

from gateway.dicom.elements import IMPLICIT_LE, Element, Encoding, items, walk
from gateway.dicom.syntaxes import syntax_of

REFERENCES_MAX = 50_000


class Information:
    """A data set, or an item of a sequence in it."""

    def __init__(self, data: bytes, start: int, stop: int, encoding: Encoding) -> None:
        """The data set in data[start:stop]. Raises UnreadableObject."""
        self._data, self._encoding = data, encoding
        self._elements = {element.tag: element for element in walk(data, start, stop, encoding)}

    @classmethod
    def received(cls, data_set: BytesIO | None, syntax: str) -> Information:
        """The data set of a message.

        data_set: None when none came.
        syntax: UID of the transfer syntax, an uncompressed one.
        Raises UnreadableObject.
        """
        data = b"" if data_set is None else data_set.getvalue()
        return cls(data, 0, len(data), syntax_of(syntax).encoding)

    def text(self, tag: int) -> str:
        """A UID, empty when the element is absent."""
        element = self._elements.get(tag)
        return "" if element is None else self._value(element).decode("latin-1").strip(" \0")

    def number(self, tag: int) -> int | None:
        """A value of VR US; None when it is absent or of another size."""
        element = self._elements.get(tag)
        if element is None or element.end - element.value != 2:
            return None
        return int(struct.unpack(self._encoding.order + "H", self._value(element))[0])

    def items(self, tag: int) -> Iterator[Information]:
        """The items of a sequence, one after the other; none when it is absent.

        Raises ValueError when there are too many.
        Raises UnreadableObject when they are damaged.
        """
        sequence = self._elements.get(tag)
        if sequence is None:
            return
        encoding = IMPLICIT_LE if sequence.vr == b"UN" else self._encoding
        found = items(self._data, sequence, encoding)
        if len(found) > REFERENCES_MAX:
            raise ValueError("too many references")
        for item in found:
            yield Information(self._data, item.value, item.stop, encoding)

    def _value(self, element: Element) -> bytes:
        return self._data[element.value : element.end]
