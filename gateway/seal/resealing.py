"""The policy for objects that carry a seal already (FORMAT.md, "Overwriting").

A second record that is written over a first one destroys it, and with it the way to the original.
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


def original_of(data: ByteSource, context: SealContext) -> ByteSource:
    """The file under the seal of `data`.

    Raises KeptAsIs when the seal stays.
    Raises AlreadySealed when the policy is to refuse sealed objects.
    """
    if context.options.sealed == "refuse":
        raise AlreadySealed("the object carries a seal already")
    if context.options.sealed == "keep":
        raise KeptAsIs("already-sealed")
    if context.reopen is None:
        raise KeptAsIs("reseal-without-key")
    original, reason = context.reopen(data)
    if original is None:
        raise KeptAsIs(reason)
    return original


def check_bare(file: Part10, pixels: Pixels, context: SealContext) -> None:
    """Look in the pixels for a record whose private block is gone.

    Nothing can be restored without the block, so that even policy "reseal" leaves such an object alone.

    Raises KeptAsIs when the pixels hold such a record.
    Raises AlreadySealed instead when the policy is to refuse sealed objects.
    """
    traces = _has_traces(file)
    if context.options.look == "traces" and not traces:
        return
    with context.steps.step("look"):
        revealed = context.codec.reveal(pixels.samples, newest=not traces)
    if revealed is None or envelope.parse(revealed.payload) is None:
        return
    if context.options.sealed == "refuse":
        raise AlreadySealed("the pixels hold a record, and its private block was removed")
    raise KeptAsIs("payload-present")


def check_as_good(before: Part10, after: SealResult) -> None:
    """Compare the seal that is there with the one that would replace it.

    Raises KeptAsIs when the new one would protect less.
    """
    try:
        block = private_block.find(before)
    except SealBroken as error:
        raise KeptAsIs("reseal-unverified") from error
    had_record = block is not None and block.level == Level.FULL
    if after.level == Level.PASS or (had_record and after.level != Level.FULL):
        raise KeptAsIs("reseal-weaker")


def _has_traces(file: Part10) -> bool:
    return DERIVATION_TEXT in (file.value(DERIVATION_DESCRIPTION) or b"") or MANUFACTURER in (
        file.value(CONTRIBUTING_EQUIPMENT) or b""
    )
