"""Verify a sealed object, and read the record hidden in it. Pure: bytes in, findings out.

The checks carry the numbers of `seal/FORMAT.md`. This module draws the verdict from them.
"""

from __future__ import annotations

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.errors import OtherRecipient, SealBroken, UnreadableObject
from gateway.keys import RecipientKey, TrustedSigners
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.checks import Checks
from gateway.seal.codec import Codec
from gateway.seal.examination import Examination
from gateway.seal.findings import (
    CHECKS,
    Check,
    Extraction,
    Report,
    Restoration,
    Verdict,
)
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record.envelope import Envelope
from gateway.seal.restoring import restore, restore_examined

__all__ = [
    "Check",
    "Examination",
    "Extraction",
    "Report",
    "Restoration",
    "Verdict",
    "extract",
    "reopen",
    "restore",
    "restore_examined",
    "verify",
    "verify_examined",
]

# Compression and filters reach nearly every tile with content; retouching reaches some.
SPREAD_MIN = 0.75


def verify(
    data: ByteSource, *, trusted: TrustedSigners | None, recipient_key: RecipientKey | None, codec: Codec
) -> Report:
    """What is true of an object; never raises for bad ones. For the parameters see `verify_examined`."""
    return verify_examined(Examination(data, codec), trusted=trusted, recipient_key=recipient_key)


def verify_examined(
    examination: Examination, *, trusted: TrustedSigners | None, recipient_key: RecipientKey | None
) -> Report:
    """What is true of an object; never raises for bad ones.

    examination: of the object; `restore_examined` can use it afterwards.
    trusted: the signers that are believed; None: nobody, so that the best verdict is unknown-signer.
    recipient_key: opens the hidden record, which is then compared with the header; None: it stays closed.
    """
    checks = Checks(examination)
    try:
        sop_instance_uid = examination.file.text(SOP_INSTANCE_UID)
    except UnreadableObject as error:
        return Report(
            sop_instance_uid="",
            verdict=Verdict.UNREADABLE,
            checks=(Check(1, CHECKS[1], False, str(error)),),
        )
    checks.check_object()
    try:
        verdict = _verdict(checks, trusted, recipient_key)
    except UnreadableObject as error:
        checks.unreadable(error)
        verdict = Verdict.UNREADABLE
    statement, record = examination.statement, checks.record
    return Report(
        sop_instance_uid=sop_instance_uid,
        verdict=verdict,
        level=statement.level if statement else None,
        checks=tuple(checks.made),
        header_differences=checks.header_differences,
        tampered_tiles=checks.tampered_tiles if verdict is not Verdict.LOSSY else (),
        record=record.texts() if record else None,
        shortened=tuple(sorted(record.shortened)) if record else (),
    )


def extract(data: bytes, *, recipient_key: RecipientKey, codec: Codec) -> Extraction:
    """The record hidden in the pixels, also without the private block and after a re-encoding."""
    examination = Examination(data, codec, deep=True)
    try:
        statement, block = examination.statement, examination.block
    except UnreadableObject:
        return Extraction(found=False, reason="unreadable")
    digest_only = statement is not None and statement.level == Level.DIGEST
    if digest_only or examination.payload is None or examination.revealed is None:
        return Extraction(found=False, reason="nothing-hidden")
    mode = "envelope" if isinstance(examination.payload, Envelope) else "locator"
    errors = examination.revealed.raw_bit_error_rate
    try:
        record = open_record(envelope_of(examination.payload, block), recipient_key)
    except OtherRecipient as error:
        other = error.recipient_id
        return Extraction(
            found=False, reason=error.code, mode=mode, raw_bit_error_rate=errors, recipient_id=other
        )
    except SealBroken as error:
        reason = "envelope-missing" if error.check == 7 else "not-opened"
        return Extraction(found=False, reason=reason, mode=mode, raw_bit_error_rate=errors)
    return Extraction(found=True, reason="found", mode=mode, record=record.texts(), raw_bit_error_rate=errors)


def reopen(
    data: ByteSource, *, trusted: TrustedSigners, recipient_key: RecipientKey, codec: Codec
) -> tuple[ByteSource | None, str]:
    """The original of a sealed object that verifies, or None and a word of FORMAT.md, "Reasons", that says why not.

    An object that does not verify is not given back: sealed anew, its changes would look like the truth.
    """
    examination = Examination(data, codec)
    if not verify_examined(examination, trusted=trusted, recipient_key=recipient_key).ok:
        return None, "reseal-unverified"
    original, _ = restore_examined(examination, recipient_key=recipient_key)
    return original, "reseal-not-restored" if original is None else "reopened"


def _verdict(checks: Checks, trusted: TrustedSigners | None, key: RecipientKey | None) -> Verdict:
    examination = checks.examination
    whole = checks.check_block()
    if examination.block is None and not private_block.has_block(examination.file):
        return _verdict_without_block(checks, key)
    statement = examination.statement
    if statement is None:
        if key is not None and checks.check_payload():
            checks.check_record(key)
            checks.check_likeness()
        return Verdict.TAMPERED
    signed = checks.check_signature(trusted)
    instance = checks.check_instance()
    same_content = checks.check_digest()
    checks.check_header()
    payload, other_image = False, False
    if statement.level == Level.FULL and (key is not None or not same_content):
        payload = checks.check_payload()
        if key is not None and payload:
            checks.check_record(key)
            other_image = not same_content and checks.check_likeness() is False
    if signed is None:
        return Verdict.UNKNOWN_SIGNER
    if not signed:
        return Verdict.TAMPERED
    if examination.file.repeated:
        return Verdict.TAMPERED
    identified = instance and not checks.header_differences
    if not same_content:
        if other_image or not (payload and checks.spread >= SPREAD_MIN):
            return Verdict.TAMPERED
        return Verdict.LOSSY if _same_patient(checks) else Verdict.MISIDENTIFIED
    if not whole:
        return Verdict.TAMPERED
    if not identified:
        return Verdict.MISIDENTIFIED
    moved = examination.file.transfer_syntax != statement.transfer_syntax
    return Verdict.TRANSCODED if moved else Verdict.INTACT


def _same_patient(checks: Checks) -> bool:
    """Lossy compression gives an image a new SOP Instance UID (PS3.3 C.7.6.1.1.5): that is no swap of patients."""
    return {difference["keyword"] for difference in checks.header_differences} <= {
        "SOPInstanceUID",
        "SOPClassUID",
    }


def _verdict_without_block(checks: Checks, key: RecipientKey | None) -> Verdict:
    if checks.examination.payload is None:
        return Verdict.UNSEALED
    checks.check_payload()
    if key is not None:
        checks.check_record(key)
        if checks.check_likeness() is False:
            return Verdict.TAMPERED
    return Verdict.STRIPPED
