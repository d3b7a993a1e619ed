"""Verify a sealed object, and read the record hidden in it. Pure: bytes in, findings out.

The checks carry the numbers of `seal/FORMAT.md`. This module draws the verdict from them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import (
    IMAGE_TYPE,
    LOSSY_IMAGE_COMPRESSION,
    LOSSY_METHOD,
    LOSSY_RATIO,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_REPRESENTATION,
    RESCALE_TYPE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
)
from gateway.errors import OtherRecipient, SealBroken, UnreadableObject
from gateway.keys import CertificateTrust, RecipientKey, TrustedSigners
from gateway.keys.trust import moment
from gateway.seal import levels
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.checks import Checks, Difference
from gateway.seal.codec import Codec
from gateway.seal.eligibility import DIGITAL_SIGNATURES
from gateway.seal.examination import Examination
from gateway.seal.findings import (
    CHECKS,
    Check,
    Extraction,
    Report,
    Restoration,
    Verdict,
)
from gateway.seal.header.classes import ALTERING, HeaderClass, HeaderClasses
from gateway.seal.header.dictionary import name_of
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record import likeness
from gateway.seal.record.envelope import Envelope
from gateway.seal.restoring import refused, restore, restore_examined, with_corrections
from gateway.seal.standard_signature.checking import check_standard_signatures

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

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
# Compression and filters reach nearly every tile with content; retouching reaches some.
SPREAD_MIN = 0.75
SPREAD_WHEN_SAID = 0.5
# Where neither header nor record tell of compression, so many tiles must have changed.
TILES_MIN = 48
WINDOW_CENTER, WINDOW_WIDTH, WINDOW_EXPLANATION = 0x00281050, 0x00281051, 0x00281055
RESCALE_INTERCEPT, RESCALE_SLOPE = 0x00281052, 0x00281053
PADDING = (0x00280120, 0x00280121)
# What a compressor writes beside pixels that it changed (PS3.3 C.7.6.1.1.5, C.7.6.3). Lossy compression gives an image
# a new SOP Instance UID: that is no swap of patients.
FOLLOWS_COMPRESSION = frozenset(
    {
        SOP_INSTANCE_UID, IMAGE_TYPE, LOSSY_IMAGE_COMPRESSION, LOSSY_RATIO, LOSSY_METHOD, PHOTOMETRIC_INTERPRETATION,
        0x00280101, 0x00280102, PIXEL_REPRESENTATION, 0x00280106, 0x00280107,
    }
)  # fmt: skip


def verify(
    data: ByteSource,
    *,
    trusted: TrustedSigners | None,
    recipient_key: RecipientKey | None,
    codec: Codec,
    classes: HeaderClasses | None = None,
    certificates: CertificateTrust | None = None,
) -> Report:
    """What is true of an object; never raises for bad ones. For the parameters see `verify_examined`."""
    return verify_examined(
        Examination(data, codec),
        trusted=trusted,
        recipient_key=recipient_key,
        classes=classes,
        certificates=certificates,
    )


def verify_examined(
    examination: Examination,
    *,
    trusted: TrustedSigners | None,
    recipient_key: RecipientKey | None,
    classes: HeaderClasses | None = None,
    certificates: CertificateTrust | None = None,
) -> Report:
    """What is true of an object; never raises for bad ones.

    examination: of the object; `restore_examined` can use it afterwards.
    trusted: the signers that are believed; None: nobody, so that the best verdict is unknown-signer.
    recipient_key: opens the hidden record, which is then compared with the header; None: it stays closed.
    classes: what a difference in an element means; None: as the repository has it.
    certificates: whose standard signatures and time stamps are believed; None: nobody's. They change no verdict.
    """
    checks = Checks(examination, classes or HeaderClasses())
    try:
        sop_instance_uid = examination.file.text(SOP_INSTANCE_UID)
    except UnreadableObject as error:
        return Report(
            sop_instance_uid="",
            verdict=Verdict.UNREADABLE,
            checks=(Check(1, CHECKS[1], False, str(error)),),
        )
    checks.check_object()
    differences: tuple[dict[str, Any], ...] = ()
    signatures: tuple[dict[str, Any], ...] = ()
    try:
        verdict = _verdict(checks, trusted, recipient_key)
        differences = checks.header_differences()
        signatures = _standard_signatures(checks, certificates)
    except UnreadableObject as error:
        checks.unreadable(error)
        verdict = Verdict.UNREADABLE
    statement, record = examination.statement, checks.record
    return Report(
        sop_instance_uid=sop_instance_uid,
        verdict=verdict,
        level=statement.level if statement else None,
        checks=tuple(checks.made),
        header_differences=differences,
        tampered_tiles=() if checks.lossy else checks.tampered_tiles,
        lossy=checks.lossy,
        record=record.texts() if record else None,
        shortened=tuple(sorted(record.shortened)) if record else (),
        format_version=statement.version if statement else None,
        amendments=_amendments(checks),
        standard_signatures=signatures,
        amended=tuple(difference.tag for difference in checks.differences if difference.amended),
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


def restore_reported(
    examination: Examination, report: Report, *, recipient_key: RecipientKey
) -> tuple[ByteSource | None, Restoration]:
    """The original of an object, with the corrections that the report found signed; or None and why not.

    report: on the same examination. What it says is not judged here: that is the caller's part.
    """
    original, restoration = restore_examined(examination, recipient_key=recipient_key)
    if original is None or not report.amended:
        return original, replace(restoration, verdict=report.verdict)
    corrected = with_corrections(original, examination.file, report.amended)
    if corrected is None:
        return None, replace(refused("correction-not-expressible"), verdict=report.verdict)
    return corrected, replace(restoration, whole=False, verdict=report.verdict)


def restore_verified(
    examination: Examination,
    *,
    trusted: TrustedSigners | None,
    recipient_key: RecipientKey,
    classes: HeaderClasses | None = None,
    unverified: bool = False,
) -> tuple[ByteSource | None, Restoration]:
    """The original of an object that verifies, or None and why not; never raises for bad objects.

    examination, trusted, classes: as for `verify_examined`.
    unverified: the original of an object that does not verify is wanted too. The verdict is in the result.
    """
    report = verify_examined(examination, trusted=trusted, recipient_key=recipient_key, classes=classes)
    if not (report.ok or unverified):
        plain = report.verdict in (Verdict.UNSEALED, Verdict.UNREADABLE)
        reason = str(report.verdict) if plain else "not-verified"
        return None, replace(refused(reason), verdict=report.verdict)
    return restore_reported(examination, report, recipient_key=recipient_key)


def reopen(
    data: ByteSource, *, trusted: TrustedSigners, recipient_key: RecipientKey, codec: Codec
) -> tuple[ByteSource | None, str]:
    """The original of a sealed object that verifies, or None and a word of FORMAT.md, "Reasons", that says why not.

    An object that does not verify is not given back: sealed anew, its changes would look like the truth.
    """
    examination = Examination(data, codec)
    report = verify_examined(examination, trusted=trusted, recipient_key=recipient_key)
    if not report.ok:
        return None, "reseal-unverified"
    original, _ = restore_reported(examination, report, recipient_key=recipient_key)
    return original, "reseal-not-restored" if original is None else "reopened"


def _verdict(checks: Checks, trusted: TrustedSigners | None, key: RecipientKey | None) -> Verdict:
    examination = checks.examination
    one_reading = checks.check_reading()
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
    checks.check_instance()
    same_content = checks.check_digest()
    amendments = checks.check_amendments(trusted)
    checks.check_header()
    payload = False
    if statement.level == Level.FULL and (key is not None or not same_content):
        payload = checks.check_payload()
    if key is not None and (payload or statement.level == Level.DIGEST) and statement.recipient_id:
        checks.check_record(key)
        checks.check_received()
    alike = None if same_content else checks.check_likeness()
    if signed is None:
        return Verdict.UNKNOWN_SIGNER
    if not (signed and one_reading and whole and amendments) or examination.file.repeated:
        return Verdict.TAMPERED
    # Something must say that it is still this image, or any other image would pass for a compressed copy.
    vouched = alike if alike is not None else payload
    lossy = not same_content and vouched and not checks.foreign_payload and changed_all_over(checks)
    if not same_content and not lossy:
        return Verdict.TAMPERED
    if lossy:
        checks.explain_loss(recovered=payload if statement.level == Level.FULL else None)
    return _verdict_of_header(checks, lossy=lossy)


def _verdict_of_header(checks: Checks, *, lossy: bool) -> Verdict:
    """The verdict on an object whose content is the sealed one, or what lossy compression made of it."""
    examination = checks.examination
    scaled = _scaled(examination) if lossy else frozenset()
    open_differences = [
        difference
        for difference in checks.differences
        if not difference.amended
        and not (lossy and _follows_compression(difference, examination.file, scaled))
    ]
    found = {difference.header_class for difference in open_differences}
    if HeaderClass.STRUCTURE in found:
        return Verdict.TAMPERED
    if HeaderClass.IDENTITY in found:
        return Verdict.MISIDENTIFIED
    if found & ALTERING:
        return Verdict.ALTERED
    if lossy:
        return Verdict.LOSSY
    if any(difference.amended for difference in checks.differences):
        return Verdict.AMENDED
    statement = examination.statement
    moved = statement is not None and examination.file.transfer_syntax != statement.transfer_syntax
    return Verdict.TRANSCODED if moved or checks.decoded else Verdict.INTACT


def _scaled(examination: Examination) -> frozenset[int]:
    """The elements that say how values of a lossy copy are measured and shown, where they come to the sealed levels."""
    statement, image, file = examination.statement, examination.image, examination.file
    sealed = levels.decode(statement.levels) if statement else None
    present = levels.of_image(likeness.shown(image[1].samples), image[0], file) if image else None
    if sealed is None or present is None:
        return frozenset()
    if sealed.same_scale(present):
        # Then no window had to be computed anew.
        return frozenset((RESCALE_INTERCEPT, RESCALE_SLOPE))
    return frozenset((WINDOW_CENTER, WINDOW_WIDTH)) if sealed.same_windows(present) else frozenset()


def _follows_compression(difference: Difference, file: Part10, scaled: frozenset[int]) -> bool:
    """Whether a compressor writes this, and it means no more than that the pixels changed.

    scaled: elements that fit the pixels as they are now.
    """
    if difference.tag == WINDOW_EXPLANATION:
        # Of a window that was computed anew: DCMTK writes its numbers.
        own = re.fullmatch(r"(center=[-\d.]+/width=[\d.]+)?", file.text(WINDOW_EXPLANATION))
        return WINDOW_CENTER in scaled and own is not None
    if difference.tag in PADDING:
        # What was padding is a value like others then. The other way round, values would be hidden.
        return RESCALE_SLOPE in scaled and difference.tag not in file.index
    if difference.tag != RESCALE_TYPE:
        return difference.tag in FOLLOWS_COMPRESSION or difference.tag in scaled
    # DCMTK writes into CT images what the absence of Rescale Type means there (PS3.3 C.8.2.1).
    added = difference.change is not None and difference.change.kind == "added"
    return added and file.text(RESCALE_TYPE) == "HU" and file.text(SOP_CLASS_UID) == CT_IMAGE_STORAGE


def changed_all_over(checks: Checks) -> bool:
    """Whether pixels that are not the sealed ones changed as lossy compression or a filter changes them.

    What the header says of itself may be a lie, so that it counts only where most of the image did change.
    """
    file = checks.examination.file
    if syntax_of(file.transfer_syntax).lossy or file.text(LOSSY_IMAGE_COMPRESSION) == "01":
        return checks.spread >= SPREAD_WHEN_SAID
    # Nothing says so: in an image with little content, painting and moving reach most of it as well.
    many = checks.payload_held or len(checks.tampered_tiles) >= TILES_MIN
    return many and checks.spread >= SPREAD_MIN


def _amendments(checks: Checks) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "keyword": name_of(item.tag),
            "from": item.before,
            "to": item.after,
            "reason": amendment.reason,
            "by": amendment.by,
            "at": moment(amendment.at),
        }
        for amendment in checks.amendments
        for item in amendment.corrections
    )


def _standard_signatures(checks: Checks, certificates: CertificateTrust | None) -> tuple[dict[str, Any], ...]:
    """The signatures after PS3.15 Annex C that the object carries. Coercion breaks them: then what they cover and the
    seal finds changed is named, so that it is told from tampering.
    """
    file = checks.examination.file
    if DIGITAL_SIGNATURES not in file.index:
        return ()
    changed = [change.tag for change in checks.examination.header_changes if not change.creator]
    return tuple(
        {
            "uid": signature.uid,
            "state": str(signature.state),
            "detail": signature.detail,
            "signer": signature.signer,
            "trusted": signature.trusted,
            "signed_at": signature.signed_at.isoformat() if signature.signed_at else None,
            "time_stamp": str(signature.stamp),
            "stamped_at": signature.stamped_at.isoformat() if signature.stamped_at else None,
            "of_this_seal": signature.of_this_seal,
            "changed": list(signature.changed_among(changed)),
        }
        for signature in check_standard_signatures(file, trusted=certificates)
    )


def _verdict_without_block(checks: Checks, key: RecipientKey | None) -> Verdict:
    """What is left when the private block is gone: the record in the pixels, which only its reader can compare."""
    if checks.examination.payload is None:
        return Verdict.UNSEALED
    checks.check_payload()
    if key is not None:
        checks.check_record(key)
        if checks.check_likeness() is False:
            return Verdict.TAMPERED
        swapped = [
            difference
            for difference in checks.differences
            if difference.header_class is HeaderClass.IDENTITY and difference.tag != SOP_INSTANCE_UID
        ]
        if swapped:
            # The swap is worse than the missing block, so it is named first. A new instance of the same is none.
            return Verdict.MISIDENTIFIED
    return Verdict.STRIPPED
