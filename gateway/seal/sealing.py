"""Seal an object at the highest level it may get.

Pure: time and entropy are arguments, and nothing is logged, read or written. The timer only measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import overload

from gateway.dicom import one_reading
from gateway.dicom.image import PixelFormat
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import decode
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.errors import AmbiguousObject, SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import Recipient, Signer
from gateway.seal import eligibility, resealing
from gateway.seal.attesting import attested, covered_in_pieces
from gateway.seal.block.statement import Level
from gateway.seal.codec import Codec
from gateway.seal.context import (
    Entropy,
    KeptAsIs,
    NotEmbedded,
    Reopen,
    SealContext,
    SealOptions,
    SealResult,
    Steps,
)
from gateway.seal.eligibility import Decision
from gateway.seal.embedding import embedded
from gateway.seal.header import dictionary, received
from gateway.seal.record import envelope, record
from gateway.seal.record.fields import field


@overload
def seal(
    data: bytes,
    *,
    recipient: Recipient,
    signer: Signer,
    codec: Codec,
    options: SealOptions | None = None,
    now: datetime,
    entropy: Entropy = os.urandom,
    timer: Callable[[], float] = time.perf_counter,
    reopen: Reopen | None = None,
) -> tuple[bytes, SealResult]: ...


@overload
def seal(
    data: ByteSource,
    *,
    recipient: Recipient,
    signer: Signer,
    codec: Codec,
    options: SealOptions | None = None,
    now: datetime,
    entropy: Entropy = os.urandom,
    timer: Callable[[], float] = time.perf_counter,
    reopen: Reopen | None = None,
) -> tuple[ByteSource, SealResult]: ...


def seal(
    data: ByteSource,
    *,
    recipient: Recipient,
    signer: Signer,
    codec: Codec,
    options: SealOptions | None = None,
    now: datetime,
    entropy: Entropy = os.urandom,
    timer: Callable[[], float] = time.perf_counter,
    reopen: Reopen | None = None,
) -> tuple[ByteSource, SealResult]:
    """The sealed file and what was done to it; at level pass the file is `data` itself.

    data: a complete DICOM file (PS3.10). If it is not in memory, only pixels that are to carry a record are read into
        memory, and the result of level digest is not in memory either.
    recipient: who can read the record.
    signer: signs the statement.
    codec: hides the record in the pixels.
    options: None means all defaults.
    now: the time of sealing, with its time zone.
    entropy: source of random bytes.
    timer: a clock in seconds, which only measures.
    reopen: gives the original of a sealed object, for policy "reseal" (`verifying.reopen`).

    Raises UnreadableObject when the bytes can't be parsed.
    Raises AlreadySealed when the object is sealed and the policy is to refuse it.
    Raises AmbiguousObject when it can be read in different ways and the policy is to refuse it.
    Raises ConfigurationError when a field can't be recorded.
    Everything else ends in a level with its reason.
    """
    context = SealContext(
        recipient, signer, codec, options or SealOptions(), now, entropy, Steps(timer), reopen
    )
    for keyword in context.options.identity_fields:
        field(keyword)
    with context.steps.step("parse"):
        file = read(data)
        decision = eligibility.judge(file)
    if decision.reason == "ambiguous" and context.options.ambiguous == "refuse":
        raise AmbiguousObject(one_reading.objection(file, dictionary.vrs()))
    try:
        if decision.reason == "already-sealed":
            return _resealed(data, file, context)
        return _sealed(data, file, decision, context)
    except KeptAsIs as kept:
        return data, _passed(file, kept.reason, context)


def _resealed(data: ByteSource, file: Part10, context: SealContext) -> tuple[ByteSource, SealResult]:
    """An object sealed anew.

    Raises KeptAsIs when the seal that is there stays.
    """
    with context.steps.step("reopen"):
        original = resealing.original_of(data, context)
        original_file = read(original)
        decision = eligibility.judge(original_file)
    sealed, result = _sealed(original, original_file, decision, context)
    resealing.check_as_good(file, result)
    return sealed, replace(result, resealed=True)


def _sealed(
    data: ByteSource, file: Part10, decision: Decision, context: SealContext
) -> tuple[ByteSource, SealResult]:
    """An object sealed at the level that was decided, or a lower one.

    Raises KeptAsIs when the pixels hold a record already.
    """
    if decision.level is Level.PASS:
        return data, _passed(file, decision.reason, context)
    reason = decision.reason
    if decision.level is Level.FULL and decision.shape:
        try:
            return _embedded(file, decision.shape, context)
        except NotEmbedded as error:
            reason = error.reason
    try:
        return _attested(file, decision.shape, reason, context)
    except (UnreadableObject, SealBroken):
        # Sequences are nested deeper than is hashed here, or no private block is free: it is safer to change nothing.
        return data, _passed(file, "structure", context)


def _embedded(file: Part10, shape: PixelFormat, context: SealContext) -> tuple[bytes, SealResult]:
    """Level full.

    Raises NotEmbedded when the pixels can't carry a record.
    Raises KeptAsIs when they hold a record already.
    """
    try:
        with context.steps.step("decode"):
            pixels = decode(file, shape)
    except UnsupportedPixels:
        raise NotEmbedded("undecodable") from None
    resealing.check_bare(file, pixels, context)
    return embedded(file, shape, pixels, context)


def _passed(file: Part10, reason: str, context: SealContext) -> SealResult:
    return SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.PASS.value,
        reason=reason,
        seal_ms=context.steps.total,
        steps_ms=context.steps.ms,
    )


def _attested(
    file: Part10, shape: PixelFormat | None, reason: str, context: SealContext
) -> tuple[ByteSource, SealResult]:
    """Level digest: the private block is inserted, and every other byte stays."""
    with context.steps.step("envelope"):
        restore_key = context.entropy(record.RESTORE_KEY_BYTES)
        taken = record.take(file, context.options.identity_fields, restore_key)
        closed = envelope.close(record.pack(taken), context.recipient)
    with context.steps.step("attest"):
        content = covered_in_pieces(file, shape)
        block = attested(
            file,
            context,
            reason=reason,
            content=content,
            received=received.close(received.capture(file), restore_key),
            shape=shape,
            envelope=closed.to_payload(),
        )
        sealed = file.rewritten(block.edits)
    return sealed, SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.DIGEST.value,
        reason=reason,
        digest=block.digest.hex(),
        seal_ms=context.steps.total,
        steps_ms=context.steps.ms,
        shortened=tuple(sorted(taken.shortened)),
        whole=True,
    )
