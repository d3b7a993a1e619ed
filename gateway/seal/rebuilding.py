"""The original of a sealed object, from its header as received and its original pixels (format version 2).

Where every byte of the data set is known again, it is given back as it was received, and proven by its digest. Where
pixels were compressed by somebody else, or long values are encoded in another way now, they stay as they are.
"""

from __future__ import annotations

from gateway.dicom import compressed
from gateway.dicom.elements import walk
from gateway.dicom.encapsulation import encapsulate
from gateway.dicom.image import PixelFormat, Pixels, pixel_format, to_native
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import decode, encoded, with_encoded_items
from gateway.dicom.recoding import recoded
from gateway.dicom.syntaxes import syntax_of, writable_syntax
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
    SOP_INSTANCE_UID,
)
from gateway.errors import UnreadableObject, UnsupportedPixels
from gateway.seal.block import private_block
from gateway.seal.documenting import Edits
from gateway.seal.header.received import ReceivedHeader


def rebuilt(
    file: Part10, received: ReceivedHeader, original: tuple[PixelFormat, Pixels] | None
) -> tuple[ByteSource, bool]:
    """The original file, and whether its data set is the one received, byte for byte.

    file: the sealed object.
    received: its header as received.
    original: layout and samples of the original pixels, already proven; None when sealing left the pixel data alone.
    Raises UnsupportedPixels when the pixels can't be written.
    Raises UnreadableObject when a part of the object that is needed can't be parsed.
    """
    data_set = received.assembled(_Source(file, received, original).value)
    if data_set is not None and received.proves(data_set):
        if file.in_memory:
            data_set = data_set[:]
        whole = file.with_body(data_set, received.transfer_syntax, received.encoding)
        return _written(whole, whole.text(SOP_INSTANCE_UID), {}), True
    return _nearest(file, received, original), False


def comes_back(file: Part10, received: ReceivedHeader, original: tuple[PixelFormat, Pixels] | None) -> bool:
    """Whether `rebuilt` gives the data set as it was received."""
    data_set = received.assembled(_Source(file, received, original).value)
    return data_set is not None and received.proves(data_set)


class _Source:
    """The values that the header as received left out, in its encoding."""

    def __init__(
        self, file: Part10, received: ReceivedHeader, original: tuple[PixelFormat, Pixels] | None
    ) -> None:
        self._file, self._received, self._original = file, received, original
        self._target = syntax_of(received.transfer_syntax)

    def value(self, tag: int) -> ByteSource | None:
        """None when the value can't be had."""
        try:
            return self._pixel_data() if tag == PIXEL_DATA else self._element(tag)
        except (UnsupportedPixels, UnreadableObject):
            return None

    def _element(self, tag: int) -> ByteSource | None:
        file, target = self._file, self._received.encoding
        element = file.index.get(tag)
        if element is None:
            return None
        if file.encoding == target:
            return ByteRange(file.body, element.value, element.end)
        signed = (file.number(PIXEL_REPRESENTATION, 0) or 0) == 1
        anew = recoded(file.body[element.start : element.end], file.encoding, target, signed=signed)
        again = walk(anew, 0, len(anew), target)
        return anew[again[0].value : again[0].end] if again else None

    def _pixel_data(self) -> ByteSource | None:
        file, received = self._file, self._received
        if self._original is None and file.transfer_syntax == received.transfer_syntax:
            element = file.index.get(PIXEL_DATA)
            if element is None:
                return None
            return ByteRange(file.body, element.value, element.end)
        shape, pixels = self._original or _decoded(file)
        if self._target.native:
            head = next(
                part.head for part in received.parts if not isinstance(part, bytes) and part.tag == PIXEL_DATA
            )
            wide = not received.encoding.explicit or head[4:6] != b"OB"
            value = to_native(pixels, shape, little=received.encoding.little, wide_words=wide)
            return value + b"\0" * (len(value) % 2)
        if not self._target.encoder:
            return None
        return encapsulate([compressed.encode(frame, self._target.uid, shape) for frame in pixels.samples])


def _decoded(file: Part10) -> tuple[PixelFormat, Pixels]:
    shape = pixel_format(file)
    return shape, decode(file, shape)


def _nearest(
    file: Part10, received: ReceivedHeader, original: tuple[PixelFormat, Pixels] | None
) -> ByteSource:
    """The file with the header as received; pixel data and values that were left out as they are encoded now."""
    edits: Edits = dict(private_block.removal(file))
    header = received.header()
    kept = {element.tag for element in header.elements} | set(received.left_out)
    edits |= {element.tag: None for element in file.elements if element.tag not in kept}
    # What can be read in the old transfer syntax only.
    unreadable = with_encoded_items(header) if received.transfer_syntax != file.transfer_syntax else set()
    edits |= dict.fromkeys(unreadable)
    anew = header.body
    if received.encoding != file.encoding:
        signed = (header.number(PIXEL_REPRESENTATION, 0) or 0) == 1
        anew = recoded(header.body[:], received.encoding, file.encoding, signed=signed)
    for element in walk(anew, 0, len(anew), file.encoding):
        kept_as_is = (BITS_ALLOCATED, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION)
        if element.tag not in kept_as_is and element.tag not in unreadable:
            edits[element.tag] = anew[element.start : element.end]
    syntax = file.transfer_syntax
    if original is not None:
        shape, pixels = original
        syntax = writable_syntax(file.transfer_syntax) or syntax
        edits |= encoded(file, pixels, shape, syntax)
    return _written(file, header.text(SOP_INSTANCE_UID), edits, syntax)


def _written(file: Part10, sop_instance_uid: str, edits: Edits, syntax: str | None = None) -> ByteSource:
    if not file.in_memory:
        return file.rewritten(edits)
    changed = syntax if syntax != file.transfer_syntax else None
    return file.edited(edits, sop_instance_uid=sop_instance_uid or None, syntax=changed)
