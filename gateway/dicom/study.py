"""The study that a data set belongs to, from its first bytes."""

from __future__ import annotations

import zlib

from gateway.dicom.elements import (
    IMPLICIT_LE,
    UNDEFINED,
    Encoding,
    header,
    skip_undefined,
)
from gateway.dicom.syntaxes import Form, syntax_of
from gateway.dicom.tags import STUDY_INSTANCE_UID
from gateway.errors import UnreadableObject

# So much of a deflated data set is inflated: the element stands near the beginning.
INFLATED_BYTES = 1 << 20


def study_of(beginning: bytes, syntax: str) -> str | None:
    """The Study Instance UID; None when it is not in these bytes, or they are not a data set.

    beginning: the first bytes of a data set, or all of them.
    syntax: UID of the transfer syntax.
    """
    declared = syntax_of(syntax)
    try:
        if declared.form is Form.DEFLATED:
            beginning = zlib.decompressobj(-zlib.MAX_WBITS).decompress(beginning, INFLATED_BYTES)
        return _study_instance_uid(
            beginning, Encoding(explicit=_has_vr(beginning), little=declared.encoding.little)
        )
    except (UnreadableObject, zlib.error):
        return None


def _has_vr(beginning: bytes) -> bool:
    """Whether the first element has a VR: many files declare another encoding than they use."""
    vr = beginning[4:6]
    return vr.isalpha() and vr.isupper()


def _study_instance_uid(data: bytes, encoding: Encoding) -> str | None:
    at = 0
    while at < len(data):
        tag, vr, value, length = header(data, at, len(data), encoding)
        if tag > STUDY_INSTANCE_UID:
            return None
        if length == UNDEFINED:
            at = skip_undefined(data, value, len(data), IMPLICIT_LE if vr == b"UN" else encoding)
            continue
        at = value + length
        if tag == STUDY_INSTANCE_UID and at <= len(data):
            return data[value:at].decode("latin-1").strip(" \0") or None
    return None
