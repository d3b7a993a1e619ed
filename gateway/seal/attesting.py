"""State what an object is, sign it, and lay both out as the private block."""

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
    """What a digest of this object can cover. Bits above BitsStored that mean something are covered as
    encoded.
    """
    if pixels is not None and pixels.high_bits is not HighBits.OTHER:
        return Domain.PIXELS
    return Domain.FRAGMENTS if PIXEL_DATA in file.index else Domain.DATASET


def digest_encoded(file: Part10) -> bytes:
    """The digest of domain `fragments`. Raises UnsupportedPixels when the encapsulation is damaged."""
    element = file.index[PIXEL_DATA]
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    if file.in_memory:
        value = value[:]
    return digest.of_fragments(fragments(value) if element.undefined else [value])


@dataclass(frozen=True)
class Covered:
    """What a digest was taken of. tiles: of domain pixels only, else empty; edge: theirs, else 0."""

    domain: Domain
    digest: bytes
    tiles: bytes = b""
    edge: int = 0


def covered(
    file: Part10, shape: PixelFormat | None, pixels: Pixels | None, identity_fields: Iterable[str]
) -> Covered:
    """pixels: those the sealed object will have, None when they can't be decoded. Raises UnreadableObject,
    UnsupportedPixels.
    """
    if domain_of(file, pixels) is Domain.PIXELS and pixels is not None and shape is not None:
        edge = digest.tile_edge(*pixels.samples.shape[:3])
        found = digest.of_pixels(pixels.samples, shape)
        return Covered(Domain.PIXELS, found, digest.of_tiles(pixels.samples, shape, edge), edge)
    if PIXEL_DATA in file.index:
        return Covered(Domain.FRAGMENTS, digest_encoded(file))
    return Covered(Domain.DATASET, digest.of_dataset(file, tags_of(identity_fields)))


def covered_in_pieces(file: Part10, shape: PixelFormat | None, identity_fields: Iterable[str]) -> Covered:
    """What `covered` gives for the pixels as they are, never all of them in memory.

    shape: None when they are not to be decoded. Raises UnreadableObject, UnsupportedPixels.
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
    """What was put into the pixels. envelope: empty unless the payload is a locator. syntax: of the sealed object."""

    mode: str
    payload: bytes
    hidden: Hidden
    restoring: bytes
    envelope: bytes
    syntax: str


def attested(
    file: Part10,
    job: SealContext,
    *,
    reason: str,
    content: Covered,
    mark: Embedded | None = None,
) -> tuple[Edits, bytes]:
    """Edits that insert the signed block, and the digest it states.

    file: with the header the sealed object will have. content: of the sealed object. mark: None at level digest.
    """
    tiles, found = content.tiles, content.digest
    salt = job.entropy(_SALT_BYTES)
    said = Statement(
        level=Level.FULL.value if mark else Level.DIGEST.value,
        reason=reason,
        domain=content.domain.value,
        digest=found,
        sop_class_uid=file.text(SOP_CLASS_UID),
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        transfer_syntax=file.transfer_syntax,
        header_salt=salt,
        header_digests=digest.of_header(file, job.options.identity_fields, salt),
        sealed_at=int(job.now.timestamp()),
        signer_id=job.signer.key_id,
        tile_edge=content.edge,
        tiles_hash=private_block.hash_part(tiles),
    )
    if mark:
        said = _marked(said, mark, job)
    encoded = statement.encode(said)
    made = Block(
        level=said.level,
        digest=found.hex(),
        statement=encoded,
        signature=statement.sign(encoded, job.signer),
        tiles=tiles,
        restoring=mark.restoring if mark else b"",
        envelope=mark.envelope if mark else b"",
    )
    return private_block.edits(made, file), found


def _marked(said: Statement, mark: Embedded, job: SealContext) -> Statement:
    return replace(
        said,
        transfer_syntax=mark.syntax,
        recipient_id=job.recipient.key_id,
        mode=mark.mode,
        payload_hash=blake3(mark.payload).digest(),
        codec_id=mark.hidden.codec_id,
        profile=str(mark.hidden.profile),
        hint=dict(mark.hidden.hint),
        restoring_hash=private_block.hash_part(mark.restoring),
        envelope_hash=private_block.hash_part(mark.envelope),
    )


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    return frozenset(field(keyword).tag for keyword in keywords)
