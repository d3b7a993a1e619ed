"""Sign a sealed object as PS3.15 C.2 says, and take such a signature away again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import overload
from uuid import UUID

from blake3 import blake3

from gateway.dicom.elements import EXPLICIT_LE
from gateway.dicom.lazy_bytes import ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.syntaxes import EXPLICIT_VR_LE, syntax_of
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import UnreadableObject
from gateway.keys import CertifiedSigner
from gateway.seal.standard_signature import items
from gateway.seal.standard_signature.mac import ElementReader
from gateway.seal.standard_signature.profile import (
    DIGITAL_SIGNATURES,
    MAC_PARAMETERS,
    statement_of,
    wanted_tags,
)

# Gives a time stamp (TimeStampToken in DER) over these bytes, or nothing where it may be missing.
StampOf = Callable[[bytes], bytes]

ALGORITHM = "SHA256"
_MAC_NUMBER = 0


@dataclass(frozen=True, kw_only=True)
class StandardlySigned:
    """What came of signing.

    reason: signed; stamped, or unstamped where a time stamp was wanted; or why there is no signature: not-sealed,
        has-signatures, structure, certificate-expired.
    tags: of the elements that the signature covers.
    """

    reason: str
    tags: tuple[int, ...] = ()

    @property
    def made(self) -> bool:
        """Whether there is a signature."""
        return bool(self.tags)


@overload
def sign(
    data: bytes, signer: CertifiedSigner, *, now: datetime, time_stamp: StampOf | None = None
) -> tuple[bytes, StandardlySigned]: ...


@overload
def sign(
    data: ByteSource, signer: CertifiedSigner, *, now: datetime, time_stamp: StampOf | None = None
) -> tuple[ByteSource, StandardlySigned]: ...


def sign(
    data: ByteSource, signer: CertifiedSigner, *, now: datetime, time_stamp: StampOf | None = None
) -> tuple[ByteSource, StandardlySigned]:
    """A sealed file with a digital signature at its end, or the file itself where none can be made.

    data: a complete DICOM file (PS3.10) with our private block. What is not in memory is read piece by piece, and the
        result is not in memory either.
    now: the time of signing, with its time zone.
    time_stamp: asked once, with the value of the signature. What it raises goes through.
    Raises UnreadableObject when the bytes can't be parsed.
    """
    file = read(data)
    statement = statement_of(file)
    if not statement:
        return data, StandardlySigned(reason="not-sealed")
    if MAC_PARAMETERS in file.index or DIGITAL_SIGNATURES in file.index:
        return data, StandardlySigned(reason="has-signatures")
    if not signer.valid_at(now):
        return data, StandardlySigned(reason="certificate-expired")
    reader, wanted = ElementReader.of(file), wanted_tags(file)
    try:
        if file.repeated:
            return data, StandardlySigned(reason="structure")
        tags = tuple(
            element.tag
            for element in file.elements
            if element.tag in wanted and reader.can_be_signed(element)
        )
        facts = _facts(statement, now)
        digest = mac_of(file, reader, tags, items.item_of(facts, EXPLICIT_LE), ALGORITHM)
    except UnreadableObject:
        return data, StandardlySigned(reason="structure")
    signature = signer.sign(digest)
    token = time_stamp(signature) if time_stamp is not None else b""
    edits = items.written(_parameters(file, tags), _signature(facts, signer, signature, token), file.encoding)
    reason = "signed" if time_stamp is None else "stamped" if token else "unstamped"
    return file.rewritten(edits), StandardlySigned(reason=reason, tags=tags)


def removal(file: Part10) -> dict[int, bytes | None]:
    """Edits that take a sealed object's digital signatures away.

    All of them: an object that had one when it came is not sealed, so none of them is part of the original.
    """
    return dict.fromkeys(tag for tag in (MAC_PARAMETERS, DIGITAL_SIGNATURES) if tag in file.index)


def signature_uid(statement: bytes) -> str:
    """The Digital Signature UID for a statement: a UUID (RFC 9562 5.8) of its digest, below 2.25 (PS3.5 B.2).

    The signature covers this UID, so it holds for one seal only, also where the private block can't be covered.

    statement: as it is signed; one byte of padding may follow.
    """
    content = blake3(b"sealgate standard signature v1\0" + statement.rstrip(b"\0")).digest(16)
    number = int.from_bytes(content) & ~(0xF << 76 | 0x3 << 62) | 0x8 << 76 | 0x2 << 62
    return f"2.25.{UUID(int=number).int}"


def mac_of(file: Part10, reader: ElementReader, tags: tuple[int, ...], item: bytes, algorithm: str) -> bytes:
    """The message authentication code that is signed.

    reader: of the top level of the object.
    tags: Data Elements Signed; what is not there is not covered.
    item: what is covered of the signature's own item, encoded.
    algorithm: SHA256, SHA384 or SHA512.
    Raises UnreadableObject when an element is damaged.
    """
    engine, signed = hashlib.new(algorithm.lower()), frozenset(tags)
    for element in file.elements:
        if element.tag in signed:
            for piece in reader.encoded(element):
                engine.update(piece)
    engine.update(item)
    return engine.digest()


def mac_syntax(file: Part10) -> str:
    """The MAC Calculation Transfer Syntax: that of the object where fragments are signed, or else explicit VR."""
    pixels = file.index.get(PIXEL_DATA)
    encapsulated = pixels is not None and pixels.undefined and not syntax_of(file.transfer_syntax).native
    return file.transfer_syntax if encapsulated else EXPLICIT_VR_LE


def _facts(statement: bytes, now: datetime) -> list[tuple[int, bytes, bytes]]:
    """What the MAC covers of the signature's item, in its order. The number of the MAC is 0 in any byte order."""
    moment = now.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    return [
        (items.MAC_ID, b"US", struct.pack("<H", _MAC_NUMBER)),
        (items.SIGNATURE_UID, b"UI", signature_uid(statement).encode()),
        (items.SIGNATURE_TIME, b"DT", moment.encode()),
        (items.CERTIFICATE_TYPE, b"CS", items.X509),
    ]


def _parameters(file: Part10, tags: tuple[int, ...]) -> list[tuple[int, bytes, bytes]]:
    order = file.encoding.order
    listed = b"".join(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) for tag in tags)
    return [
        (items.MAC_ID, b"US", struct.pack(order + "H", _MAC_NUMBER)),
        (items.MAC_SYNTAX, b"UI", mac_syntax(file).encode()),
        (items.MAC_ALGORITHM, b"CS", ALGORITHM.encode()),
        (items.ELEMENTS_SIGNED, b"AT", listed),
    ]


def _signature(
    facts: list[tuple[int, bytes, bytes]],
    signer: CertifiedSigner,
    signature: bytes,
    token: bytes,
) -> list[tuple[int, bytes, bytes]]:
    elements = [*facts, (items.CERTIFICATE, b"OB", signer.der), (items.SIGNATURE, b"OB", signature)]
    if token:
        elements += [(items.STAMP_TYPE, b"CS", items.CMS_TSP), (items.STAMP, b"OB", token)]
    return elements
