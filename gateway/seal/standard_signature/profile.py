"""Which elements are signed: those of the Creator RSA Digital Signature Profile (PS3.15 C.2), and our digest."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from pydicom.datadict import tag_for_keyword

from gateway.dicom.part10 import Part10
from gateway.seal.block import private_block

MAC_PARAMETERS = 0x4FFE0001
DIGITAL_SIGNATURES = 0xFFFAFFFA
_CREATOR_VERSION_UID = 0x00089123
_PLANES = 32


@cache
def profile_tags() -> frozenset[int]:
    """The tags of profile.toml. Raises KeyError for a keyword that is not in the dictionary."""
    table = tomllib.loads(
        files("gateway.seal.standard_signature").joinpath("profile.toml").read_text("utf-8")
    )
    tags = {_tag(keyword) for keywords in table["modules"].values() for keyword in keywords}
    for repeated in table["groups"].values():
        for group in range(repeated["first"], repeated["first"] + _PLANES, 2):
            tags |= {group << 16 | element for element in repeated["elements"]}
    return frozenset(tags)


def wanted_tags(file: Part10) -> frozenset[int]:
    """The tags that a signature over this sealed object covers where they are present."""
    wanted = profile_tags() | seal_tags(file)
    if _CREATOR_VERSION_UID in file.index:
        # The Raw Data Module (PS3.3 C.19.1) keeps its data in private elements.
        wanted |= {tag for tag in file.index if tag >> 16 & 1}
    return wanted


def seal_tags(file: Part10) -> frozenset[int]:
    """The creator and the digest of our private block, wherever it stands; none when the object is not sealed."""
    creators = [
        tag
        for tag in file.index
        if tag >> 16 == private_block.GROUP
        and 0x10 <= tag & 0xFFFF <= 0xFF
        and (file.value(tag) or b"").strip(b" \0") == private_block.CREATOR
    ]
    digests = [private_block.GROUP << 16 | (tag & 0xFF) << 8 | private_block.DIGEST for tag in creators]
    return frozenset([*creators, *digests])


def statement_of(file: Part10) -> bytes:
    """The signed statement of our private block as it stands in the object; empty when there is none."""
    for digest in sorted(seal_tags(file)):
        statement = file.value(digest & ~0xFF | private_block.STATEMENT) if digest & 0xFF00 else None
        if statement:
            return statement
    return b""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return int(tag)
