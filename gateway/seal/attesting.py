"""State what an object is, sign the statement, and lay both out as the private block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from gateway.dicom.image import (
    HighBits,
    PixelFormat,
    Pixels,
)
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import decode_in_pieces, in_common
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import PIXEL_DATA, SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.errors import UnsupportedPixels
from gateway.seal import levels
from gateway.seal.block import digest, private_block, statement
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Domain, Level, Statement
from gateway.seal.codec import Hidden
from gateway.seal.context import SealContext
from gateway.seal.documenting import Edits
from gateway.seal.header import table
from gateway.seal.header.table import HeaderTable
from gateway.seal.record import likeness

_SALT_BYTES = 16


def domain_of(file: Part10, pixels: Pixels | None) -> Domain:
    """What a digest of this object can cover.

    Bits above BitsStored that mean something are no part of the samples: such pixel data is covered as encoded.
    """
    if pixels is not None and pixels.high_bits is not HighBits.OTHER:
        return Domain.PIXELS
    return Domain.FRAGMENTS if PIXEL_DATA in file.index else Domain.DATASET


@dataclass(frozen=True)
class Covered:
    """What a digest covers.

    domain: the kind of content.
    digest: 32 bytes; empty for domain dataset, whose digest is that of the signed header.
    tiles: the digests of the tiles; empty where there are no decoded samples.
    edge: of a tile, in pixels; 0 without tiles.
    shown: up to eight frames, (frames, rows, columns, samples), from which a likeness can be taken; None without
        decoded samples.
    decoded: of domain fragments, the digest of the samples that the fragments decode to, 32 bytes; empty where they do
        not decode, or what they decode to is not all that counts.
    """

    domain: Domain
    digest: bytes
    tiles: bytes = b""
    edge: int = 0
    shown: NDArray[Any] | None = None
    decoded: bytes = b""


def covered(file: Part10, shape: PixelFormat | None, pixels: Pixels | None) -> Covered:
    """The digest of an object.

    shape, pixels: what the sealed object will have; None when its pixels can't be decoded.
    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    if domain_of(file, pixels) is Domain.PIXELS and pixels is not None and shape is not None:
        edge = digest.tile_edge(*pixels.samples.shape[:3])
        tiles = digest.of_tiles(pixels.samples, shape, edge)
        of_pixels = digest.of_pixels(pixels.samples, shape)
        return Covered(Domain.PIXELS, of_pixels, tiles, edge, likeness.shown(pixels.samples))
    if PIXEL_DATA in file.index:
        return Covered(Domain.FRAGMENTS, digest.of_encoded(file))
    return Covered(Domain.DATASET, b"")


def covered_in_pieces(file: Part10, shape: PixelFormat | None) -> Covered:
    """What `covered` returns for the pixels of the file itself. They are never in memory all at once.

    Pixels that were compressed with loss are covered as they are encoded, and beside it as they decode: decoders may
    differ, and where they do not, an archive that decodes them is told from one that changes them.

    shape: None when the pixels are not to be decoded.
    Raises UnsupportedPixels as `covered` does.
    """
    if shape is None:
        return covered(file, None, None)
    try:
        decoded = _pixels_in_pieces(file, shape)
    except UnsupportedPixels:
        return covered(file, None, None)
    if syntax_of(file.transfer_syntax).reversible:
        return decoded
    return replace(decoded, domain=Domain.FRAGMENTS, digest=digest.of_encoded(file), decoded=decoded.digest)


def _pixels_in_pieces(file: Part10, shape: PixelFormat) -> Covered:
    edge = digest.tile_edge(shape.frames, shape.rows, shape.columns)
    engine, tiles, first = digest.PixelDigest(shape.frames, shape), [], 0
    numbers, shown = likeness.frames_shown(shape.frames), []
    for piece in in_common(decode_in_pieces(file, shape), file):
        engine.update(piece.samples)
        tiles.append(digest.of_tiles(piece.samples, shape, edge, first=first))
        last = first + len(piece.samples)
        shown += [piece.samples[number - first] for number in numbers if first <= number < last]
        first = last
    return Covered(Domain.PIXELS, engine.digest(), b"".join(tiles), edge, np.stack(shown))


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


