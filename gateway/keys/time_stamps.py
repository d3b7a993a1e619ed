"""Time stamps of an authority that others believe, too (RFC 3161): asked for, checked, and read again later.

Pure but for the nonce. The network is elsewhere: `gateway.work.time_stamping`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from gateway.errors import TimeStampFailed
from gateway.keys.certified import CERTIFICATE_ERRORS, CertificateTrust

MEDIA_TYPE_QUERY = "application/timestamp-query"
MEDIA_TYPE_REPLY = "application/timestamp-reply"
# PKIStatusInfo with the status "granted" (RFC 3161 2.4.2), before a token makes it an answer again.
_GRANTED = bytes.fromhex("3003020100")
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


@dataclass(frozen=True)
class TimeStamp:
    """A time stamp that was read.

    token: as it came, DER.
    at: the time that it states, UTC.
    believed: whether its authority is one of those that are trusted, and signed it; None when nobody is trusted.
    """

    token: bytes
    at: datetime
    believed: bool | None


@dataclass(frozen=True)
class TimeStampQuery:
    """One question to an authority. Its nonce tells an answer to it from an older one."""

    stamped: bytes
    request: TimeStampRequest

    @classmethod
    def about(cls, stamped: bytes) -> Self:
        """The question for a time stamp over some bytes. Only their SHA-256 leaves the house."""
        builder = TimestampRequestBuilder().data(stamped).hash_algorithm(HashAlgorithm.SHA256)
        return cls(stamped, builder.nonce(nonce=True).cert_request(cert_request=True).build())

    @property
    def encoded(self) -> bytes:
        """TimeStampReq in DER."""
        return self.request.as_bytes()

    def stamp_in(self, answer: bytes, trust: CertificateTrust) -> TimeStamp:
        """The time stamp of an answer, which is checked: status, imprint, nonce, signature, certificate, its usage.

        answer: TimeStampResp in DER.
        Raises TimeStampFailed when it is no answer to this question, or of nobody who is trusted.
        """
        try:
            response = decode_timestamp_response(answer)
            if response.status != 0:
                raise TimeStampFailed(f"the time stamp authority refused (status {int(response.status)})")
            token = response.time_stamp_token()
            if response.tst_info.nonce != self.request.nonce:
                raise TimeStampFailed("the time stamp answers another question (nonce)")
        except ValueError as error:
            raise TimeStampFailed("the time stamp authority sent something that is no time stamp") from error
        stamp = read_stamp(token, self.stamped, trust)
        if stamp is None:
            raise TimeStampFailed("the time stamp is over something else, or damaged")
        if not stamp.believed:
            raise TimeStampFailed(
                "the time stamp is of an authority that seal.time_stamp.certificates does not know"
            )
        return stamp


def read_stamp(token: bytes, stamped: bytes, trust: CertificateTrust | None) -> TimeStamp | None:
    """The time stamp over some bytes; None when the token is damaged or over something else.

    token: TimeStampToken in DER; one byte of padding may follow.
    trust: authorities that are believed; None: nobody, and the token's signature is not checked.
    """
    try:
        response = decode_timestamp_response(_as_answer(token))
        info = response.tst_info
        imprint = info.message_imprint
        if imprint.hash_algorithm != _SHA256 or imprint.message != hashlib.sha256(stamped).digest():
            return None
        believed = None if trust is None else _is_believed(response, stamped, trust)
        return TimeStamp(response.time_stamp_token(), info.gen_time, believed)
    except ValueError:
        return None


def _is_believed(response: TimeStampResponse, stamped: bytes, trust: CertificateTrust) -> bool:
    if not trust.certificates:
        return False
    builder = VerifierBuilder(roots=list(trust.certificates))
    try:
        return builder.build().verify_message(response, stamped)
    except (VerificationError, *CERTIFICATE_ERRORS):
        return False


def _as_answer(token: bytes) -> bytes:
    """The answer (TimeStampResp) around a token, without what follows the token."""
    content = _GRANTED + token[: _der_length(token)]
    return b"\x30" + _length(len(content)) + content


def _length(size: int) -> bytes:
    """A length in DER (X.690 8.1.3)."""
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _der_length(value: bytes) -> int:
    """The length of the first DER value, with its header; that of all bytes when it is damaged."""
    if len(value) < 2 or value[1] < 0x80:
        return min(len(value), 2 + value[1]) if len(value) >= 2 else len(value)
    octets = value[1] & 0x7F
    return min(len(value), 2 + octets + int.from_bytes(value[2 : 2 + octets], "big"))
