"""Give an object away for research or teaching: verified, restored, and searched for anything that sealing left in it.

A sealed image carries its patient, encrypted, in its pixels. No tool that edits headers removes that. Here the pixels
are restored, and the result is examined once more before it is returned. It still names the patient in its header:
de-identification (PS3.15 annex E) comes afterwards, and is the site's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import UnreadableObject
from gateway.keys import RecipientKey, TrustedSigners
from gateway.seal.block import digest, private_block
from gateway.seal.block.statement import Level, Statement
from gateway.seal.codec import Codec
from gateway.seal.examination import Examination
from gateway.seal.findings import Report, Verdict
from gateway.seal.header.classes import HeaderClasses
from gateway.seal.verifying import restore_reported, verify_examined

BITS_ALLOCATED, SAMPLES_PER_PIXEL = 0x00280100, 0x00280002
# What the codec can hide in; in other layouts there is nothing to search for.
CARRYING_BITS, CARRYING_SAMPLES = (8, 16), (1, 3)
# An element header before the value of a private creator is at most so long.
HEADER_BYTES = 12


@dataclass(frozen=True, kw_only=True)
class ReleaseRules:
    """What may be released beside objects whose seal verifies.

    unsealed: objects without any trace of a seal.
    undecodable: objects whose pixels can't be decoded here, so that nobody can say that they carry no record.
    """

    unsealed: bool = False
    undecodable: bool = False


@dataclass(frozen=True, kw_only=True)
class Release:
    """Whether an object may be given away.

    released: whether it may.
    reason: released, or released-unsealed; else a verdict that is not good, or a code word for what was found.
    report: what verification found.
    statement: of the seal that was taken off; None when there was none.
    """

    released: bool
    reason: str
    report: Report
    statement: Statement | None = None


def release(
    data: ByteSource,
    *,
    trusted: TrustedSigners | None,
    recipient_key: RecipientKey,
    codec: Codec,
    rules: ReleaseRules,
    classes: HeaderClasses | None = None,
) -> tuple[ByteSource | None, Release]:
    """The object without seal and record, or None and why not; never raises for bad objects. Amendments stay in it.

    trusted: the signers that are believed. What does not verify with them is never released.
    recipient_key: restores the pixels.
    classes: as for `verify_examined`.
    """
    examination = Examination(data, codec, deep=True)
    report = verify_examined(examination, trusted=trusted, recipient_key=recipient_key, classes=classes)

    def refused(reason: str) -> tuple[None, Release]:
        return None, Release(released=False, reason=reason, report=report)

    if report.verdict is Verdict.UNSEALED and rules.unsealed:
        left = left_over(examination, None, rules)
        if left is not None:
            return refused(left)
        return data, Release(released=True, reason="released-unsealed", report=report)
    if not report.ok:
        return refused(str(report.verdict))
    original, restoration = restore_reported(examination, report, recipient_key=recipient_key)
    if original is None:
        return refused(f"not-restored-{restoration.reason}")
    statement = examination.statement
    left = left_over(Examination(original, codec, deep=True), statement, rules)
    if left is not None:
        return refused(left)
    return original, Release(released=True, reason="released", report=report, statement=statement)


def left_over(examination: Examination, sealed: Statement | None, rules: ReleaseRules) -> str | None:
    """A word for what sealing left in an object, None when it left nothing.

    examination: of the object, searching deeply.
    sealed: the statement of the seal that was taken off; None when there was none.
    """
    try:
        if _has_block(examination.file):
            return "block-left"
        if sealed is not None and _has_digest(examination.file, sealed.digest):
            return "digest-left"
        return _left_in_pixels(examination, sealed, rules)
    except UnreadableObject:
        return "unreadable"


def _left_in_pixels(examination: Examination, sealed: Statement | None, rules: ReleaseRules) -> str | None:
    """Raises UnreadableObject."""
    if not _may_carry(examination.file):
        return None
    if examination.image is None:
        return None if rules.undecodable else "undecodable"
    if examination.revealed is not None:
        return "record-left"
    shape, pixels = examination.image
    # Level digest leaves the pixels as they came: there the same digest is no trace.
    if sealed is None or sealed.level != Level.FULL:
        return None
    if digest.of_pixels(pixels.samples, shape) == sealed.digest:
        return "still-sealed"
    return None


def _may_carry(file: Part10) -> bool:
    if PIXEL_DATA not in file.index:
        return False
    bits, samples = file.number(BITS_ALLOCATED, 0), file.number(SAMPLES_PER_PIXEL, 1)
    return bits in CARRYING_BITS and samples in CARRYING_SAMPLES


def _has_block(file: Part10) -> bool:
    """Whether a private creator of ours stands anywhere, or elements of group 0071 whose creator was taken out.

    The creator is searched for in the bytes, so that it is found at any depth, also within elements of VR UN.
    """
    numbers = [element.tag & 0xFFFF for element in file.elements if element.group == private_block.GROUP]
    reserved = {number for number in numbers if 0x10 <= number <= 0xFF}
    orphans = any(number > 0xFF and number >> 8 not in reserved for number in numbers)
    return orphans or any(_is_creator(file, at) for at in _places(file.body, private_block.CREATOR))


def _is_creator(file: Part10, at: int) -> bool:
    """Whether the text at that place is the value of an element (gggg,00xx) of an odd group (PS3.5 7.8.1)."""
    order: tuple[int, int] = (0, 1) if file.encoding.little else (1, 0)
    for length in (8, HEADER_BYTES):
        head = file.body[max(at - length, 0) : at]
        if len(head) != length:
            continue
        group_is_odd = head[order[0]] % 2 == 1
        number, zero = head[2 + order[0]], head[2 + order[1]]
        if group_is_odd and zero == 0 and number >= 0x10 and _is_header(head, file.encoding.order):
            return True
    return False


def _is_header(head: bytes, order: str) -> bool:
    """Whether these 8 or 12 bytes end with a length that fits the creator, alone or with some padding."""
    least, most = len(private_block.CREATOR), len(private_block.CREATOR) + 8
    byteorder = "little" if order == "<" else "big"
    lengths = [int.from_bytes(head[-4:], byteorder)]  # type: ignore[arg-type]  # one of the two
    if len(head) == 8 and head[4:6].isalpha():
        lengths = [int.from_bytes(head[-2:], byteorder)]  # type: ignore[arg-type]
    return any(least <= length <= most for length in lengths)


def _has_digest(file: Part10, sealed: bytes) -> bool:
    """Whether the digest of the sealed object stands somewhere: by it anybody could find the patient's own object."""
    needles = (sealed, sealed.hex().encode(), sealed.hex().upper().encode())
    return any(True for needle in needles for _ in _places(file.body, needle))


def _places(body: ByteSource, needle: bytes) -> Iterator[int]:
    """The offsets at which some bytes stand. The body may be larger than memory."""
    start, tail = 0, b""
    for piece in pieces(body):
        part = tail + piece
        at = part.find(needle)
        while at >= 0:
            yield start - len(tail) + at
            at = part.find(needle, at + 1)
        start += len(piece)
        tail = part[-(len(needle) - 1) :]
