"""Payload, envelope and record (FORMAT.md, "Payload", "Record")."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import IMPLICIT_LITTLE, SPECIFICATION, Element, vr_of
from tests.second_reader.header import IDENTITY_1, Context, comparable

PrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey

# In the order of the record: PatientID, PatientName, BirthDate, Sex, AccessionNumber, StudyInstanceUID, SOPInstanceUID,
# IssuerOfPatientID, StudyDate, Modality.
FIELDS = IDENTITY_1
STUDY, SEX, MODALITY = 0x0020000D, 0x00100040, 0x00080060


def _table(name: str) -> list[str]:
    """A table of FORMAT.md, "Record"; what it has in brackets is no text."""
    row = re.search(
        rf"^\| {name} \| (.*) \|$", (SPECIFICATION / "FORMAT.md").read_text("utf-8"), re.MULTILINE
    )
    assert row
    return ["" if entry.startswith("(") else entry.strip("`") for entry in row[1].split(", ")]


ROOTS, MODALITIES, CHARACTER_SETS = map(_table, ("UID roots", "modalities", "character sets"))
ALPHABETS = (
    (4, "0123456789 ^-./:"),
    (6, " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^-._/=,'()&+*#:@%!?;<>|\\\"~$"),
    (7, "".join(map(chr, range(128)))),
    (8, "".join(map(chr, range(256)))),
)


@dataclass(frozen=True)
class Record:
    """values: bytes in the character set `terms`, by tag; shortened: the tags of those that were cut."""

    restore_key: bytes
    terms: str
    values: dict[int, bytes]
    shortened: frozenset[int]
    likeness: bytes | None


class Bits:
    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._bits) - self._at

    def take(self, count: int) -> int:
        if count > self.left:
            raise Malformed("record: cut short")
        self._at += count
        return int(self._bits[self._at - count : self._at] or "0", 2)


def read(data: bytes) -> Record:
    bits = Bits(data)
    key = bits.take(128).to_bytes(16, "big")
    number = bits.take(6)
    if number == 63:
        terms = bytes(bits.take(8) for _ in range(bits.take(8))).decode("latin-1")
    elif number < len(CHARACTER_SETS):
        terms = CHARACTER_SETS[number]
    else:
        raise Malformed("record: character set")
    present = [bool(bits.take(1)) for _ in FIELDS]
    further = bits.take(5) if bits.take(1) else 0
    values: dict[int, bytes] = {}
    shortened: set[int] = set()

    def field(tag: int) -> None:
        values[tag], cut = _value(bits, tag, values.get(STUDY, b"").decode("latin-1"))
        if cut:
            shortened.add(tag)

    for tag, there in zip(FIELDS, present, strict=True):
        if there:
            field(tag)
    before = -1
    for _ in range(further):
        tag = bits.take(32)
        if tag <= before:
            raise Malformed("record: order of fields")
        before = tag
        field(tag)
    likeness = bits.take(64).to_bytes(8, "big") if bits.left >= 64 else None
    if bits.left > 7 or bits.take(bits.left):
        raise Malformed("record: bits after the last field")
    return Record(key, terms, values, frozenset(shortened), likeness)


def _value(bits: Bits, tag: int, study: str) -> tuple[bytes, bool]:
    vr = vr_of(tag)
    if tag == SEX and (number := bits.take(2)) < 3:
        return b"MFO"[number : number + 1], False
    if tag == MODALITY and (number := bits.take(6)) < 63:
        if number >= len(MODALITIES):
            raise Malformed("record: modality")
        return MODALITIES[number].encode(), False
    if vr == "DA" and not bits.take(1):
        day = date(1800, 1, 1) + timedelta(bits.take(17))
        return f"{day.year:04}{day.month:02}{day.day:02}".encode(), False
    if vr == "UI" and not bits.take(1):
        return _uid(bits, study).encode(), False
    width, letters = ALPHABETS[bits.take(2)]
    cut = bool(bits.take(1))
    return "".join(letters[bits.take(width)] for _ in range(bits.take(8))).encode("latin-1"), cut


def _uid(bits: Bits, study: str) -> str:
    if bits.take(1):
        length = bits.take(6)
        if length > len(study):
            raise Malformed("record: a UID relative to nothing")
        start = study[:length]
    else:
        start = ROOTS[bits.take(3)]
    count = bits.take(7)
    number = bits.take((11**count - 1).bit_length())
    if number >= 11**count:
        raise Malformed("record: a UID")
    rest = ""
    for _ in range(count):
        number, digit = divmod(number, 11)
        rest = "0123456789."[digit] + rest
    return start + rest


def fields_that_differ(
    record: Record, elements: Mapping[int, Element], around: Context, further: Iterable[int]
) -> list[int]:
    """Tags of the fields whose value is another one in the header.

    further: fields that count where the record lacks them, too: those of the statement of version 1.
    """
    found = []
    for tag in sorted({*further, *record.values}):
        element, stated = elements.get(tag), record.values.get(tag, b"")
        if tag in record.shortened and element is not None and element.body.startswith(stated):
            continue
        recorded = Element(tag, None, b"", stated, IMPLICIT_LITTLE)
        if comparable(recorded, Context(record.terms, around.signed)) != comparable(element, around):
            found.append(tag)
    return found


# ---- envelope: HPKE (RFC 9180), base mode, single shot


def open_envelope(payload: bytes, key: PrivateKey) -> bytes:
    """The record of an envelope payload. Raises Malformed."""
    if not payload or payload[0] not in (0x11, 0x12):
        raise Malformed("payload: its kind")
    curve = payload[0] == 0x12
    size = 33 if curve else 32
    identity, enc, sealed = payload[1:5], payload[5 : 5 + size], payload[5 + size :]
    if curve != isinstance(key, ec.EllipticCurvePrivateKey) or len(sealed) < 16:
        raise Malformed("envelope: for another kind of key, or cut short")
    if recipient_id(key) != identity:
        raise Malformed("envelope: for another recipient")
    shared = _decap(enc, key)
    suite = b"HPKE" + struct.pack(">3H", 0x0010 if curve else 0x0020, 1, 1)
    psk, info = _extract(suite, b"", b"psk_id_hash", b""), _extract(suite, b"", b"info_hash", b"sealgate v1")
    secret = _extract(suite, shared, b"secret", b"")
    schedule = b"\0" + psk + info
    aead = AESGCM(_expand(suite, secret, b"key", schedule, 16))
    try:
        return aead.decrypt(_expand(suite, secret, b"base_nonce", schedule, 12), sealed, b"")
    except InvalidTag as error:
        raise Malformed("envelope: does not open") from error


def recipient_id(key: PrivateKey) -> bytes:
    return blake3(_public(key, PublicFormat.CompressedPoint)).digest(4)


def _public(key: PrivateKey, form: PublicFormat) -> bytes:
    if isinstance(key, x25519.X25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, form)


def _decap(enc: bytes, key: PrivateKey) -> bytes:
    try:
        if isinstance(key, x25519.X25519PrivateKey):
            dh, kem, peer = key.exchange(x25519.X25519PublicKey.from_public_bytes(enc)), 0x0020, enc
        else:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
            dh, kem = key.exchange(ec.ECDH(), point), 0x0010
            peer = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    except ValueError as error:
        raise Malformed("envelope: no point of the curve") from error
    suite = b"KEM" + struct.pack(">H", kem)
    inner = peer + _public(key, PublicFormat.UncompressedPoint)
    return _expand(suite, _extract(suite, b"", b"eae_prk", dh), b"shared_secret", inner, 32)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(b"HPKE-v1" + suite + label + material)
    return mac.finalize()


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labelled).derive(secret)
