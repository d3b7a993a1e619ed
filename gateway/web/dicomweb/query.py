"""The query of a search (PS3.18 8.3.4): parameters to keys of C-FIND."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from gateway.dimse.negotiation import plausible
from gateway.retrieve.identifier import SERIES, SOP_INSTANCE, STUDY, QueryLevel
from gateway.retrieve.searching import SearchKeys
from gateway.web.errors import BadRequest

LIMIT_MAX = 1_000_000
VALUE_CHARACTERS_MAX = 4096
PARAMETERS_MAX = 200
# What an answer holds at each level (PS3.18 tables 10.6.3-3, 10.6.3-4, 10.6.3-5), and what viewers ask for always.
RETURNED = {
    QueryLevel.STUDY: (
        0x00080020, 0x00080030, 0x00080050, 0x00080056, 0x00080061, 0x00080090, 0x00080201, 0x00081030, 0x00100010,
        0x00100020, 0x00100030, 0x00100040, 0x0020000D, 0x00200010, 0x00201206, 0x00201208,
    ),
    QueryLevel.SERIES: (
        0x00080021, 0x00080031, 0x00080056, 0x00080060, 0x00080201, 0x0008103E, 0x0020000E, 0x00200011, 0x00201209,
        0x00400244, 0x00400245,
    ),
    QueryLevel.IMAGE: (
        0x00080016, 0x00080018, 0x00080056, 0x00080201, 0x00200013, 0x00280008, 0x00280010, 0x00280011, 0x00280100,
    ),
}  # fmt: skip
# What `includefield=all` adds.
MORE = {
    QueryLevel.STUDY: (0x00080062, 0x00081032, 0x00081060, 0x00100021, 0x00101010, 0x00101020, 0x00101030,
                       0x00104000, 0x00201200),
    QueryLevel.SERIES: (0x00080070, 0x00080080, 0x00081010, 0x00081050, 0x00081070, 0x00180015, 0x00181030,
                        0x00200060, 0x00204000),
    QueryLevel.IMAGE: (0x00080008, 0x00080012, 0x00080013, 0x00080023, 0x00080033, 0x00200012, 0x00200032,
                       0x00200037, 0x00204000, 0x00280002, 0x00280004, 0x00280101),
}  # fmt: skip
ABOVE = {
    QueryLevel.STUDY: (),
    QueryLevel.SERIES: (QueryLevel.STUDY,),
    QueryLevel.IMAGE: (QueryLevel.STUDY, QueryLevel.SERIES),
}
_UNIQUE = {QueryLevel.STUDY: STUDY, QueryLevel.SERIES: SERIES, QueryLevel.IMAGE: SOP_INSTANCE}
_DATE = re.compile(r"(\d{8})?(-(\d{8})?)?")


@dataclass
class Search:
    """question: for the archive.

    limit: of answers; None where the caller names none.
    offset: answers that are skipped.
    fuzzy: whether fuzzy matching of names is asked for.
    """

    question: SearchKeys
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False


@dataclass
class _Keys:
    values: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    def add(self, tag: int, value: bytes = b"") -> None:
        if value or tag not in self.values:
            self.values[tag] = (_vr_of(tag), value)


def parsed(level: QueryLevel, parameters: list[tuple[str, str]], path: dict[str, str]) -> Search:
    """parameters: of the address, decoded.

    path: `study` and `series`, as far as the address names them.
    Raises BadRequest.
    """
    if len(parameters) > PARAMETERS_MAX:
        raise _wrong("too many parameters")
    keys = _Keys()
    for tag in RETURNED[level]:
        keys.add(tag)
    above = [each for each in ABOVE[level] if _name(each) not in path]
    for higher in ABOVE[level]:
        keys.add(_UNIQUE[higher])
        if higher in above:
            for tag in RETURNED[higher]:
                keys.add(tag)
    search = Search(SearchKeys(level=level, keys={}, is_relational=False))
    for name, value in parameters:
        _take(search, keys, level, name, value)
    for higher in ABOVE[level]:
        if _name(higher) in path:
            keys.add(_UNIQUE[higher], path[_name(higher)].encode("ascii"))
    relational = any(not keys.values[_UNIQUE[higher]][1] for higher in ABOVE[level])
    search.question = SearchKeys(level=level, keys=keys.values, is_relational=relational)
    return search


def _name(level: QueryLevel) -> str:
    return "study" if level is QueryLevel.STUDY else "series"


def _take(search: Search, keys: _Keys, level: QueryLevel, name: str, value: str) -> None:
    """Raises BadRequest."""
    match name.lower():
        case "limit":
            search.limit = _count(name, value)
        case "offset":
            search.offset = _count(name, value)
        case "fuzzymatching":
            search.fuzzy = _truth(name, value)
        case "emptyvaluematching" | "multiplevaluematching":
            if _truth(name, value):
                raise _wrong(f"{name} is not supported")
        case "includefield":
            for each in value.split(","):
                if each.strip().lower() == "all":
                    for tag in (*MORE[level], *(tag for higher in ABOVE[level] for tag in RETURNED[higher])):
                        keys.add(tag)
                elif each.strip():
                    keys.add(_tag(each.strip().split(".")[0]))
        case "accept":
            return
        case _:
            if "." in name:
                raise _wrong("attributes in sequences are not matched here")
            tag = _tag(name)
            keys.add(tag, _matched(tag, name, value))


def _tag(name: str) -> int:
    """Keyword, or eight hexadecimal digits. Raises BadRequest."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        tag = int(name, 16)
        if tag >> 16 < 8 or not (dictionary_has_tag(tag) or tag >> 16 & 1):
            raise _wrong("an attribute that is asked for is unknown")
        return tag
    known = tag_for_keyword(name) if name.isascii() and name.isalnum() else None
    if known is None or int(known) >> 16 < 8:
        raise _wrong("an attribute that is asked for is unknown")
    return int(known)


def _vr_of(tag: int) -> bytes:
    known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    return {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}.get(
        known, known
    ).encode()


def _matched(tag: int, name: str, value: str) -> bytes:
    """The value of a key, as C-FIND has it. Raises BadRequest."""
    vr = _vr_of(tag)
    if len(value) > VALUE_CHARACTERS_MAX or any(ord(character) < 32 for character in value):
        raise _wrong(f"the value of {name} can't be matched")
    if vr in (b"SQ", b"UN", b"OB", b"OW", b"OF", b"OD", b"OL", b"OV"):
        raise _wrong(f"{name} can't be matched")
    if vr == b"UI":
        uids = [part.strip() for part in re.split(r"[,\\]", value) if part.strip()]
        if not all(map(plausible, uids)):
            raise _wrong(f"the value of {name} is no UID")
        return "\\".join(uids).encode("ascii")
    if vr == b"DA" and not _DATE.fullmatch(value):
        raise _wrong(f"the value of {name} is no date and no range of dates (20261124, 20261101-20261130)")
    return value.encode()


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= LIMIT_MAX):
        raise _wrong(f"{name} is no number from 0 to {LIMIT_MAX}")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise _wrong(f"{name} is true or false")
    return value.lower() == "true"


def _wrong(message: str) -> BadRequest:
    return BadRequest(message, hint="See PS3.18 8.3.4.")
