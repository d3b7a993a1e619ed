"""Seal an object at the highest level it may get.

Pure: time and entropy are arguments, nothing is logged, read or written. The timer only measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import overload

from gateway.dicom.image import PixelFormat
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import decode
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
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
    """A sealed file and what was done to it; at level pass the very bytes that came.

    data: a complete DICOM file (PS3.10); if it is not in memory, the result of level digest is not either, and only
    pixels that are to carry a record are taken there. now: with its time zone. reopen: what gives the original of a
    sealed object, for policy "reseal" (`verifying.reopen`). Raises UnreadableObject for bytes that can't be
    parsed, AlreadySealed by policy "refuse", ConfigurationError for fields that can't be recorded; everything else
    ends in a level with its reason.
    """
    job = SealContext(recipient, signer, codec, options or SealOptions(), now, entropy, Steps(timer), reopen)
    for keyword in job.options.identity_fields:
        field(keyword)
    with job.steps.step("parse"):
        file = read(data)
        decision = eligibility.judge(file)
    try:
        if decision.reason == "already-sealed":
            return _resealed(data, file, job)
        return _sealed(data, file, decision, job)
    except KeptAsIs as kept:
        return data, _passed(file, kept.reason, job)


def _resealed(data: ByteSource, file: Part10, job: SealContext) -> tuple[ByteSource, SealResult]:
    """Raises KeptAsIs when the seal that is there stays."""
    with job.steps.step("reopen"):
        original = resealing.original_of(data, job)
        under = read(original)
        decision = eligibility.judge(under)
    sealed, result = _sealed(original, under, decision, job)
    resealing.check_as_good(file, result)
    return sealed, replace(result, resealed=True)


def _sealed(
    data: ByteSource, file: Part10, decision: Decision, job: SealContext
) -> tuple[ByteSource, SealResult]:
    """Raises KeptAsIs when the pixels hold a record already."""
    if decision.level is Level.PASS:
        return data, _passed(file, decision.reason, job)
    reason = decision.reason
    shape = decision.shape if syntax_of(file.transfer_syntax).reversible else None
    if decision.level is Level.FULL and decision.shape:
        try:
            return _marked(file, decision.shape, job)
        except NotEmbedded as refusal:
            reason = refusal.reason
    try:
        return _attest(file, shape, reason, job)
    except (UnreadableObject, SealBroken):
        # Nested deeper than is hashed here, or no free private block: the object is better left alone.
        return data, _passed(file, "structure", job)


def _marked(file: Part10, shape: PixelFormat, job: SealContext) -> tuple[bytes, SealResult]:
    """Raises NotMarked, and KeptAsIs when the pixels hold a record already."""
    try:
        with job.steps.step("decode"):
            pixels = decode(file, shape)
    except UnsupportedPixels:
        raise NotEmbedded("undecodable") from None
    resealing.check_bare(file, pixels, job)
    return embedded(file, shape, pixels, job)


def _passed(file: Part10, reason: str, job: SealContext) -> SealResult:
    return SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.PASS.value,
        reason=reason,
        seal_ms=job.steps.total,
        steps_ms=job.steps.ms,
    )


def _attest(
    file: Part10, shape: PixelFormat | None, reason: str, job: SealContext
) -> tuple[ByteSource, SealResult]:
    """Level digest: the private block is spliced in, every other byte stays."""
    with job.steps.step("attest"):
        content = covered_in_pieces(file, shape, job.options.identity_fields)
        edits, found = attested(file, job, reason=reason, content=content)
        sealed = file.rewritten(edits)
    return sealed, SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.DIGEST.value,
        reason=reason,
        digest=found.hex(),
        seal_ms=job.steps.total,
        steps_ms=job.steps.ms,
    )
