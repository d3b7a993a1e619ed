"""Verify a sealed object, and read the record hidden in it. Pure: bytes in, findings out.

The checks carry the numbers of `seal/FORMAT.md`; here the verdict is drawn from them.
"""

from __future__ import annotations

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import read
from gateway.errors import SealBroken, UnreadableObject
from gateway.keys import RecipientKey, TrustedSigners
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.checks import Examination
from gateway.seal.codec import Codec
from gateway.seal.documenting import SOP_INSTANCE_UID
from gateway.seal.findings import (
    Check,
    Extraction,
    Report,
    Restoration,
    Verdict,
)
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record.envelope import Envelope
from gateway.seal.restoring import restore

__all__ = [
    "Check",
    "Extraction",
    "Report",
    "Restoration",
    "Verdict",
    "extract",
    "reopen",
    "restore",
    "verify",
]

# Compression and filters reach nearly every tile with content; retouching reaches some.
SPREAD_MIN = 0.75


def verify(
    data: ByteSource, *, trusted: TrustedSigners | None, recipient_key: RecipientKey | None, codec: Codec
) -> Report:
    """What is true of an object; never raises for bad ones.

    trusted: without them no seal is believed, so that the best verdict is unknown-signer. recipient_key:
    with it the hidden record is read and compared with the header.
    """
    try:
        file = read(data)
    except UnreadableObject as error:
        return Report(
            sop_instance_uid="", verdict=Verdict.UNREADABLE, checks=(Check(1, "object", False, str(error)),)
        )
    look = Examination(file, codec)
    once = not file.repeated
    look.note(
        1, once, "the object can be parsed" if once else "elements stand more than once: which one counts?"
    )
    try:
        verdict = _verdict(look, trusted, recipient_key)
    except UnreadableObject as error:
        look.checks[0] = Check(1, "object", False, str(error))
        verdict = Verdict.UNREADABLE
    return Report(
        sop_instance_uid=file.text(SOP_INSTANCE_UID),
        verdict=verdict,
        level=look.statement.level if look.statement else None,
        checks=tuple(look.checks),
        header_differences=look.header_differences,
        tampered_tiles=look.tampered_tiles if verdict is not Verdict.LOSSY else (),
        record=look.record.texts() if look.record else None,
        shortened=tuple(sorted(look.record.shortened)) if look.record else (),
    )


def extract(data: bytes, *, recipient_key: RecipientKey, codec: Codec) -> Extraction:
    """The record hidden in the pixels, also without the private block and after a re-encoding."""
    try:
        look = Examination(read(data), codec, deep=True)
    except UnreadableObject:
        return Extraction(found=False, reason="unreadable")
    try:
        look.check_block()
    except UnreadableObject:
        look.block = None
    digest_only = look.statement is not None and look.statement.level == Level.DIGEST
    if digest_only or look.payload is None or look.revealed is None:
        return Extraction(found=False, reason="nothing-hidden")
    mode = "envelope" if isinstance(look.payload, Envelope) else "locator"
    errors = look.revealed.raw_bit_error_rate
    try:
        record = open_record(envelope_of(look.payload, look.block), recipient_key)
    except SealBroken as error:
        reason = "envelope-missing" if error.check == 7 else "not-opened"
        return Extraction(found=False, reason=reason, mode=mode, raw_bit_error_rate=errors)
    return Extraction(found=True, reason="found", mode=mode, record=record.texts(), raw_bit_error_rate=errors)


def reopen(
    data: ByteSource, *, trusted: TrustedSigners, recipient_key: RecipientKey, codec: Codec
) -> tuple[ByteSource | None, str]:
    """The original of a sealed object that verifies, or None and a word of FORMAT.md, "Reasons", why not.

    What does not verify is not given back: sealed anew, its changes would look like the truth.
    """
    if not verify(data, trusted=trusted, recipient_key=recipient_key, codec=codec).ok:
        return None, "reseal-unverified"
    original, _ = restore(data, recipient_key=recipient_key, codec=codec)
    return original, "reseal-not-restored" if original is None else "reopened"


def _verdict(look: Examination, trusted: TrustedSigners | None, key: RecipientKey | None) -> Verdict:
    whole = look.check_block()
    if look.block is None and not private_block.has_block(look.file):
        return _without_block(look, key)
    if look.statement is None:
        if key is not None and look.check_payload():
            look.check_record(key)
            look.check_likeness()
        return Verdict.TAMPERED
    signed = look.check_signature(trusted)
    instance = look.check_instance()
    same_content = look.check_digest()
    header = look.check_header()
    payload, other_image = False, False
    if look.statement.level == Level.FULL and (key is not None or not same_content):
        payload = look.check_payload()
        if key is not None and payload:
            header = look.check_record(key) and header
            other_image = not same_content and look.check_likeness() is False
    if signed is None:
        return Verdict.UNKNOWN_SIGNER
    if not signed:
        return Verdict.TAMPERED
    if look.file.repeated:
        return Verdict.TAMPERED
    identified = instance and not look.header_differences
    if not same_content:
        if other_image or not (payload and look.spread >= SPREAD_MIN):
            return Verdict.TAMPERED
        return Verdict.LOSSY if _same_patient(look) else Verdict.MISIDENTIFIED
    if not whole:
        return Verdict.TAMPERED
    if not identified:
        return Verdict.MISIDENTIFIED
    moved = look.file.transfer_syntax != look.statement.transfer_syntax
    return Verdict.TRANSCODED if moved else Verdict.INTACT


def _same_patient(look: Examination) -> bool:
    """Lossy compression gives an image a new SOP Instance UID (PS3.3 C.7.6.1.1.5): that is no swap of patients."""
    return {difference["keyword"] for difference in look.header_differences} <= {
        "SOPInstanceUID",
        "SOPClassUID",
    }


def _without_block(look: Examination, key: RecipientKey | None) -> Verdict:
    if look.payload is None:
        return Verdict.UNSEALED
    look.check_payload()
    if key is not None:
        look.check_record(key)
        if look.check_likeness() is False:
            return Verdict.TAMPERED
    return Verdict.STRIPPED
