"""A DICOM file (PS3.10 7): the bytes as received, an index of its top-level elements, and edits of them."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.dicom.elements import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    Element,
    Encoding,
    encode,
    header,
    walk,
)
from gateway.dicom.foreign import kind_of
from gateway.dicom.lazy_bytes import (
    ByteRange,
    ByteSource,
    Concatenation,
    flat,
)
from gateway.dicom.syntaxes import (
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    Form,
    syntax_of,
)
from gateway.dicom.tags import MEDIA_STORAGE_SOP_INSTANCE_UID, META_GROUP_LENGTH, TRANSFER_SYNTAX_UID
from gateway.errors import UnreadableObject

# A deflated data set that becomes larger than this is treated as a decompression bomb.
INFLATED_MAX = 4 << 30


@dataclass(frozen=True)
class Part10:
    """An indexed file.

    prefix: preamble, magic and group 0002 as received; may be empty.
    meta: tag -> value, of group 0002.
    transfer_syntax: UID, as declared; without a declaration, the one that the elements show.
    encoding: how the elements are written, as they show it.
    body: the data set, inflated if it was deflated; in memory only if the file was.
    elements: of the data set, top level only.
    behind: what stands behind a deflated data set, padding among it.
    """

    prefix: bytes
    meta: dict[int, bytes]
    transfer_syntax: str
    encoding: Encoding
    body: ByteSource
    elements: list[Element]
    behind: bytes = b""

    @cached_property
    def index(self) -> dict[int, Element]:
        """The first element of each tag."""
        return {element.tag: element for element in reversed(self.elements)}

    @cached_property
    def repeated(self) -> frozenset[int]:
        """Tags that occur more than once. PS3.5 7.1 allows one, and readers disagree which of several counts."""
        counts = Counter(element.tag for element in self.elements)
        return frozenset(tag for tag, count in counts.items() if count > 1)

    def value(self, tag: int) -> bytes | None:
        """The value of a top-level element as it stands in the file; None when it is absent."""
        element = self.index.get(tag)
        return None if element is None else self.body[element.value : element.end]

    def text(self, tag: int) -> str:
        """A value in the default repertoire (CS, UI, DA and so on) without its padding; empty when absent."""
        return (self.value(tag) or b"").decode("latin-1").strip(" \0")

    def number(self, tag: int, default: int | None = None) -> int | None:
        """A value of VR US; `default` when it is absent or empty.

        Raises UnreadableObject when the value is too short.
        """
        value = self.value(tag)
        if not value:
            return default
        if len(value) < 2:
            raise UnreadableObject(f"the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is not an US")
        return int(struct.unpack_from(self.encoding.order + "H", value)[0])

    def edited(
        self,
        edits: Mapping[int, bytes | None],
        *,
        sop_instance_uid: str | None = None,
        syntax: str | None = None,
    ) -> bytes:
        """The file with edits. All other bytes stay; only group lengths in edited groups are corrected.

        edits: tag -> the encoded element with its header, which replaces the old one or is inserted in tag order; None
            removes the element.
        sop_instance_uid: written into the file meta information; None keeps it.
        syntax: another transfer syntax for the file meta information; None keeps it. The elements that are not edited
            must be right in it as they are.
        """
        return flat(self._edited(edits, sop_instance_uid, syntax))

    @property
    def in_memory(self) -> bool:
        """Whether the data set is in memory."""
        return isinstance(self.body, bytes)

    def rewritten(self, edits: Mapping[int, bytes | None]) -> ByteSource:
        """The file with edits, as `edited` gives it. Unless the file is in memory, untouched parts are not read yet."""
        return self.edited(edits) if self.in_memory else Concatenation(self._edited(edits, None, None))

    def _edited(
        self, edits: Mapping[int, bytes | None], sop_instance_uid: str | None, syntax: str | None
    ) -> list[ByteSource]:
        prefix = self.prefix
        if sop_instance_uid is not None or syntax is not None:
            prefix = self._edited_prefix(sop_instance_uid, syntax)
        pieces = _spliced(self.body, self.elements, edits)
        _correct_group_lengths(pieces, self, {tag >> 16 for tag in edits})
        parts = [piece for _, piece in pieces]
        if syntax_of(syntax or self.transfer_syntax).form is Form.DEFLATED:
            parts = [_deflate(flat(parts))]
        return [prefix, *parts]

    def with_body(self, body: ByteSource, syntax: str, encoding: Encoding) -> Part10:
        """The same file with another data set.

        body: already in the encoding of `syntax`.
        """
        prefix = self._edited_prefix(None, syntax)
        elements = walk(body, 0, len(body), encoding)
        return Part10(prefix, self.meta, syntax, encoding, body, elements)

    def _edited_prefix(self, sop_instance_uid: str | None, syntax: str | None) -> bytes:
        changes = {MEDIA_STORAGE_SOP_INSTANCE_UID: sop_instance_uid, TRANSFER_SYNTAX_UID: syntax}
        start = self.prefix.find(b"DICM\x02\0") + 4 if self.prefix[128:132] == b"DICM" else 0
        group = b""
        for element in walk(self.prefix, start, len(self.prefix), EXPLICIT_LE):
            new = changes.get(element.tag)
            if element.tag == META_GROUP_LENGTH:
                continue
            group += (
                self.prefix[element.start : element.end]
                if new is None
                else encode(element.tag, b"UI", new.encode(), EXPLICIT_LE)
            )
        return (
            self.prefix[:start]
            + encode(META_GROUP_LENGTH, b"UL", struct.pack("<I", len(group)), EXPLICIT_LE)
            + group
        )


def read(data: ByteSource, *, inflated_max: int = INFLATED_MAX) -> Part10:
    """Index a file, in memory or not. A missing preamble or group 0002 is tolerated, as in other readers.

    inflated_max: bytes that a deflated data set may become.
    Raises UnreadableObject when the bytes are not a DICOM data set, or end early; its message names what they are.
    """
    try:
        return _read(data, inflated_max)
    except UnreadableObject as error:
        foreign = None if data[128:132] == b"DICM" else kind_of(data)
        if foreign is None:
            raise
        raise UnreadableObject(f"{foreign}, not DICOM", hint="Give DICOM files.") from error


def _read(data: ByteSource, inflated_max: int) -> Part10:
    prefix_is_dicom = data[128:132] == b"DICM"
    meta, at = file_meta(data)
    syntax = meta.get(TRANSFER_SYNTAX_UID, b"").decode("latin-1").strip(" \0")
    body: ByteSource = data[at:] if isinstance(data, bytes) else ByteRange(data, at, len(data))
    behind = b""
    if syntax_of(syntax).form is Form.DEFLATED:
        body, behind = _inflate(body[:], inflated_max)
    encoding = observed_encoding(body, syntax)
    elements = walk(body, 0, len(body), encoding)
    groups = {element.group for element in elements}
    if 0 in groups or not (prefix_is_dicom or groups & {0x0004, 0x0008}):
        raise UnreadableObject("not a DICOM data set")
    if not syntax:
        syntax = {IMPLICIT_LE: IMPLICIT_VR_LE, EXPLICIT_LE: EXPLICIT_VR_LE, EXPLICIT_BE: EXPLICIT_VR_BE}[
            encoding
        ]
    return Part10(data[:at], meta, syntax, encoding, body, elements, behind)


def file_meta(data: ByteSource) -> tuple[dict[int, bytes], int]:
    """File meta information, tag -> value, and the offset where the data set begins (PS3.10 7.1).

    Its group length is often wrong, so it ends where group 0002 ends. But some senders put group 0002 into the data set
    as well, and what stands there must not pass for what the receiver wrote. So it also ends where its group length
    says, if the transfer syntax was read by then, and before a tag that is not greater than the ones before.

    Raises UnreadableObject when it runs past the end, or has a sequence: none is defined there, and readers differ.
    """
    at = 132 if data[128:132] == b"DICM" else 0
    meta: dict[int, bytes] = {}
    stated = -1
    while data[at : at + 2] == b"\x02\0":
        tag, vr, value, length = header(data, at, len(data), EXPLICIT_LE)
        if value + length > len(data) or vr is None:
            raise UnreadableObject("the file meta information runs past the end")
        if vr == b"SQ":
            raise UnreadableObject("the file meta information has a sequence")
        if meta and tag <= max(meta):
            break
        meta[tag] = data[value : value + length]
        at = value + length
        if tag == META_GROUP_LENGTH and length == 4:
            stated = at + int.from_bytes(meta[tag], "little")
        if at == stated and TRANSFER_SYNTAX_UID in meta:
            break
    return meta, at


def observed_encoding(body: ByteSource, syntax: str) -> Encoding:
    """The encoding that the first element shows, because many files declare another one than they use."""
    first = body[:8]
    if len(first) < 8:
        raise UnreadableObject("the data set is empty")
    little = struct.unpack_from("<H", first)[0] <= struct.unpack_from(">H", first)[0]
    if struct.unpack_from("<H", first)[0] == struct.unpack_from(">H", first)[0]:
        little = syntax_of(syntax).encoding.little
    vr = first[4:6]
    if vr.isalpha() and vr.isupper():
        return Encoding(explicit=True, little=little)
    return IMPLICIT_LE


def _inflate(data: bytes, inflated_max: int) -> tuple[bytes, bytes]:
    """The data set, and what stands behind it."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = engine.decompress(data, inflated_max)
    except zlib.error as error:
        raise UnreadableObject("the deflated data set is damaged") from error
    if engine.unconsumed_tail or not engine.eof:
        raise UnreadableObject(f"the deflated data set is incomplete or larger than {inflated_max} bytes")
    return body, engine.unused_data


