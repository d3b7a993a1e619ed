"""Check digital signatures (PS3.15 Annex C), ours and those of others."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from pydicom.datadict import keyword_for_tag

from gateway.dicom.elements import EXPLICIT_LE
from gateway.dicom.part10 import Part10
from gateway.dicom.syntaxes import syntax_of
from gateway.errors import UnreadableObject
from gateway.keys import (
    CERTIFICATE_ERRORS,
    CertificateTrust,
    TimeStamp,
    read_stamp,
    signature_verifies,
    unpadded,
)
from gateway.seal.standard_signature import items
from gateway.seal.standard_signature.items import SignatureItem
from gateway.seal.standard_signature.mac import ElementReader
from gateway.seal.standard_signature.profile import seal_tags, statement_of, wanted_tags
from gateway.seal.standard_signature.signing import mac_of, signature_uid

# MD5, SHA-1 and RIPEMD-160 prove nothing any more.
_ALGORITHMS = ("SHA256", "SHA384", "SHA512")
_DATE_TIME = re.compile(r"(\d{14})(?:\.(\d{1,6}))?([+-]\d{4})?")
# More signatures than this are not looked at: each reads the whole object.
SIGNATURES_MAX = 16


class SignatureState(StrEnum):
    """Whether the signature is of its certificate's key, over what the object holds now."""

    VALID = "valid"
    # A signed element, or the signature, is not what it was.
    BROKEN = "broken"
    # It is of a kind that is not checked here, or damaged.
    UNCHECKED = "unchecked"


class StampState(StrEnum):
    """What is known of the certified time stamp."""

    NONE = "none"
    VALID = "valid"
    # Over this signature, but of nobody who is trusted.
    UNTRUSTED = "untrusted"
    # Over something else, or damaged.
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class StandardSignature:
    """One digital signature, checked.

    uid: Digital Signature UID.
    state: of the signature itself.
    detail: why it is not valid; "" when it is.
    trusted: whether its certificate comes from somebody who is trusted and was in force; None when nobody was named.
    signer: whom the certificate names (RFC 4514); "" when it can't be read.
    signed_at: Digital Signature DateTime, as it says itself.
    stamp, stamped_at: of the certified time stamp; None without one.
    of_this_seal: whether it was made for the seal that the object carries.
    tags: of the elements that it covers.
    missing: of those, what is not there any more.
    uncovered: what the profile wants covered, is there and can be signed, and is not covered: added since, or left out.
    """

    uid: str
    state: SignatureState
    detail: str = ""
    trusted: bool | None = None
    signer: str = ""
    signed_at: datetime | None = None
    stamp: StampState = StampState.NONE
    stamped_at: datetime | None = None
    of_this_seal: bool = False
    tags: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    uncovered: tuple[int, ...] = ()

    def changed_among(self, tags: Iterable[int]) -> tuple[str, ...]:
        """Of elements that are known to have changed, keywords of those that this signature covers.

        The signature itself can't tell which of its elements changed; the digests of our seal can.
        """
        covered = frozenset(self.tags)
        return tuple(_name(tag) for tag in sorted({*tags, *self.missing}) if tag in covered)


def check_standard_signatures(
    file: Part10, *, trusted: CertificateTrust | None = None, authorities: CertificateTrust | None = None
) -> list[StandardSignature]:
    """Every signature on the top level of an object, checked; never raises for bad ones.

    trusted: whose certificates are believed; None: nobody was named.
    authorities: whose time stamps are believed; None: the same as `trusted`.
    """
    try:
        found = items.signatures(file)
        statement = statement_of(file)
    except UnreadableObject as error:
        return [StandardSignature(uid="", state=SignatureState.UNCHECKED, detail=str(error))]
    checked = [
        _checked(file, signature, statement, trusted, authorities or trusted)
        for signature in found[:SIGNATURES_MAX]
    ]
    return checked + [
        StandardSignature(
            uid=signature.text(items.SIGNATURE_UID),
            state=SignatureState.UNCHECKED,
            detail=f"only the first {SIGNATURES_MAX} signatures are checked",
        )
        for signature in found[SIGNATURES_MAX:]
    ]


