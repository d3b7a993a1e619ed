"""Seal an object at the highest level it may get.

Pure: time and entropy are arguments, nothing is logged, read or written. The timer only measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import Recipient, Signer
from gateway.seal import eligibility, overwriting
from gateway.seal.attesting import attested
from gateway.seal.codec import Codec
from gateway.seal.documenting import SOP_INSTANCE_UID
from gateway.seal.eligibility import Decision
from gateway.seal.fields import field
from gateway.seal.image import PixelFormat, Pixels
from gateway.seal.job import Entropy, Job, KeptAsIs, NotMarked, Reopen, SealOptions, SealResult, Steps
from gateway.seal.marking import marked
from gateway.seal.part10 import Part10, read
from gateway.seal.pixels import LOSSLESS_SYNTAXES, decode
from gateway.seal.statement import Level


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
) -> tuple[bytes, SealResult]:
    """A sealed file and what was done to it; at level pass the very bytes that came.

    data: a complete DICOM file (PS3.10). now: with its time zone. reopen: what gives the original of a sealed object,
    for policy "reseal" (`gateway.verify.reopen`). Raises UnreadableObject for bytes that can't be parsed,
    AlreadySealed by policy "refuse", ConfigurationError for fields that can't be recorded; everything else ends in a
    level with its reason.
    """
    job = Job(recipient, signer, codec, options or SealOptions(), now, entropy, Steps(timer), reopen)
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


def _resealed(data: bytes, file: Part10, job: Job) -> tuple[bytes, SealResult]:
    """Raises KeptAsIs when the seal that is there stays."""
    with job.steps.step("reopen"):
        original = overwriting.original_of(data, job)
        under = read(original)
        decision = eligibility.judge(under)
    sealed, result = _sealed(original, under, decision, job)
    overwriting.check_as_good(file, result)
    return sealed, replace(result, resealed=True)


def _sealed(data: bytes, file: Part10, decision: Decision, job: Job) -> tuple[bytes, SealResult]:
    """Raises KeptAsIs when the pixels hold a record already."""
    if decision.level is Level.PASS:
        return data, _passed(file, decision.reason, job)
    reason, pixels = decision.reason, None
    if decision.shape and file.transfer_syntax in LOSSLESS_SYNTAXES:
        try:
            with job.steps.step("decode"):
                pixels = decode(file, decision.shape)
        except UnsupportedPixels:
            reason = "undecodable" if decision.level is Level.FULL else reason
    if decision.level is Level.FULL and decision.shape and pixels is not None:
        overwriting.check_bare(file, pixels, job)
        try:
            return marked(file, decision.shape, pixels, job)
        except NotMarked as refusal:
            reason = refusal.reason
    try:
        return _attest(file, decision.shape, pixels, reason, job)
    except (UnreadableObject, SealBroken):
        # Nested deeper than is hashed here, or no free private block: the object is better left alone.
        return data, _passed(file, "structure", job)


def _passed(file: Part10, reason: str, job: Job) -> SealResult:
    return SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.PASS.value,
        reason=reason,
        seal_ms=job.steps.total,
        steps_ms=job.steps.ms,
    )


def _attest(
    file: Part10, shape: PixelFormat | None, pixels: Pixels | None, reason: str, job: Job
) -> tuple[bytes, SealResult]:
    """Level digest: the private block is spliced in, every other byte stays."""
    with job.steps.step("attest"):
        edits, found = attested(file, job, reason=reason, shape=shape, pixels=pixels)
        sealed = file.edited(edits)
    return sealed, SealResult(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        level=Level.DIGEST.value,
        reason=reason,
        digest=found.hex(),
        seal_ms=job.steps.total,
        steps_ms=job.steps.ms,
    )
