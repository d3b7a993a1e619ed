"""Level full: hide the envelope (or a locator) in the pixels, keep what undoes it, and prove both ways
back.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.dicom.image import PixelFormat, Pixels, pixel_format
from gateway.dicom.lazy_bytes import ByteRange
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
from gateway.seal.attesting import Embedded, attested, covered
from gateway.seal.block import digest, private_block
from gateway.seal.block.statement import Level
from gateway.seal.codec import HideFailed
from gateway.seal.context import NotEmbedded, SealContext, SealResult
from gateway.seal.documenting import Edits
from gateway.seal.opening import located, undone_pixels
from gateway.seal.record import envelope, likeness, record
from gateway.seal.record.envelope import Envelope, Locator
from gateway.seal.undo import restoring_element
from gateway.seal.undo.restoring_element import Facts

PAYLOAD_MAX = 1000  # bytes the codec takes
_PADDING_VALUE, _PADDING_LIMIT = 0x00280120, 0x00280121


@dataclass(frozen=True, kw_only=True)
class _Cover:
    """The object as it came, with the header it will have."""

    file: Part10
    shape: PixelFormat
    pixels: Pixels
    syntax: str  # in which the container is written
    header: Edits
    documented: Part10
    facts: Facts
    restore_key: bytes
    closed: Envelope
    shortened: frozenset[str]


def embedded(file: Part10, shape: PixelFormat, pixels: Pixels, job: SealContext) -> tuple[bytes, SealResult]:
    """The object with its record in the pixels. Raises NotMarked with the reason of the last attempt."""
    cover = _prepared(file, shape, pixels, job)
    reason, tried = "payload-too-large", ""
    for payload in (cover.closed, Locator(job.entropy(envelope.LOCATOR_ID_BYTES))):
        if isinstance(payload, Locator):
            tried = reason
        elif len(payload.to_payload()) > PAYLOAD_MAX:
            continue
        try:
            sealed, result = _attempted(cover, payload, job)
            return sealed, replace(result, fallback=tried or None)
        except HideFailed as failure:
            reason = failure.code
        except (SealBroken, UnsupportedPixels, UnreadableObject):
            reason = "not-proven"
    raise NotEmbedded(reason)


def _prepared(file: Part10, shape: PixelFormat, pixels: Pixels, job: SealContext) -> _Cover:
    syntax = writable_syntax(file.transfer_syntax, job.options.accept_syntaxes)
    if syntax is None:
        raise NotEmbedded("no-encoder")
    if pixels.high_bits is pixels.high_bits.OTHER:
        raise NotEmbedded("high-bits-in-use")
    with job.steps.step("header"):
        header = documenting.document(file, job.options.device, job.now)
        documented, original_uid = file, ""
        if job.options.identity == "derive":
            original_uid = file.text(SOP_INSTANCE_UID)
            new_uid = f"2.25.{uuid.UUID(bytes=job.entropy(16), version=4).int}"
            header |= documenting.derive(file, new_uid)
            documented = read(file.edited(header, sop_instance_uid=new_uid))
            header = {}
    added = {tag for tag in documented.index if tag not in file.index} | {
        tag for tag in header if tag not in file.index
    }
    replaced = (
        {IMAGE_TYPE: (file.value(IMAGE_TYPE) or b"")} if original_uid and IMAGE_TYPE in file.index else {}
    )
    with job.steps.step("envelope"):
        restore_key = job.entropy(record.RESTORE_KEY_BYTES)
        seen = likeness.of_image(pixels.samples, shape, restore_key)
        taken = record.take(documented, job.options.identity_fields, restore_key, likeness=seen)
        closed = envelope.close(record.pack(taken), job.recipient)
    with job.steps.step("digest"):
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
    )


def _attempted(cover: _Cover, payload: Envelope | Locator, job: SealContext) -> tuple[bytes, SealResult]:
    """One attempt. Raises HideFailed when the payload does not fit, SealBroken when a proof fails."""
    content = payload.to_payload()
    stored = located(cover.closed, payload) if isinstance(payload, Locator) else b""
    with job.steps.step("hide"):
        hidden = job.codec.hide(
            cover.pixels.samples,
            content,
            profile=job.options.profile,
            padding=padding_values(cover.file, cover.shape),
            ybr=cover.shape.photometric == "YBR_FULL",
            window=voi_window(cover.file) if cover.shape.allocated > 8 else None,
            frames=job.options.frames,
        )
    with job.steps.step("restoring"):
        change = restoring_element.change_of(cover.pixels.samples, hidden.container)
        undo = restoring_element.close(cover.facts, change, cover.restore_key, hidden.synthesis)
    container = Pixels(hidden.container, cover.pixels.high_bits)
    mark = Embedded(
        mode="locator" if stored else "envelope",
        payload=content,
        hidden=hidden,
        restoring=undo,
        envelope=stored,
        syntax=cover.syntax,
    )
    with job.steps.step("attest"):
        content_digest = covered(cover.documented, cover.shape, container, job.options.identity_fields)
        edits, found = attested(cover.documented, job, reason="sealed", content=content_digest, mark=mark)
    with job.steps.step("encode"):
        edits |= cover.header | encoded(cover.documented, container, cover.shape, cover.syntax)
        new_syntax = cover.syntax if cover.syntax != cover.file.transfer_syntax else None
        sealed = cover.documented.edited(edits, syntax=new_syntax)
    quality = psnr_range_db(cover.pixels.samples, change)
    hint, coded_bits, max_change = hidden.hint, hidden.coded_bits, hidden.max_change
    del edits, container, hidden, mark  # each may hold all pixels, and the proof needs room for its own
    with job.steps.step("prove"):
        _prove(sealed, found, content, hint, cover, job)
    return sealed, SealResult(
        sop_instance_uid=cover.documented.text(SOP_INSTANCE_UID),
        level=Level.FULL.value,
        reason="sealed",
        mode="locator" if stored else "envelope",
        payload_bits=8 * len(content),
        coded_bits=coded_bits,
        psnr_range_db=quality,
        max_change=max_change,
        digest=found.hex(),
        seal_ms=job.steps.total,
        steps_ms=job.steps.ms,
        restoring_bytes=len(undo),
        shortened=tuple(sorted(cover.shortened)),
    )


def _prove(
    sealed: bytes,
    container_digest: bytes,
    content: bytes,
    hint: dict[str, int],
    cover: _Cover,
    job: SealContext,
) -> None:
    """Read the file that will be sent as its receiver will. Raises SealBroken when anything does not come
    back.
    """
    again = read(ByteRange(sealed, 0, len(sealed)))  # without a copy of it
    shape = pixel_format(again)
    pixels = decode(again, shape)
    if digest.of_pixels(pixels.samples, shape) != container_digest:
        raise SealBroken("the container does not read back from the sealed file", check=5)
    revealed = job.codec.reveal(pixels.samples, hint=hint)
    if revealed is None or revealed.payload != content:
        raise SealBroken("the payload does not come back from the sealed file", check=7)
    found = private_block.find(again)
    if found is None:
        raise SealBroken("the private block does not come back from the sealed file", check=2)
    facts, original = undone_pixels(shape, pixels, found, cover.restore_key)
    if facts.original_digest != cover.facts.original_digest:
        raise SealBroken("the original does not come back from the sealed file", check=9)
    if not syntax_of(again.transfer_syntax).native:
        encoded(again, original, shape, again.transfer_syntax)  # or it could not be written


def padding_values(file: Part10, shape: PixelFormat) -> tuple[int, ...]:
    """The stored values that mean "no image here" (PS3.3 C.7.5.1.1.2), a range when the object gives a
    limit.
    """

    def stored_value(tag: int) -> int | None:
        raw = file.value(tag)
        if not raw or len(raw) < 2:
            return None
        order = "little" if file.encoding.little else "big"
        return int.from_bytes(raw[:2], order, signed=shape.signed)  # type: ignore[arg-type]  # one of the two literals

    value = stored_value(_PADDING_VALUE)
    if value is None:
        return ()
    limit = stored_value(_PADDING_LIMIT)
    low, high = sorted((value, value if limit is None else limit))
    return tuple(range(low, high + 1))


def psnr_range_db(cover: NDArray[Any], change: NDArray[np.int32]) -> float | None:
    """Peak signal-to-noise ratio over all frames, the cover's own range as peak; None when nothing changed."""
    error = float(np.sum(np.square(change, dtype=np.float64))) / cover.size
    peak = float(cover.max()) - float(cover.min())
    return round(10 * math.log10(peak * peak / error), 2) if error and peak else None
