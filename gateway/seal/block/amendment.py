"""Amendments: signed corrections of a sealed header (FORMAT.md, "Amendments"). Patients are merged and names corrected
every day; who corrects says so and signs it, and the seal stays.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cbor2
from blake3 import blake3
from cryptography.exceptions import InvalidSignature

from gateway.errors import SealBroken
from gateway.keys import Signer, TrustedSigners
from gateway.seal.header.canonical import is_covered
from gateway.seal.header.table import DIGEST_BYTES, HeaderTable

# Number of the check in FORMAT.md that this module serves.
CHECK = 12
_PREFIX = b"sealgate amendment v2\0"
_VERSION = 2
_KEYS = frozenset(range(1, 9))
_TAG_MAX = 0xFFFFFFFF
# More than a patient's record sees in a life; each costs a signature to check.
AMENDMENTS_MAX = 1000
# Nobody signed the whole of the element, so that anybody can make it long; parsed, it takes up to 75 times as much.
ELEMENT_MAX = 1 << 20


@dataclass(frozen=True)
class Correction:
    """One element that was corrected.

    tag: of the element, at the top level.
    digest_before, digest_after: its digests in the signed header's form (12 bytes); b"" for an absent or empty element.
    before, after: as people read them.
    """

    tag: int
    digest_before: bytes
    digest_after: bytes
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A signed correction.

    corrections: of one or more elements.
    reason: why, in words.
    by: who, in words.
    at: when, seconds since 1970-01-01 UTC.
    signer_id: first 8 bytes of BLAKE3 over the signer's raw key.
    """

    corrections: tuple[Correction, ...]
    reason: str
    by: str
    at: int
    signer_id: bytes


def appended(element: bytes, amendment: Amendment, statement: bytes, signer: Signer) -> bytes:
    """The element of the private block with one more amendment.

    element: as it is; empty when there is none.
    statement: the encoded statement of the seal.
    Raises SealBroken when the element is malformed, or would become longer than readers take.
    """
    entries = _entries(element) if element else []
    content = {
        1: _VERSION,
        2: blake3(statement).digest(),
        3: blake3(entries[-1][0]).digest() if entries else b"",
        4: [
            [item.tag, item.digest_before, item.digest_after, item.before, item.after]
            for item in amendment.corrections
        ],
        5: amendment.reason,
        6: amendment.by,
        7: amendment.at,
        8: signer.key_id,
    }
    encoded = cbor2.dumps(content, canonical=True)
    longer = cbor2.dumps([*entries, [encoded, signer.sign(_PREFIX + encoded)]], canonical=True)
    if len(longer) > ELEMENT_MAX or len(entries) >= AMENDMENTS_MAX:
        raise SealBroken("the object was amended too often", check=CHECK)
    return longer


def decode(element: bytes, statement: bytes) -> tuple[Amendment, ...]:
    """The amendments of a sealed object, in order; their signatures are not checked.

    statement: the encoded statement of the seal.
    Raises SealBroken when one is malformed, of another object, or out of its place.
    """
    amendments: list[Amendment] = []
    previous = b""
    for encoded, _ in _entries(element):
        amendments.append(_decoded(encoded, blake3(statement).digest(), previous))
        previous = blake3(encoded).digest()
    return tuple(amendments)


def read(element: bytes, statement: bytes, trusted: TrustedSigners | None) -> tuple[Amendment, ...]:
    """The amendments of a sealed object, in order.

    statement: the encoded statement of the seal.
    trusted: the signers that are believed.
    Raises SealBroken when one is malformed, of another object, out of its place, or not signed by a trusted signer.
    """
    amendments = decode(element, statement)
    for amendment, (encoded, signature) in zip(amendments, _entries(element), strict=True):
        signer = trusted.find(amendment.signer_id) if trusted else None
        if signer is None or signer.validity.objection(amendment.at):
            raise SealBroken("an amendment was signed by a signer that is not trusted", check=CHECK)
        try:
            signer.public.verify(signature, _PREFIX + encoded)
        except InvalidSignature as error:
            raise SealBroken("the signature of an amendment does not match it", check=CHECK) from error
    return amendments


def covered(amendments: tuple[Amendment, ...], sealed: HeaderTable) -> dict[int, bytes]:
    """Tag -> the digest that the element must have after all amendments.

    Raises SealBroken when an amendment does not begin where the seal or the one before it ended.
    """
    now: dict[int, bytes] = {}
    for amendment in amendments:
        for item in amendment.corrections:
            if item.digest_before != now.get(item.tag, sealed.elements.get(item.tag, b"")):
                raise SealBroken(
                    "an amendment corrects another value than the one that was there", check=CHECK
                )
            now[item.tag] = item.digest_after
    return now


def _entries(element: bytes) -> list[list[bytes]]:
    if len(element) > ELEMENT_MAX:
        raise SealBroken("the amendments are too long", check=CHECK)
    stream = io.BytesIO(element)
    try:
        entries = cbor2.load(stream)
        if stream.tell() != len(element) or not isinstance(entries, list) or len(entries) > AMENDMENTS_MAX:
            raise ValueError("no list, too long, or bytes follow")
        for encoded, signature in entries:
            if type(encoded) is not bytes or type(signature) is not bytes:
                raise TypeError("an entry has wrong types")
    except (cbor2.CBORError, ValueError, TypeError, RecursionError) as error:
        raise SealBroken("the amendments are malformed", check=CHECK) from error
    return entries


def _decoded(encoded: bytes, statement_hash: bytes, previous: bytes) -> Amendment:
    try:
        content = cbor2.loads(encoded)
        if (
            type(content) is not dict
            or content.keys() != _KEYS
            or [type(content[1]), content[1]] != [int, _VERSION]
        ):
            raise ValueError("not this version")
        if cbor2.dumps(content, canonical=True) != encoded:
            raise ValueError("not the deterministic encoding")
        corrections = tuple(_correction(item) for item in content[4])
        texts, moment, signer_id = (content[5], content[6]), content[7], content[8]
        if (
            not all(type(text) is str for text in texts)
            or type(moment) is not int
            or type(signer_id) is not bytes
            or type(content[4]) is not list
            or not corrections
        ):
            raise TypeError("an entry has wrong types")
    except (cbor2.CBORError, ValueError, TypeError, RecursionError) as error:
        raise SealBroken("an amendment is malformed", check=CHECK) from error
    if content[2] != statement_hash or content[3] != previous:
        raise SealBroken("an amendment is of another object, or out of its place", check=CHECK)
    return Amendment(corrections=corrections, reason=texts[0], by=texts[1], at=moment, signer_id=signer_id)


def _correction(item: Any) -> Correction:
    tag, before, after, old, new = item
    digests = all(type(digest) is bytes and len(digest) in (0, DIGEST_BYTES) for digest in (before, after))
    if type(tag) is not int or not digests or type(old) is not str or type(new) is not str:
        raise TypeError("a correction has wrong types")
    if not is_covered(tag) or tag > _TAG_MAX:
        raise ValueError("a correction is of no element that a signed header covers")
    return Correction(tag, before, after, old, new)
