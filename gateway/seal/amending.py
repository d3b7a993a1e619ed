"""Amend a sealed object: correct elements of its header and sign what was corrected. Pure: time and names are given.

The seal stays as it is, and so does what was received: a correction can always be told from the acquisition.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom.config import RAISE
from pydicom.datadict import tag_for_keyword
from pydicom.valuerep import validate_value

from gateway.dicom.elements import IMPLICIT_LE, Encoding, encode, item, walk
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.dicom.text import encoded
from gateway.errors import NotAmendable, SealBroken, UsageError
from gateway.keys import Signer, TrustedSigners
from gateway.seal.block import amendment, private_block
from gateway.seal.block.amendment import Amendment, Correction
from gateway.seal.block.statement import Statement
from gateway.seal.codec import Codec
from gateway.seal.documenting import Edits, with_item
from gateway.seal.examination import Examination
from gateway.seal.findings import GOOD, Report, Verdict
from gateway.seal.header import dictionary
from gateway.seal.header.canonical import KINDS, TEXT_KINDS, HeaderReading, is_covered, value_of
from gateway.seal.header.classes import HeaderClass, HeaderClasses
from gateway.seal.header.showing import shown
from gateway.seal.header.table import HeaderTable, digest_of, element_key
from gateway.seal.record.fields import character_set
from gateway.seal.verifying import verify_examined

ORIGINAL_ATTRIBUTES = 0x04000561
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_AMENDABLE = GOOD | {Verdict.MISIDENTIFIED, Verdict.ALTERED}
TEXT_MAX = 1024


@dataclass(frozen=True, kw_only=True)
class Correcting:
    """What is to be corrected.

    values: keyword -> the new value as people write it, several joined by backslashes; empty for none.
    reason: why, at most 1024 characters.
    by: who, at most 1024 characters.
    at: when, with its time zone.
    """

    values: Mapping[str, str]
    reason: str
    by: str
    at: datetime

    def check(self) -> dict[int, str]:
        """Tag -> the new value.

        Raises UsageError when a keyword or value is none, when an element can't be corrected, or when elements, reason
            or name are missing, too long or no text.
        """
        if not self.values or not self.reason.strip() or not self.by.strip():
            raise UsageError(
                "an amendment needs elements, a reason and a name", hint="Say what, why and who corrects."
            )
        if max(len(self.reason), len(self.by)) > TEXT_MAX:
            raise UsageError(
                "reason or name is too long", hint=f"At most {TEXT_MAX} characters for each of the two."
            )
        if not (_is_text(self.reason) and _is_text(self.by)):
            raise UsageError(
                "reason or name is no text", hint="Write UTF-8 without control characters, in one line."
            )
        tags = {_tag(keyword): value for keyword, value in self.values.items()}
        for tag, value in tags.items():
            _check_value(tag, value)
        return tags


def amend(
    data: bytes, correcting: Correcting, *, signer: Signer, trusted: TrustedSigners, codec: Codec
) -> tuple[bytes, Report]:
    """The amended object, and what verifying it finds: verdict amended.

    data: a sealed object, whose only differences, if it has any, are in the elements that are corrected.
    signer: signs the correction.
    trusted: whose seals and corrections are believed; the signer must be among them.

    Raises NotAmendable when the object does not verify, or its character set does not hold a value.
    Raises UsageError as `Correcting.check` does: the object is not looked at then.
    """
    tags = correcting.check()
    examination = Examination(data, codec)
    report = verify_examined(examination, trusted=trusted, recipient_key=None)
    sealed = _amendable(examination, report, tags)
    file = examination.file
    edits: Edits = {tag: _element(file, tag, value) for tag, value in tags.items()}
    correction = Amendment(
        corrections=tuple(_correction(examination, sealed, tag, edits[tag] or b"") for tag in sorted(tags)),
        reason=correcting.reason,
        by=correcting.by,
        at=int(correcting.at.timestamp()),
        signer_id=signer.key_id,
    )
    block = examination.block
    try:
        amendments = amendment.appended(
            block.amendments if block else b"", correction, examination.attestation.encoded, signer
        )
    except SealBroken as error:
        raise NotAmendable(str(error)) from error
    edits |= private_block.with_amendments(file, amendments)
    edits[ORIGINAL_ATTRIBUTES] = _original_attributes(file, tags, correcting)
    amended = file.edited(edits)
    proof = verify_examined(Examination(amended, codec), trusted=trusted, recipient_key=None)
    if proof.verdict not in GOOD:
        raise NotAmendable(f"the amended object would verify {proof.verdict}")
    return amended, proof


def _amendable(examination: Examination, report: Report, tags: Mapping[int, str]) -> HeaderTable:
    """The signed header of an object that can be amended. Raises NotAmendable."""
    if report.verdict not in _AMENDABLE:
        raise NotAmendable(f"the object verifies {report.verdict}")
    table = examination.attestation.table
    if table is None:
        raise NotAmendable("the object has no signed header: it was sealed in format version 1")
    others = [
        difference["keyword"]
        for difference in report.header_differences
        if not difference.get("amended")
        and difference["class"] not in (HeaderClass.DESCRIPTION, HeaderClass.BOOKKEEPING)
        and tag_for_keyword(difference["keyword"]) not in tags
    ]
    if others:
        raise NotAmendable(f"further elements differ from the seal: {', '.join(others)}")
    return table


def _tag(keyword: str) -> int:
    # Retired elements have an empty keyword.
    tag = tag_for_keyword(keyword) if keyword else None
    if tag is None or tag not in dictionary.vrs():
        raise UsageError(f"{keyword!r} is not a DICOM keyword", hint="See PS3.6 for the keywords.")
    vr = dictionary.vrs()[tag]
    written = vr in _NUMBERS or KINDS.get(vr, b"B") in (*TEXT_KINDS, b"C", b"D")
    fixed = HeaderClasses().of(tag) is HeaderClass.STRUCTURE or tag == SOP_INSTANCE_UID
    if fixed or not written or not is_covered(tag):
        raise UsageError(
            f"{keyword} can't be amended",
            hint="Elements with text, dates and numbers can; an instance keeps its UID.",
        )
    return tag


def _element(file: Part10, tag: int, value: str) -> bytes | None:
    """The element with its new value; None for an empty one.

    Raises NotAmendable when the character set of the object does not hold it.
    """
    if not value:
        return None
    vr = dictionary.vrs()[tag]
    if vr in _NUMBERS:
        return encode(tag, vr.encode(), _numbers(tag, vr, value, file.encoding), file.encoding)
    text = encoded(value, character_set(file) if KINDS[vr] in TEXT_KINDS else b"")
    if text is None:
        raise NotAmendable(
            f"{dictionary.name_of(tag)}: the object's character set does not hold this value",
            hint="Write it in the character set of the object.",
        )
    return encode(tag, vr.encode(), text, file.encoding)


def _check_value(tag: int, value: str) -> None:
    """Raises UsageError when no object can have this value."""
    vr = dictionary.vrs()[tag]
    if vr in _NUMBERS:
        if value:
            _numbers(tag, vr, value, IMPLICIT_LE)
        return
    if not _is_text(value) or (KINDS[vr] not in TEXT_KINDS and not value.isascii()):
        raise UsageError(
            f"{dictionary.name_of(tag)}: this is no text", hint="Write text without control characters."
        )
    try:
        for part in [value] if KINDS[vr] == b"L" else value.split("\\"):
            validate_value(vr, part.strip(" "), RAISE)
    except ValueError as error:
        raise UsageError(
            f"{dictionary.name_of(tag)}: this is no value of VR {vr}", hint="PS3.5 6.2 says what they hold."
        ) from error


def _numbers(tag: int, vr: str, value: str, encoding: Encoding) -> bytes:
    """Binary numbers, given in decimal and joined by backslashes. Raises UsageError."""
    numbers = [part.strip() for part in value.split("\\")]
    convert = float if vr in ("FL", "FD") else int
    try:
        return struct.pack(encoding.order + _NUMBERS[vr] * len(numbers), *map(convert, numbers))
    except (ValueError, OverflowError, struct.error) as error:
        raise UsageError(
            f"{dictionary.name_of(tag)}: {vr} holds other numbers",
            hint="Write numbers, joined by backslashes.",
        ) from error


def _is_text(value: str) -> bool:
    """Whether a text can be written and shown: no control characters, and none that only a command line made up."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)