@dataclass(frozen=True)
class Attested:
    """The private block with its signed statement.

    edits: that insert it.
    digest: of what the statement covers, 32 bytes.
    table: the digests of the header.
    """

    edits: Edits
    digest: bytes
    table: HeaderTable


def attested(
    file: Part10,
    context: SealContext,
    *,
    reason: str,
    content: Covered,
    received: bytes,
    header: Edits | None = None,
    shape: PixelFormat | None = None,
    embedded: Embedded | None = None,
    envelope: bytes = b"",
) -> Attested:
    """The private block of an object.

    file: with the header that the sealed object will have, but for the edits in `header`.
    reason: code word for the level.
    content: what the digest of the sealed object covers.
    received: the encrypted header as received.
    header: edits of the header that will still be made; they are covered.
    shape: of the pixels, when the domain is pixels.
    embedded: what its pixels hold; None at level digest.
    envelope: the record at level digest, where the pixels can't hold it.
    Raises UnreadableObject when sequences are nested too deeply.
    """
    salt = context.entropy(_SALT_BYTES)
    header_table = table.take(file, salt, edits=header or {})
    encoded_table = table.encode(header_table)
    content_digest = content.digest or digest.of_table(encoded_table)
    stated = Statement(
        level=Level.FULL.value if embedded else Level.DIGEST.value,
        reason=reason,
        domain=content.domain.value,
        digest=content_digest,
        sop_class_uid=file.text(SOP_CLASS_UID),
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        transfer_syntax=file.transfer_syntax,
        header_salt=salt,
        sealed_at=int(context.now.timestamp()),
        signer_id=context.signer.key_id,
        recipient_id=context.recipient.key_id,
        tile_edge=content.edge,
        tiles_hash=private_block.hash_part(content.tiles),
        envelope_hash=private_block.hash_part(envelope),
        header_hash=private_block.hash_part(encoded_table),
        received_hash=private_block.hash_part(received),
        likeness=_likeness(content, shape, salt),
        levels=_levels(content, shape, file),
        decoded_digest=content.decoded,
    )
    if embedded:
        stated = _with_embedded(stated, embedded)
    encoded = statement.encode(stated)
    block = Block(
        level=stated.level,
        digest=content_digest.hex(),
        statement=encoded,
        signature=statement.sign(encoded, context.signer),
        tiles=content.tiles,
        restoring=embedded.restoring if embedded else b"",
        envelope=embedded.envelope if embedded else envelope,
        header=encoded_table,
        received=received,
    )
    return Attested(private_block.edits(block, file), content_digest, header_table)


def _likeness(content: Covered, shape: PixelFormat | None, salt: bytes) -> bytes:
    """8 bytes, or b"" for what has no likeness."""
    if content.shown is None or shape is None:
        return b""
    if content.decoded and shape.samples == 3:
        # JPEG decoders give RGB, whatever colour space the fragments have.
        shape = replace(shape, photometric="RGB")
    return likeness.of_image(content.shown, shape, salt)


def _levels(content: Covered, shape: PixelFormat | None, file: Part10) -> bytes:
    """Empty for what has none."""
    if content.shown is None or shape is None:
        return b""
    found = levels.of_image(content.shown, shape, file)
    return levels.encode(found) if found else b""


def _with_embedded(stated: Statement, embedded: Embedded) -> Statement:
    return replace(
        stated,
        transfer_syntax=embedded.syntax,
        mode=embedded.mode,
        payload_hash=blake3(embedded.payload).digest(),
        codec_id=embedded.hidden.codec_id,
        profile=str(embedded.hidden.profile),
        hint=dict(embedded.hidden.hint),
        restoring_hash=private_block.hash_part(embedded.restoring),
        envelope_hash=private_block.hash_part(embedded.envelope),
    )