def _checked(
    file: Part10,
    item: SignatureItem,
    statement: bytes,
    trusted: CertificateTrust | None,
    authorities: CertificateTrust | None,
) -> StandardSignature:
    certificate = _certificate(item)
    state, detail = _state(file, item, certificate)
    stamp_state, stamp = _stamp(item, authorities)
    uid, signed_at = item.text(items.SIGNATURE_UID), _moment(item.text(items.SIGNATURE_TIME))
    # A time stamp that is believed says when; the signature alone only claims to.
    moment = stamp.at if stamp is not None and stamp_state is StampState.VALID else signed_at
    believed = (
        None
        if trusted is None
        else certificate is not None and moment is not None and trusted.believes(certificate, moment)
    )
    return StandardSignature(
        uid=uid,
        state=state,
        detail=detail,
        trusted=believed,
        signer=_subject(certificate),
        signed_at=signed_at,
        stamp=stamp_state,
        stamped_at=stamp.at if stamp is not None else None,
        of_this_seal=bool(statement) and uid == signature_uid(statement),
        tags=item.tags,
        missing=tuple(tag for tag in item.tags if tag not in file.index),
        uncovered=_uncovered(file, item),
    )


def _uncovered(file: Part10, item: SignatureItem) -> tuple[int, ...]:
    wanted, reader = wanted_tags(file) - frozenset(item.tags), ElementReader.of(file)
    try:
        return tuple(
            element.tag
            for element in file.elements
            if element.tag in wanted and reader.can_be_signed(element)
        )
    except UnreadableObject:
        return ()


def _state(
    file: Part10, item: SignatureItem, certificate: x509.Certificate | None
) -> tuple[SignatureState, str]:
    algorithm, signature = item.text(items.MAC_ALGORITHM), item.values.get(items.SIGNATURE, b"")
    if not item.tags or not signature:
        return SignatureState.UNCHECKED, "the signature lacks its parameters or its value"
    if algorithm not in _ALGORITHMS:
        return SignatureState.UNCHECKED, "the MAC algorithm is not one of SHA-256, SHA-384, SHA-512"
    if syntax_of(item.text(items.MAC_SYNTAX)).encoding != EXPLICIT_LE:
        return SignatureState.UNCHECKED, "the MAC is not over explicit VR little endian"
    if certificate is None:
        return SignatureState.UNCHECKED, "the certificate can't be read"
    if file.repeated & frozenset(item.tags):
        return SignatureState.BROKEN, "a signed element is there twice"
    try:
        reader = item.reader
        facts = b"".join(
            piece
            for element in item.elements
            if element.tag not in items.NOT_IN_MAC
            for piece in reader.encoded(element)
        )
        # Our digest is text, also where the object does not say so any more.
        top = ElementReader.of(file, dict.fromkeys(seal_tags(file), b"LO"))
        digest = mac_of(file, top, item.tags, facts, algorithm)
        if signature_verifies(certificate, signature, digest, algorithm):
            return SignatureState.VALID, ""
    except UnreadableObject as error:
        return SignatureState.BROKEN, str(error)
    except UnsupportedAlgorithm as error:
        return SignatureState.UNCHECKED, str(error)
    return SignatureState.BROKEN, "a signed element or the signature changed"


def _stamp(item: SignatureItem, authorities: CertificateTrust | None) -> tuple[StampState, TimeStamp | None]:
    token = item.values.get(items.STAMP, b"")
    if not token:
        return StampState.NONE, None
    if item.text(items.STAMP_TYPE) != items.CMS_TSP.decode():
        return StampState.BROKEN, None
    stamp = read_stamp(token, unpadded(item.values.get(items.SIGNATURE, b"")), authorities)
    if stamp is None:
        return StampState.BROKEN, None
    return StampState.VALID if stamp.believed else StampState.UNTRUSTED, stamp


def _certificate(item: SignatureItem) -> x509.Certificate | None:
    encoded = item.values.get(items.CERTIFICATE, b"")
    # Values have an even length; DER knows its own.
    for content in (encoded, encoded.removesuffix(b"\0")):
        try:
            with warnings.catch_warnings():
                # What a later version of the library will refuse is refused now.
                warnings.simplefilter("error", CryptographyDeprecationWarning)
                return x509.load_der_x509_certificate(content)
        except (*CERTIFICATE_ERRORS, CryptographyDeprecationWarning):
            continue
    return None


def _subject(certificate: x509.Certificate | None) -> str:
    try:
        return certificate.subject.rfc4514_string() if certificate is not None else ""
    except CERTIFICATE_ERRORS:
        return ""


def _moment(text: str) -> datetime | None:
    """A DT (PS3.5 table 6.2-1) to the second or finer; UTC where it names no zone. None when it is none."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    digits, fraction, zone = match.groups()
    offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:])) if zone else timedelta()
    try:
        moment = datetime.strptime(digits, "%Y%m%d%H%M%S")
        microsecond = int((fraction or "").ljust(6, "0"))
        return moment.replace(microsecond=microsecond, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _name(tag: int) -> str:
    return str(keyword_for_tag(tag)) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