def _correction(examination: Examination, sealed: HeaderTable, tag: int, element: bytes) -> Correction:
    """From the value that was sealed, or the last one amended, to the new one."""
    file, stated = examination.file, _stated(examination)
    reading, key = HeaderReading.of(file), element_key(stated.header_salt)
    before, after = examination.amended.get(tag, sealed.elements.get(tag, b"")), b""
    text = ""
    for new in walk(element, 0, len(element), file.encoding):
        inside = reading.over(element)
        after, text = digest_of(key, tag, value_of(new, inside)), shown(new, inside)
    present = examination.present_table.elements.get(tag, b"")
    was = shown(file.index.get(tag), reading) if present == before else ""
    return Correction(tag, before, after, was, text)


def _stated(examination: Examination) -> Statement:
    if examination.statement is None:
        raise NotAmendable("the object has no statement")
    return examination.statement


def _original_attributes(file: Part10, tags: Mapping[int, str], correcting: Correcting) -> bytes:
    """Original Attributes Sequence (PS3.3 C.12.1.1.9) with one more item, for systems that do not know our block."""

    def content(encoding: Encoding) -> bytes:
        moment = correcting.at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000").encode()
        old = b"".join(
            encode(tag, dictionary.vrs()[tag].encode(), file.value(tag) or b"", encoding)
            for tag in sorted(tags)
        )
        return (
            encode(0x04000550, b"SQ", item(old, encoding), encoding)
            + encode(0x04000562, b"DT", moment, encoding)
            + encode(0x04000563, b"LO", b"Sealgate", encoding)
            + encode(0x04000564, b"LO", b"", encoding)
            + encode(0x04000565, b"CS", b"CORRECT", encoding)
        )

    return with_item(file, ORIGINAL_ATTRIBUTES, content)
