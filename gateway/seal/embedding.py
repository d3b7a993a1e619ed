"""Level full: hide the envelope or a locator in the pixels, and keep what undoes the change.

Before the sealed file is returned, it is proven that record and original come back from it.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.dicom.image import HighBits, PixelFormat, Pixels, pixel_format
from gateway.dicom.lazy_bytes import ByteRange
from gateway.dicom.padding import padding_values
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import (
    decode,
    encoded,
)
from gateway.dicom.syntaxes import syntax_of, writable_syntax
from gateway.dicom.tags import IMAGE_TYPE, SOP_INSTANCE_UID
from gateway.dicom.window import voi_window
from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.seal import documenting
from gateway.seal.attesting import Attested, Embedded, attested, covered
from gateway.seal.block import digest, private_block, statement
from gateway.seal.block.statement import Level
from gateway.seal.codec import HideFailed
from gateway.seal.codec.layout import PAYLOAD_MAX
from gateway.seal.context import NotEmbedded, SealContext, SealResult
from gateway.seal.documenting import Edits
from gateway.seal.header import received, table
from gateway.seal.header.received import ReceivedHeader
from gateway.seal.opening import located, undone_pixels
from gateway.seal.rebuilding import comes_back
from gateway.seal.record import envelope, likeness, record
from gateway.seal.record.envelope import Envelope, Locator
from gateway.seal.undo import restoring_element
from gateway.seal.undo.restoring_element import Facts


@dataclass(frozen=True, kw_only=True)
class _Cover:
    """The object as it came, and all that every attempt to hide a payload in it needs.

    file, shape, pixels: the object as it came.
    syntax: the transfer syntax in which the sealed object is written.
    header: edits that document the sealing and are not in `documented` yet.
    documented: the file with the identity that the sealed object will have.
    facts: what restoring has to know.
    restore_key: encrypts the restoring element.
    closed: the record in its envelope.
    shortened: keywords of record fields that were cut.
    received: the data set as it came.
    received_element: the same, encrypted.
    """

    file: Part10
    shape: PixelFormat
    pixels: Pixels
    syntax: str
    header: Edits
    documented: Part10
    facts: Facts
    restore_key: bytes
    closed: Envelope
    shortened: frozenset[str]
    received: ReceivedHeader
    received_element: bytes


def embedded(
    file: Part10, shape: PixelFormat, pixels: Pixels, context: SealContext
) -> tuple[bytes, SealResult]:
    """The object with its record in the pixels, and what was done.

    The envelope is tried first, then a locator.

    Raises NotEmbedded with the reason of the last attempt.
    """
    cover = _prepared(file, shape, pixels, context)
    reason, envelope_failure = "payload-too-large", ""
    for payload in (cover.closed, Locator(context.entropy(envelope.LOCATOR_ID_BYTES))):
        if isinstance(payload, Locator):
            envelope_failure = reason
        elif len(payload.to_payload()) > PAYLOAD_MAX:
            continue
        try:
            sealed, result = _attempted(cover, payload, context)
            return sealed, replace(result, fallback=envelope_failure or None)
        except HideFailed as failure:
            reason = failure.code
        except (SealBroken, UnsupportedPixels, UnreadableObject):
            reason = "not-proven"
    raise NotEmbedded(reason)


def _prepared(file: Part10, shape: PixelFormat, pixels: Pixels, context: SealContext) -> _Cover:
    syntax = writable_syntax(file.transfer_syntax, context.options.accept_syntaxes)
    if syntax is None:
        raise NotEmbedded("no-encoder")
    if pixels.high_bits is HighBits.OTHER:
        raise NotEmbedded("high-bits-in-use")
    with context.steps.step("header"):
        header = documenting.document(file, context.options.device, context.now)
        documented, original_uid = file, ""
        if context.options.identity == "derive":
            original_uid = file.text(SOP_INSTANCE_UID)
            new_uid = f"2.25.{uuid.UUID(bytes=context.entropy(16), version=4).int}"
            header |= documenting.derive(file, new_uid)
            documented = read(file.edited(header, sop_instance_uid=new_uid))
            header = {}
    added = {tag for tag in documented.index if tag not in file.index} | {
        tag for tag in header if tag not in file.index
    }
    replaced = (
        {IMAGE_TYPE: (file.value(IMAGE_TYPE) or b"")} if original_uid and IMAGE_TYPE in file.index else {}
    )
    with context.steps.step("envelope"):
        restore_key = context.entropy(record.RESTORE_KEY_BYTES)
        image_likeness = likeness.of_image(pixels.samples, shape, restore_key)
        taken = record.take(documented, context.options.identity_fields, restore_key, likeness=image_likeness)
        closed = envelope.close(record.pack(taken), context.recipient)
    with context.steps.step("header"):
        as_received = received.capture(file)
        try:
            received_element = received.close(as_received, restore_key)
        except SealBroken:
            raise NotEmbedded("not-proven") from None
    with context.steps.step("digest"):
        original_digest = digest.of_pixels(pixels.samples, shape)
    facts = Facts(
        original_digest=original_digest,
        high_bits=pixels.high_bits,
        transfer_syntax=file.transfer_syntax,
        added=tuple(sorted(added)),
        replaced=replaced,
        sop_instance_uid=original_uid,
    )
    return _Cover(
        file=file,
        shape=shape,
        pixels=pixels,
        syntax=syntax,
        header=header,
        documented=documented,
        facts=facts,
        restore_key=restore_key,
        closed=closed,
        shortened=taken.shortened,
        received=as_received,
        received_element=received_element,
    )


def _attempted(cover: _Cover, payload: Envelope | Locator, context: SealContext) -> tuple[bytes, SealResult]:
    """The sealed object, with this payload in its pixels.

    Raises HideFailed when the payload does not fit.
    Raises SealBroken, UnsupportedPixels or UnreadableObject when a proof fails.
    """
    payload_bytes = payload.to_payload()
    stored = located(cover.closed, payload) if isinstance(payload, Locator) else b""
    with context.steps.step("hide"):
        hidden = context.codec.hide(
            cover.pixels.samples,
            payload_bytes,
            profile=context.options.profile,
            padding=padding_values(cover.file, cover.shape),
            ybr=cover.shape.photometric == "YBR_FULL",
            window=voi_window(cover.file) if cover.shape.allocated > 8 else None,
            frames=context.options.frames,
        )
    with context.steps.step("restoring"):
        change = restoring_element.change_of(cover.pixels.samples, hidden.container)
        restoring = restoring_element.close(cover.facts, change, cover.restore_key, hidden.synthesis)
    container = Pixels(hidden.container, cover.pixels.high_bits)
    put_in = Embedded(
        mode="locator" if stored else "envelope",
        payload=payload_bytes,
        hidden=hidden,
        restoring=restoring,
        envelope=stored,
        syntax=cover.syntax,
    )
    with context.steps.step("attest"):
        content = covered(cover.documented, cover.shape, container)
        block = attested(
            cover.documented,
            context,
            reason="sealed",
            content=content,
            received=cover.received_element,
            header=cover.header,
            shape=cover.shape,
            embedded=put_in,
        )
    with context.steps.step("encode"):
        edits = block.edits | cover.header | encoded(cover.documented, container, cover.shape, cover.syntax)
        new_syntax = cover.syntax if cover.syntax != cover.file.transfer_syntax else None
        sealed = cover.documented.edited(edits, syntax=new_syntax)
    quality = psnr_range_db(cover.pixels.samples, change)
    hint, coded_bits, max_change = hidden.hint, hidden.coded_bits, hidden.max_change
    # Each of these may hold all pixels, and the proof needs room for its own.
    del edits, container, hidden, put_in
    with context.steps.step("prove"):
        whole = _prove(sealed, block, payload_bytes, hint, cover, context)
    return sealed, SealResult(
        sop_instance_uid=cover.documented.text(SOP_INSTANCE_UID),
        level=Level.FULL.value,
        reason="sealed",
        mode="locator" if stored else "envelope",
        payload_bits=8 * len(payload_bytes),
        coded_bits=coded_bits,
        psnr_range_db=quality,
        max_change=max_change,
        digest=block.digest.hex(),
        whole=whole,
        seal_ms=context.steps.total,
        steps_ms=context.steps.ms,
        restoring_bytes=len(restoring),
        shortened=tuple(sorted(cover.shortened)),
    )


def _prove(
    sealed: bytes,
    block: Attested,
    payload: bytes,
    hint: dict[str, int],
    cover: _Cover,
    context: SealContext,
) -> bool:
    """Read the sealed file as its receiver will. Returns whether the data set comes back byte for byte.

    Raises SealBroken when container, payload, block, header or original do not come back.
    Raises UnsupportedPixels or UnreadableObject when the file can't be read at all.
    """
    # A ByteRange, so that the file is not copied.
    file = read(ByteRange(sealed, 0, len(sealed)))
    shape = pixel_format(file)
    pixels = decode(file, shape)
    if digest.of_pixels(pixels.samples, shape) != block.digest:
        raise SealBroken("the container does not read back from the sealed file", check=5)
    revealed = context.codec.reveal(pixels.samples, hint=hint)
    if revealed is None or revealed.payload != payload:
        raise SealBroken("the payload does not come back from the sealed file", check=7)
    found = private_block.find(file)
    if found is None:
        raise SealBroken("the private block does not come back from the sealed file", check=2)
    stated, _ = statement.decode(found.statement)
    if table.changes(block.table, table.take(file, stated.header_salt)):
        raise SealBroken("the header does not come back from the sealed file", check=6)
    facts, original = undone_pixels(shape, pixels, found, cover.restore_key)
    if facts.original_digest != cover.facts.original_digest:
        raise SealBroken("the original does not come back from the sealed file", check=9)
    if not syntax_of(file.transfer_syntax).native:
        # Proves that the original can be written in this syntax.
        encoded(file, original, shape, file.transfer_syntax)
    opened = received.open_element(found.received, cover.restore_key)
    whole = comes_back(file, opened, (shape, original))
    if not whole and syntax_of(cover.file.transfer_syntax).native:
        raise SealBroken("the data set does not come back from the sealed file", check=11)
    return whole


def psnr_range_db(cover: NDArray[Any], change: NDArray[np.int32]) -> float | None:
    """Peak signal-to-noise ratio over all frames, the cover's own range as peak; None when nothing changed."""
    error = float(np.sum(np.square(change, dtype=np.float64))) / cover.size
    peak = float(cover.max()) - float(cover.min())
    return round(10 * math.log10(peak * peak / error), 2) if error and peak else None
