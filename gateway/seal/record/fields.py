"""The identity fields: the header elements that the record hides, their raw values, and their text for people.

Values are kept as raw bytes in the object's own character set, so that names in ISO 2022, GB18030 and UTF-8 come back
exactly. They are decoded only to be shown or compared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.valuerep import PersonName

from gateway.dicom.part10 import Part10
from gateway.dicom.tags import SPECIFIC_CHARACTER_SET
from gateway.errors import ConfigurationError

DEFAULT_FIELDS = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyInstanceUID",
    "SOPInstanceUID",
    "IssuerOfPatientID",
    "StudyDate",
    "Modality",
)
# Their values are in the character set of the object (PS3.5 6.1.2.2).
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
PLAIN_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


@dataclass(frozen=True)
class Field:
    """A header element that a record can hold."""

    keyword: str
    tag: int
    vr: str


@lru_cache(maxsize=256)
def field(keyword: str) -> Field:
    """The field that a DICOM keyword names.

    Raises ConfigurationError when the keyword is unknown, or the VR does not suit a record.
    """
    # Retired elements have an empty keyword.
    tag = tag_for_keyword(keyword) if keyword else None
    if tag is None:
        raise ConfigurationError(f"{keyword!r} is not a DICOM keyword", hint="See PS3.6 for the keywords.")
    vr = dictionary_VR(tag)
    if vr not in TEXT_VRS | PLAIN_VRS | NUMBER_FORMATS.keys():
        raise ConfigurationError(
            f"{keyword} can't be a field of the record: its VR is {vr}",
            hint="Choose elements that hold text, UIDs, dates or numbers.",
        )
    return Field(keyword, tag, vr)


def field_of_tag(tag: int) -> Field:
    """The field with this tag.

    Raises ConfigurationError as `field` does.
    """
    return field(keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})")


def raw_value(file: Part10, identity_field: Field) -> bytes:
    """The value without its padding, numbers in little endian; b"" when it is absent or empty."""
    value = file.value(identity_field.tag) or b""
    if identity_field.vr not in NUMBER_FORMATS:
        return value.rstrip(b" \0")
    if file.encoding.little:
        return value
    width = struct.calcsize(NUMBER_FORMATS[identity_field.vr])
    return b"".join(value[at : at + width][::-1] for at in range(0, len(value), width))


def character_set(file: Part10) -> bytes:
    """Specific Character Set as it stands in the object, padding removed."""
    return (file.value(SPECIFIC_CHARACTER_SET) or b"").strip(b" \0")


def text(raw: bytes, identity_field: Field, charset: bytes) -> str:
    """A raw value as people read it. Several values are joined by backslashes, as in DICOM.

    charset: Specific Character Set of the object.
    """
    if identity_field.vr in NUMBER_FORMATS:
        form = NUMBER_FORMATS[identity_field.vr]
        count = len(raw) // struct.calcsize(form)
        numbers = struct.unpack_from(f"<{count}{form}", raw)
        return "\\".join(str(np.float32(number) if form == "f" else number) for number in numbers)
    if identity_field.vr not in TEXT_VRS or (raw.isascii() and b"\x1b" not in raw):
        return raw.decode("latin-1").strip(" \0")
    encodings = _encodings(charset)
    if identity_field.vr == "PN":
        return str(PersonName(raw, encodings)).rstrip(" ")
    delimiters = set() if identity_field.vr in {"LT", "ST", "UT"} else {0x5C}
    return str(decode_bytes(raw, encodings, delimiters)).strip(" ")


@lru_cache(maxsize=64)
def _encodings(charset: bytes) -> tuple[str, ...]:
    terms = [term.strip() for term in charset.decode("latin-1").split("\\")]
    try:
        return tuple(convert_encodings(terms))
    except (LookupError, ValueError):
        # The term is not defined anywhere: it is better to show the bytes than nothing.
        return ("latin-1",)


def comparable(value: str, identity_field: Field) -> str:
    """The form in which two values are compared, without the characters that PS3.5 6.2 calls insignificant."""
    if identity_field.vr == "PN":
        groups = [group.strip(" ").rstrip("^ ") for group in value.split("=")]
        return "=".join(groups).rstrip("=")
    return "\\".join(part.strip(" \0") for part in value.split("\\"))


def comparable_value(file: Part10, identity_field: Field) -> str:
    """The header's value of a field as format version 1 hashes it: numbers with six digits."""
    if identity_field.vr in NUMBER_FORMATS:
        raw, form = raw_value(file, identity_field), NUMBER_FORMATS[identity_field.vr]
        count = len(raw) // struct.calcsize(form)
        return "\\".join(f"{number:g}" for number in struct.unpack_from(f"<{count}{form}", raw))
    return comparable(
        text(raw_value(file, identity_field), identity_field, character_set(file)), identity_field
    )
