"""Seal an object at the highest level it may get.

Pure: time and entropy are arguments, nothing is logged, read or written. The timer only measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime

from gateway.errors import SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import Recipient, Signer
from gateway.seal import eligibility
from gateway.seal.attesting import attested
from gateway.seal.codec import Codec
from gateway.seal.documenting import SOP_INSTANCE_UID
from gateway.seal.fields import field
from gateway.seal.image import PixelFormat, Pixels
from gateway.seal.job import Entropy, Job, NotMarked, SealOptions, SealResult, Steps
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
) -> tuple[bytes, SealResult]:
    """A sealed file and what was done to it; at level pass the very bytes that came.

    data: a complete DICOM file (PS3.10). now: with its time zone. Raises UnreadableObject for bytes that
    can't be parsed, ConfigurationError for fields that can't be recorded; everything else ends in a level
    with its reason.
    """
    job = Job(recipient, signer, codec, options or SealOptions(), now, entropy, Steps(timer))
    for keyword in job.options.identity_fields:
        field(keyword)
    with job.steps.step("parse"):
        file = read(data)
        decision = eligibility.judge(file)
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
