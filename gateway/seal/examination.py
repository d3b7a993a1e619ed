"""The facts about one object: parsed, decoded and revealed when they are asked for, and only once.

Verifying and restoring need the same facts. Whoever does both hands one examination from the first to the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from gateway.dicom.image import HighBits, PixelFormat, Pixels, pixel_format
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import decode, decode_in_pieces, in_common
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.seal.attesting import digest_encoded
from gateway.seal.block import digest, private_block, statement
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Domain, Level, Statement
from gateway.seal.codec import Codec, Revealed
from gateway.seal.record import envelope
from gateway.seal.record.envelope import Envelope, Locator


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """The private block of an object, as far as it can be read.

    block: None when there is none that can be read.
    statement: what the block states; None when it can't be decoded.
    encoded: the bytes of the statement that were signed.
    objection: why the block is not whole; None when it is, and when there is no block.
    """

    block: Block | None = None
    statement: Statement | None = None
    encoded: bytes = b""
    objection: SealBroken | UnreadableObject | None = None


class Examination:
    """One object under examination. It never changes, and each fact is found out once."""

    def __init__(self, data: ByteSource, codec: Codec, *, deep: bool = False) -> None:
        """Nothing is read yet.

        data: a complete DICOM file, in memory or not.
        codec: reads what is hidden in the pixels.
        deep: search a payload in the pixels as long as it takes.
        """
        self._data = data
        self._codec = codec
        self._deep = deep

    @cached_property
    def file(self) -> Part10:
        """The parsed object.

        Raises UnreadableObject when the bytes are not a DICOM data set.
        """
        return read(self._data)

    @cached_property
    def attestation(self) -> Attestation:
        """The private block and its statement.

        Raises UnreadableObject when the bytes are not a DICOM data set.
        """
        file = self.file
        try:
            block = private_block.find(file)
        except (SealBroken, UnreadableObject) as error:
            return Attestation(objection=error)
        if block is None:
            return Attestation()
        try:
            stated, encoded = statement.decode(block.statement)
        except SealBroken as error:
            return Attestation(block=block, objection=error)
        return Attestation(block=block, statement=stated, encoded=encoded, objection=_mismatch(block, stated))

    @property
    def block(self) -> Block | None:
        return self.attestation.block

    @property
    def statement(self) -> Statement | None:
        return self.attestation.statement

    @cached_property
    def image(self) -> tuple[PixelFormat, Pixels] | None:
        """Layout and samples; None when the object has no pixels that decode (`pieces` tells why)."""
        if PIXEL_DATA not in self.file.index:
            return None
        try:
            shape = pixel_format(self.file)
            return shape, decode(self.file, shape)
        except (UnsupportedPixels, UnreadableObject):
            return None

    @cached_property
    def revealed(self) -> Revealed | None:
        """What the codec finds in the pixels."""
        if self.image is None:
            return None
        shape, pixels = self.image
        if shape.allocated not in (8, 16) or shape.samples not in (1, 3):
            return None
        hint = self.statement.hint if self.statement else None
        return self._codec.reveal(pixels.samples, hint=hint, deep=self._deep)

    @cached_property
    def payload(self) -> Envelope | Locator | None:
        """The payload in the pixels; None when there is none, or none of this format."""
        return envelope.parse(self.revealed.payload) if self.revealed else None

    @cached_property
    def content_digest(self) -> bytes:
        """The digest of what the statement covers. There must be a statement.

        Raises UnsupportedPixels when the content can't be read, UnreadableObject when sequences are nested too deeply.
        """
        stated = self.statement
        if stated is None:
            raise AssertionError("only a statement says what its digest covers")
        if stated.domain == Domain.PIXELS:
            return self._digest_of_pixels()
        if stated.domain == Domain.FRAGMENTS:
            if PIXEL_DATA not in self.file.index:
                raise UnsupportedPixels("there is no Pixel Data")
            return digest_encoded(self.file)
        return digest.of_dataset(self.file, frozenset(stated.header_digests))

    def pieces(self, shape: PixelFormat) -> Iterator[NDArray[Any]]:
        """The samples: all at once, or some frames at a time when the object is not in memory.

        Pixels that can't be used are walked through once more, so that the reason is the same for an object in
        memory and for one that is not.

        Raises UnsupportedPixels when they do not decode, or when bits above Bits Stored are in use.
        """
        in_pieces = (
            not self.file.in_memory and self.statement is not None and self.statement.level == Level.DIGEST
        )
        if in_pieces or self.image is None or self.image[1].high_bits is HighBits.OTHER:
            yield from (piece.samples for piece in in_common(decode_in_pieces(self.file, shape), self.file))
            return
        yield self.image[1].samples

    def _digest_of_pixels(self) -> bytes:
        """Raises UnsupportedPixels."""
        try:
            shape = pixel_format(self.file)
            engine = digest.PixelDigest(shape.frames, shape)
            for samples in self.pieces(shape):
                engine.update(samples)
        except UnreadableObject as error:
            raise UnsupportedPixels("they do not decode") from error
        return engine.digest()


def _mismatch(block: Block, stated: Statement) -> SealBroken | None:
    """The first part of the block that is not the one in its statement."""
    parts = {
        "tile digests": (block.tiles, stated.tiles_hash),
        "restoring element": (block.restoring, stated.restoring_hash),
        "envelope": (block.envelope, stated.envelope_hash),
    }
    for name, (part, stated_hash) in parts.items():
        if private_block.hash_part(part) != stated_hash:
            return SealBroken(f"the {name} is not the one in the statement", check=2)
    if block.level != stated.level or block.digest != stated.digest.hex():
        return SealBroken("the readable level or digest is not the one in the statement", check=2)
    return None