def _deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = engine.compress(body) + engine.flush()
    # PS3.5 A.5: padded to even length.
    return deflated + b"\0" * (len(deflated) % 2)


def _spliced(
    body: ByteSource, elements: list[Element], edits: Mapping[int, bytes | None]
) -> list[tuple[int, ByteSource]]:
    """The elements of the edited data set, each as (tag, bytes). Untouched elements are not read."""
    waiting = sorted(tag for tag, new in edits.items() if new is not None)
    pieces: list[tuple[int, ByteSource]] = []
    for element in elements:
        while waiting and waiting[0] < element.tag:
            tag = waiting.pop(0)
            pieces.append((tag, edits[tag] or b""))
        if element.tag not in edits:
            pieces.append((element.tag, ByteRange(body, element.start, element.end)))
        elif waiting and waiting[0] == element.tag:
            waiting.pop(0)
            pieces.append((element.tag, edits[element.tag] or b""))
    pieces += [(tag, edits[tag] or b"") for tag in waiting]
    return pieces


def _correct_group_lengths(pieces: list[tuple[int, ByteSource]], file: Part10, groups: set[int]) -> None:
    """Give the group length elements (PS3.5 7.2, retired) of the edited groups their new value."""
    for position, (tag, _) in enumerate(pieces):
        if tag & 0xFFFF == 0 and tag >> 16 in groups:
            length = sum(len(piece) for other, piece in pieces if other >> 16 == tag >> 16 and other != tag)
            value = struct.pack(file.encoding.order + "I", length)
            pieces[position] = (tag, encode(tag, b"UL", value, file.encoding))
