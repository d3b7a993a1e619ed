"""State what an object is, sign it, and lay both out as the private block."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from gateway.seal import block, digest, statement
from gateway.seal.block import Block
from gateway.seal.codec import Hidden
from gateway.seal.compressed import fragments
from gateway.seal.documenting import SOP_CLASS_UID, SOP_INSTANCE_UID, Edits
from gateway.seal.fields import field
from gateway.seal.image import PIXEL_DATA, HighBits, PixelFormat, Pixels
from gateway.seal.job import Job
from gateway.seal.part10 import Part10
from gateway.seal.statement import Domain, Level, Statement

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
    value = file.body[element.value : element.end]
    return digest.of_fragments(fragments(value) if element.undefined else [value])


def attested(
    file: Part10,
    job: Job,
    *,
    level: Level,
    reason: str,
    pixels: Pixels | None,
    shape: PixelFormat | None,
    syntax: str | None = None,
    mode: str = "",
    payload: bytes = b"",
    hidden: Hidden | None = None,
    restoring: bytes = b"",
    envelope: bytes = b"",
) -> tuple[Edits, bytes]:
    """Edits that insert the signed block, and the digest it states.

    file: with the header the sealed object will have. pixels: those the sealed object will have, None when
    they can't be decoded. syntax: of the sealed object when it differs from the file's.
    """
    domain = domain_of(file, pixels)
    tiles, edge = b"", 0
    if domain is Domain.PIXELS and pixels is not None and shape is not None:
        found = digest.of_pixels(pixels.samples, shape)
        edge = digest.tile_edge(*pixels.samples.shape[:3])
        tiles = digest.of_tiles(pixels.samples, shape, edge)
    elif domain is Domain.FRAGMENTS:
        found = digest_encoded(file)
    else:
        found = digest.of_dataset(file, tags_of(job.options.identity_fields))
    salt = job.entropy(_SALT_BYTES)
    said = Statement(
        level=level.value,
        reason=reason,
        domain=domain.value,
        digest=found,
        sop_class_uid=file.text(SOP_CLASS_UID),
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        transfer_syntax=syntax or file.transfer_syntax,
        header_salt=salt,
        header_digests=digest.of_header(file, job.options.identity_fields, salt),
        sealed_at=int(job.now.timestamp()),
        signer_id=job.signer.key_id,
        recipient_id=job.recipient.key_id if hidden else b"",
        mode=mode,
        payload_hash=blake3(payload).digest() if payload else b"",
        codec_id=hidden.codec_id if hidden else "",
        profile=str(hidden.profile) if hidden else "",
        hint=dict(hidden.hint) if hidden else {},
        tile_edge=edge,
        tiles_hash=block.hash_part(tiles),
        restoring_hash=block.hash_part(restoring),
        envelope_hash=block.hash_part(envelope),
    )
    encoded = statement.encode(said)
    made = Block(
        level=level.value,
        digest=found.hex(),
        statement=encoded,
        signature=statement.sign(encoded, job.signer),
        tiles=tiles,
        restoring=restoring,
        envelope=envelope,
    )
    return block.edits(made, file), found


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    return frozenset(field(keyword).tag for keyword in keywords)
