"""State what an object is, sign the statement, and lay both out as the private block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from blake3 import blake3

from gateway.dicom.encapsulation import fragments
from gateway.dicom.image import (
    HighBits,
    PixelFormat,
    Pixels,
)
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import decode_in_pieces, in_common
from gateway.dicom.tags import PIXEL_DATA, SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.errors import UnsupportedPixels
from gateway.seal.block import digest, private_block, statement
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Domain, Level, Statement
from gateway.seal.codec import Hidden
from gateway.seal.context import SealContext
from gateway.seal.documenting import Edits
from gateway.seal.record.fields import field

_SALT_BYTES = 16


def domain_of(file: Part10, pixels: Pixels | None) -> Domain:
    """What a digest of this object can cover.

    Bits above BitsStored that mean something are no part of the samples: such pixel data is covered as encoded.
    """
    if pixels is not None and pixels.high_bits is not HighBits.OTHER:
        return Domain.PIXELS
    return Domain.FRAGMENTS if PIXEL_DATA in file.index else Domain.DATASET


def digest_encoded(file: Part10) -> bytes:
    """The digest of domain `fragments`.

    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    element = file.index[PIXEL_DATA]
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    if file.in_memory:
        value = value[:]
    return digest.of_fragments(fragments(value) if element.undefined else [value])


@dataclass(frozen=True)
class Covered:
    """What a digest covers.

    domain: the kind of content.
    digest: 32 bytes.
    tiles: the digests of the tiles; empty unless the domain is pixels.
    edge: of a tile, in pixels; 0 unless the domain is pixels.
    """

    domain: Domain
    digest: bytes
    tiles: bytes = b""
    edge: int = 0


def covered(
    file: Part10, shape: PixelFormat | None, pixels: Pixels | None, identity_fields: Iterable[str]
) -> Covered:
    """The digest of an object.

    shape, pixels: what the sealed object will have; None when its pixels can't be decoded.
    identity_fields: keywords of the fields that have digests of their own.
    Raises UnreadableObject when sequences are nested too deeply.
    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    if domain_of(file, pixels) is Domain.PIXELS and pixels is not None and shape is not None:
        edge = digest.tile_edge(*pixels.samples.shape[:3])
        tiles = digest.of_tiles(pixels.samples, shape, edge)
        return Covered(Domain.PIXELS, digest.of_pixels(pixels.samples, shape), tiles, edge)
    if PIXEL_DATA in file.index:
        return Covered(Domain.FRAGMENTS, digest_encoded(file))
    return Covered(Domain.DATASET, digest.of_dataset(file, tags_of(identity_fields)))


def covered_in_pieces(file: Part10, shape: PixelFormat | None, identity_fields: Iterable[str]) -> Covered:
    """What `covered` returns for the pixels of the file itself. They are never in memory all at once.

    shape: None when the pixels are not to be decoded.
    Raises UnreadableObject and UnsupportedPixels as `covered` does.
    """
    if shape is not None:
        try:
            return _pixels_in_pieces(file, shape)
        except UnsupportedPixels:
            return covered(file, None, None, identity_fields)
    return covered(file, None, None, identity_fields)


def _pixels_in_pieces(file: Part10, shape: PixelFormat) -> Covered:
    edge = digest.tile_edge(shape.frames, shape.rows, shape.columns)
    engine, tiles, first = digest.PixelDigest(shape.frames, shape), [], 0
    for piece in in_common(decode_in_pieces(file, shape), file):
        engine.update(piece.samples)
        tiles.append(digest.of_tiles(piece.samples, shape, edge, first=first))
        first += len(piece.samples)
    return Covered(Domain.PIXELS, engine.digest(), b"".join(tiles), edge)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What was put into the pixels.

    mode: "envelope" or "locator", whichever the payload is.
    payload: the bytes that the pixels hold.
    hidden: how the codec hid them.
    restoring: the element that undoes the change of the pixels.
    envelope: the element that the locator points to; empty in mode "envelope".
    syntax: transfer syntax of the sealed object.
    """

    mode: str
    payload: bytes
    hidden: Hidden
    restoring: bytes
    envelope: bytes
    syntax: str


def attested(
    file: Part10,
    context: SealContext,
    *,
    reason: str,
    content: Covered,
    embedded: Embedded | None = None,
) -> Edits:
    """Edits that insert the private block with its signed statement.

    file: with the header that the sealed object will have.
    reason: code word for the level.
    content: the digest of the sealed object.
    embedded: what its pixels hold; None at level digest.
    """
    salt = context.entropy(_SALT_BYTES)
    stated = Statement(
        level=Level.FULL.value if embedded else Level.DIGEST.value,
        reason=reason,
        domain=content.domain.value,
        digest=content.digest,
        sop_class_uid=file.text(SOP_CLASS_UID),
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        transfer_syntax=file.transfer_syntax,
        header_salt=salt,
        header_digests=digest.of_header(file, context.options.identity_fields, salt),
        sealed_at=int(context.now.timestamp()),
        signer_id=context.signer.key_id,
        tile_edge=content.edge,
        tiles_hash=private_block.hash_part(content.tiles),
    )
    if embedded:
        stated = _with_embedded(stated, embedded, context)
    encoded = statement.encode(stated)
    block = Block(
        level=stated.level,
        digest=content.digest.hex(),
        statement=encoded,
        signature=statement.sign(encoded, context.signer),
        tiles=content.tiles,
        restoring=embedded.restoring if embedded else b"",
        envelope=embedded.envelope if embedded else b"",
    )
    return private_block.edits(block, file)


def _with_embedded(stated: Statement, embedded: Embedded, context: SealContext) -> Statement:
    return replace(
        stated,
        transfer_syntax=embedded.syntax,
        recipient_id=context.recipient.key_id,
        mode=embedded.mode,
        payload_hash=blake3(embedded.payload).digest(),
        codec_id=embedded.hidden.codec_id,
        profile=str(embedded.hidden.profile),
        hint=dict(embedded.hidden.hint),
        restoring_hash=private_block.hash_part(embedded.restoring),
        envelope_hash=private_block.hash_part(embedded.envelope),
    )


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    """The tags of identity fields."""
    return frozenset(field(keyword).tag for keyword in keywords)
