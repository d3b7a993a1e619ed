"""The facts about one object: parsed, decoded and revealed when they are asked for, and only once.

Verifying and restoring need the same facts. Whoever does both hands one examination from the first to the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from gateway.dicom import one_reading
from gateway.dicom.image import HighBits, PixelFormat, Pixels, pixel_format
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import decode, decode_in_pieces, in_common
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.seal.block import amendment, digest, private_block, statement
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Domain, Level, Statement
from gateway.seal.codec import Codec, Revealed
from gateway.seal.header import dictionary, table
from gateway.seal.header.table import HeaderChange, HeaderTable
from gateway.seal.record import envelope
from gateway.seal.record.envelope import Envelope, Locator


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """The private block of an object, as far as it can be read.

    block: None when there is none that can be read.
    statement: what the block states; None when it can't be decoded.
    encoded: the bytes of the statement that were signed.
    table: the signed header of format version 2; None without one that can be read.
    objection: why the block is not whole; None when it is, and when there is no block.
    """

    block: Block | None = None
    statement: Statement | None = None
    encoded: bytes = b""
    table: HeaderTable | None = None
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
        header_table, objection = None, _mismatch(block, stated)
        if objection is None and stated.version > 1:
            try:
                header_table = table.decode(block.header)
            except SealBroken as error:
                objection = error
        return Attestation(
            block=block, statement=stated, encoded=encoded, table=header_table, objection=objection
        )

    @cached_property
    def ambiguity(self) -> str:
        """Why readers could read the object in different ways; empty when they can't.

        Raises UnreadableObject when the bytes are not a DICOM data set.
        """
        return one_reading.objection(self.file, dictionary.vrs())

    @cached_property
    def header_changes(self) -> list[HeaderChange]:
        """Where the header differs from the signed one; empty without a signed header.

        Raises UnreadableObject when sequences are damaged, or nested too deeply.
        """
        sealed = self.attestation.table
        return [] if sealed is None else table.changes(sealed, self.present_table)

    @cached_property
    def amended(self) -> dict[int, bytes]:
        """Tag -> the digest that the amendments say an element has; nobody's signature is checked here.

        Raises SealBroken when they are malformed.
        """
        block, sealed = self.block, self.attestation.table
        if block is None or sealed is None or not block.amendments:
            return {}
        return amendment.covered(amendment.decode(block.amendments, self.attestation.encoded), sealed)

    @cached_property
    def present_table(self) -> HeaderTable:
        """The digests of the header as it is now. There must be a signed header.

        Raises UnreadableObject when sequences are damaged, or nested too deeply.
        """
        sealed, stated = self.attestation.table, self.statement
        if sealed is None or stated is None:
            raise AssertionError("only a signed header has a salt")
        return table.take(self.file, stated.header_salt, edition=sealed.edition)

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

    @property
    def envelope(self) -> Envelope | Locator | None:
        """The record, closed: from the pixels, or at level digest from the private block."""
        statement, block = self.statement, self.block
        if statement is not None and block is not None and statement.level == Level.DIGEST:
            return envelope.parse(block.envelope)
        return self.payload

    @cached_property
    def content_digest(self) -> bytes:
        """The digest of what the statement covers. There must be a statement.

        Raises UnsupportedPixels when the content can't be read, UnreadableObject when sequences are nested too deeply.
        """
        stated = self.statement
        if stated is None:
            raise AssertionError("only a statement says what its digest covers")
        if stated.domain == Domain.PIXELS:
            return self.pixel_digest
        if stated.domain == Domain.FRAGMENTS:
            if PIXEL_DATA not in self.file.index:
                raise UnsupportedPixels("there is no Pixel Data")
            return digest.of_fragments(self.file) if stated.version == 1 else digest.of_encoded(self.file)
        if stated.version == 1:
            return digest.of_dataset(self.file, frozenset(stated.header_digests))
        return digest.of_table(self.block.header if self.block else b"")

    @cached_property
    def pixel_digest(self) -> bytes:
        """The digest of the samples, whatever the statement covers.

        Raises UnsupportedPixels when they do not decode.
        """
        try:
            shape = pixel_format(self.file)
            engine = digest.PixelDigest(shape.frames, shape)
            for samples in self.pieces(shape):
                engine.update(samples)
        except UnreadableObject as error:
            raise UnsupportedPixels("they do not decode") from error
        return engine.digest()

    @cached_property
    def decoded(self) -> bool:
        """Whether the pixels are those that the sealed fragments, compressed with loss, decode to.

        Raises UnsupportedPixels when they do not decode.
        """
        stated = self.statement
        if stated is None or not stated.decoded_digest:
            return False
        # Of a stream compressed with loss another reader may make something else.
        reversible = syntax_of(self.file.transfer_syntax).reversible
        return self.pixel_digest == stated.decoded_digest and reversible

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


def _mismatch(block: Block, stated: Statement) -> SealBroken | None:
    """The first part of the block that is not the one in its statement."""
    if block.version != stated.version:
        return SealBroken("block and statement are of different format versions", check=2)
    parts = {
        "tile digests": (block.tiles, stated.tiles_hash),
        "restoring element": (block.restoring, stated.restoring_hash),
        "envelope": (block.envelope, stated.envelope_hash),
        "signed header": (block.header, stated.header_hash),
        "header as received": (block.received, stated.received_hash),
    }
    for name, (part, stated_hash) in parts.items():
        if private_block.hash_part(part) != stated_hash:
            return SealBroken(f"the {name} is not the one in the statement", check=2)
    if block.level != stated.level or block.digest != stated.digest.hex():
        return SealBroken("the readable level or digest is not the one in the statement", check=2)
    return None
