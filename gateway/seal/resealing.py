"""What becomes of an object that carries a seal already, by policy (FORMAT.md, "Overwriting").

A second record written over a first destroys it, and with it the way to the original.
"""

from __future__ import annotations

from gateway.dicom.image import Pixels
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10
from gateway.errors import AlreadySealed, SealBroken
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.context import KeptAsIs, SealContext, SealResult
from gateway.seal.documenting import (
    CONTRIBUTING_EQUIPMENT,
    DERIVATION_DESCRIPTION,
    DERIVATION_TEXT,
    MANUFACTURER,
)
from gateway.seal.record import envelope


def original_of(data: ByteSource, job: SealContext) -> ByteSource:
    """The file under the seal of `data`. Raises KeptAsIs when the seal stays, AlreadySealed by policy."""
    if job.options.sealed == "refuse":
        raise AlreadySealed("the object carries a seal already")
    if job.options.sealed == "keep":
        raise KeptAsIs("already-sealed")
    if job.reopen is None:
        raise KeptAsIs("reseal-without-key")
    original, reason = job.reopen(data)
    if original is None:
        raise KeptAsIs(reason)
    return original


def check_bare(file: Part10, pixels: Pixels, job: SealContext) -> None:
    """Raises KeptAsIs or AlreadySealed when the pixels hold a record whose private block is gone.

    Nothing can be restored without the block, so that even policy "reseal" leaves such an object alone.
    """
    traces = _has_traces(file)
    if job.options.look == "traces" and not traces:
        return
    with job.steps.step("look"):
        revealed = job.codec.reveal(pixels.samples, newest=not traces)
    if revealed is None or envelope.parse(revealed.payload) is None:
        return
    if job.options.sealed == "refuse":
        raise AlreadySealed("the pixels hold a record, and its private block was removed")
    raise KeptAsIs("payload-present")


def check_as_good(before: Part10, after: SealResult) -> None:
    """Raises KeptAsIs when sealing anew would give less than the seal that is there."""
    try:
        found = private_block.find(before)
    except SealBroken as error:
        raise KeptAsIs("reseal-unverified") from error
    had_record = found is not None and found.level == Level.FULL
    if after.level == Level.PASS or (had_record and after.level != Level.FULL):
        raise KeptAsIs("reseal-weaker")


def _has_traces(file: Part10) -> bool:
    return DERIVATION_TEXT in (file.value(DERIVATION_DESCRIPTION) or b"") or MANUFACTURER in (
        file.value(CONTRIBUTING_EQUIPMENT) or b""
    )
