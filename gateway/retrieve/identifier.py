"""Identifiers of C-FIND, C-GET and C-MOVE (PS3.4 C.2.2): read as far as we must, and handed on as they are.

They come from any node that may ask, and from the archive. Nothing is decoded, so character sets stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.dicom.elements import Element, Encoding, encode, walk
from gateway.dicom.recoding import recoded
from gateway.dicom.uids import PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE
from gateway.errors import InputError, UnreadableObject
from gateway.retrieve.study_elements import STUDY_HEADER

CHARACTER_SET = 0x00080005
SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
QUERY_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
FAILED_INSTANCES = 0x00080058
RETRIEVE_URL = 0x00081190
PATIENT_ID = 0x00100020
STUDY = 0x0020000D
SERIES = 0x0020000E
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013

# The group and the creator of the private block (FORMAT.md).
BLOCK_GROUP, BLOCK_CREATOR = 0x0071, b"SEALGATE"
# The value of an element with a short length, even.
SHORT_VALUE_MAX = 0xFFFE
UID_SEPARATOR = "\\"


class WrongIdentifier(InputError):
    """An identifier that does not fit its SOP class (PS3.4 C.4): A900."""

    code = "identifier"
    hint = "Look at what the viewer asks for, and at its conformance statement."


class QueryLevel(StrEnum):
    """Query/Retrieve Level, PS3.4 C.6.1.1, C.6.2.1."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


# The unique key of each level.
UNIQUE_KEYS = {
    QueryLevel.PATIENT: PATIENT_ID,
    QueryLevel.STUDY: STUDY,
    QueryLevel.SERIES: SERIES,
    QueryLevel.IMAGE: SOP_INSTANCE,
}


@dataclass(frozen=True)
class Identifier:
    """One identifier, top level only.

    data: as it came.
    elements: tag -> where it stands; the first of each tag.
    """

    data: bytes
    encoding: Encoding
    elements: dict[int, Element]

    @classmethod
    def read(cls, data: bytes, encoding: Encoding) -> Identifier:
        """Raises WrongIdentifier when it can't be parsed."""
        try:
            elements = walk(data, 0, len(data), encoding)
        except UnreadableObject as error:
            raise WrongIdentifier(f"the identifier can't be parsed: {error}") from error
        return cls(data, encoding, {element.tag: element for element in reversed(elements)})

    def value(self, tag: int) -> bytes:
        """As it stands there; empty when it is absent."""
        element = self.elements.get(tag)
        return b"" if element is None else self.data[element.value : element.end]

    def text(self, tag: int) -> str:
        """A value in the default repertoire, without padding."""
        return self.value(tag).decode("latin-1").strip(" \0")

    def uids(self, tag: int) -> list[str]:
        """The values of a list of UIDs (PS3.4 C.2.2.2.2), each once."""
        texts = (part.strip(" \0") for part in self.text(tag).split(UID_SEPARATOR))
        return list(dict.fromkeys(text for text in texts if text))

    def level(self, sop_class: str) -> QueryLevel:
        """Raises WrongIdentifier for one that the SOP class does not have."""
        try:
            level = QueryLevel(self.text(QUERY_LEVEL))
        except ValueError as error:
            raise WrongIdentifier("the Query/Retrieve Level is missing, or none that is known") from error
        if level is QueryLevel.PATIENT and sop_class not in (
            PATIENT_ROOT_FIND,
            PATIENT_ROOT_GET,
            PATIENT_ROOT_MOVE,
        ):
            raise WrongIdentifier("the level PATIENT belongs to the Patient Root only")
        return level

    def written(self, encoding: Encoding) -> bytes:
        """The same in another encoding. Raises WrongIdentifier."""
        return in_encoding(self.data, self.encoding, encoding)


def in_encoding(data: bytes, source: Encoding, target: Encoding) -> bytes:
    """An identifier in another encoding. Raises WrongIdentifier."""
    if source == target:
        return data
    try:
        return recoded(data, source, target, signed=False)
    except InputError as error:
        raise WrongIdentifier(f"the identifier can't be written in another encoding: {error}") from error


def match_for(response: bytes, encoding: Encoding, target: Encoding, *, ae_title: str) -> bytes:
    """A match of the archive, as a viewer gets it: without our private block, and retrievable from us.

    response: in `encoding`.
    target: how the viewer reads it.
    ae_title: as which we are called to retrieve; an address of the archive itself would lead around us.
    Raises WrongIdentifier when it can't be parsed.
    """
    identifier = Identifier.read(response, encoding)
    blocks = {
        tag & 0xFF
        for tag in identifier.elements
        if tag >> 16 == BLOCK_GROUP
        and 0x10 <= tag & 0xFFFF <= 0xFF
        and identifier.value(tag).strip(b" \0") == BLOCK_CREATOR
    }
    pieces = []
    for tag in sorted(identifier.elements):
        element = identifier.elements[tag]
        number = tag & 0xFFFF
        if tag >> 16 == BLOCK_GROUP and (number in blocks or number >> 8 in blocks):
            continue
        if tag == RETRIEVE_URL or number == 0:
            continue
        if tag == RETRIEVE_AE_TITLE:
            pieces.append(encode(tag, b"AE", ae_title.encode("ascii"), encoding))
            continue
        pieces.append(response[element.start : element.end])
    return in_encoding(b"".join(pieces), encoding, target)


def written(level: QueryLevel, keys: dict[int, bytes], encoding: Encoding) -> bytes:
    """An identifier of ours.

    keys: tag -> value; empty asks for the value. UIDs, numbers and codes; a text with its Specific Character Set.
    """
    vrs = {**STUDY_HEADER, SERIES_NUMBER: b"IS", INSTANCE_NUMBER: b"IS"}
    entries = {**keys, QUERY_LEVEL: level.encode()}
    return b"".join(
        encode(tag, b"CS" if tag == QUERY_LEVEL else vrs.get(tag, b"UI"), entries[tag], encoding)
        for tag in sorted(entries)
    )


def failed_instances(uids: list[str], encoding: Encoding) -> bytes:
    """The identifier of a last response: as many of the failed instances as one element can name; empty for none."""
    value = b""
    for uid in uids:
        longer = (value + UID_SEPARATOR.encode() if value else b"") + uid.encode("ascii", "replace")
        if len(longer) > SHORT_VALUE_MAX:
            break
        value = longer
    return encode(FAILED_INSTANCES, b"UI", value, encoding) if value else b""
