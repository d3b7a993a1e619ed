"""A file as a tree whose every node may be written wrong, and the way from the tree to bytes.

It shares no code with the parser of the gateway: what both did wrong would never be found.
"""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
WIDTHS = {
    b"US": 2, b"SS": 2, b"AT": 2, b"OW": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"OF": 4, b"OL": 4,
    b"FD": 8, b"OD": 8, b"SV": 8, b"UV": 8, b"OV": 8,
}  # fmt: skip
TEXTS = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010


@dataclass
class Node:
    """One element.

    value: bytes in little endian; items; or the fragments of encapsulated pixel data, the offset table first.
    as_vr: the VR to write; None: the true one.
    undefined: of a sequence, whether its length is; of another element, whether it is written so all the same.
    items_undefined: of a sequence, whether the lengths of its items are.
    length: to write in place of the true one.
    inside, behind: bytes after the value, within its length and outside.
    item_rest: bytes at the end of each item, within its length.
    delimiter: length that delimiters claim.
    reserved: the two bytes behind a long VR.
    inner: how items are written: (explicit, little); None: as all others.
    """

    tag: int
    vr: bytes
    value: bytes | list[list[Node]] | tuple[bytes, ...]
    as_vr: bytes | None = None
    undefined: bool = False
    items_undefined: bool = False
    length: int | None = None
    inside: bytes = b""
    behind: bytes = b""
    item_rest: bytes = b""
    delimiter: int = 0
    reserved: bytes = b"\0\0"
    inner: tuple[bool, bool] | None = None

    @property
    def is_text(self) -> bool:
        return self.vr in TEXTS and isinstance(self.value, bytes)

    @property
    def is_sequence(self) -> bool:
        return isinstance(self.value, list)


@dataclass
class Draft:
    """A file to be written.

    syntax: the true transfer syntax; declared: what group 0002 says, None: nothing.
    meta: elements of group 0002 besides length and transfer syntax.
    meta_length: added to the true group length; None: there is no group length.
    magic, preamble: None: neither is there.
    before, tail: bytes before and after the data set; deflated_tail: behind a deflated one.
    """

    nodes: list[Node]
    syntax: str
    meta: list[Node]
    declared: bytes | None = None
    meta_length: int | None = 0
    meta_implicit: bool = False
    preamble: bytes = bytes(128)
    magic: bytes = b"DICM"
    before: bytes = b""
    tail: bytes = b""
    deflated_tail: bytes | None = None
    whole: bytes | None = None
    kinds: list[str] = field(default_factory=list)

    @property
    def explicit(self) -> bool:
        return self.syntax != ImplicitVRLittleEndian

    @property
    def little(self) -> bool:
        return self.syntax != ExplicitVRBigEndian

    def walk(self) -> Iterator[tuple[list[Node], int, int]]:
        """(list, index, depth) of every element at every depth."""
        yield from _walk(self.nodes, 0)

    def find(self, tag: int) -> Node | None:
        return next((node for node in self.nodes if node.tag == tag), None)

    def put(self, *nodes: Node) -> None:
        """Elements in their places, instead of those with the same tag."""
        tags = {node.tag for node in nodes}
        self.nodes = sorted([n for n in self.nodes if n.tag not in tags] + list(nodes), key=lambda n: n.tag)

    def copy(self) -> Draft:
        return copy.deepcopy(self)

    def to_bytes(self) -> bytes:
        if self.whole is not None:
            return self.whole
        body = self.before + emit(self.nodes, self.explicit, self.little) + self.tail
        if self.syntax == DeflatedExplicitVRLittleEndian:
            engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = engine.compress(body) + engine.flush()
            body += b"\0" * (len(body) % 2) if self.deflated_tail is None else self.deflated_tail
        return self.preamble + self.magic + self._meta() + body

    def _meta(self) -> bytes:
        declared = self.syntax.encode() if self.declared is None else self.declared
        nodes = [*self.meta]
        if declared:
            nodes.append(Node(0x00020010, b"UI", declared))
        nodes.sort(key=lambda node: node.tag)
        group = emit(nodes, not self.meta_implicit, True)
        if self.meta_length is None or not group:
            return group
        length = Node(0x00020000, b"UL", struct.pack("<I", len(group) + self.meta_length))
        return emit([length], not self.meta_implicit, True) + group


def _walk(nodes: list[Node], depth: int) -> Iterator[tuple[list[Node], int, int]]:
    for index, node in enumerate(nodes):
        yield nodes, index, depth
        if isinstance(node.value, list):
            for item in node.value:
                yield from _walk(item, depth + 1)


def emit(nodes: list[Node], explicit: bool, little: bool) -> bytes:
    """The bytes of elements, as wrong as they want to be."""
    return b"".join(_element(node, explicit, little) for node in nodes)


def _element(node: Node, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    vr = node.as_vr or node.vr
    inner = node.inner or (explicit, little)
    if isinstance(node.value, list):
        value = b"".join(_item(node, item, *inner) for item in node.value)
    elif isinstance(node.value, tuple):
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in node.value)
    else:
        value = node.value if little else swapped(node.value, WIDTHS.get(node.vr, 1))
        if len(value) % 2 and not node.inside:
            value += b"\0" if node.vr in (b"UI", b"OB", b"UN") else b" "
    value += node.inside
    undefined = node.undefined or isinstance(node.value, tuple)
    length = UNDEFINED if undefined else len(value)
    if undefined:
        value += struct.pack(("<" if inner[1] else ">") + "HHI", 0xFFFE, 0xE0DD, node.delimiter)
    if node.length is not None:
        length = node.length
    head = struct.pack(order + "HH", node.tag >> 16, node.tag & 0xFFFF)
    if not explicit or node.tag >> 16 == 0xFFFE:
        head += struct.pack(order + "I", length & UNDEFINED)
    elif vr in LONG:
        head += vr + node.reserved + struct.pack(order + "I", length & UNDEFINED)
    else:
        head += vr + struct.pack(order + "H", length & 0xFFFF)
    return head + value + node.behind


def _item(node: Node, item: list[Node], explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    content = emit(item, explicit, little) + node.item_rest
    if not node.items_undefined:
        return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content)) + content
    begin = struct.pack(order + "HHI", 0xFFFE, 0xE000, UNDEFINED)
    return begin + content + struct.pack(order + "HHI", 0xFFFE, 0xE00D, node.delimiter)


def swapped(value: bytes, width: int) -> bytes:
    """Words in the other byte order; an odd rest stays."""
    whole = len(value) // width * width
    words = (value[at : at + width][::-1] for at in range(0, whole, width))
    return b"".join(words) + value[whole:]


def draft_of(data: bytes) -> Draft:
    """A good file of explicit VR little endian as a tree."""
    meta_size = struct.unpack_from("<I", data, 140)[0]
    meta = _parsed(data[144 : 144 + meta_size])
    syntax = next(node.value for node in meta if node.tag == 0x00020010)
    assert isinstance(syntax, bytes)
    others = [node for node in meta if node.tag != 0x00020010]
    return Draft(_parsed(data[144 + meta_size :]), syntax.rstrip(b"\0").decode(), others)


def _parsed(data: bytes) -> list[Node]:
    """Elements of defined lengths; only encapsulated pixel data and sequences may have an undefined one."""
    nodes, at = [], 0
    while at < len(data):
        node, at = _one(data, at)
        nodes.append(node)
    return nodes


def _one(data: bytes, at: int) -> tuple[Node, int]:
    group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
    tag, at = group << 16 | number, at + 8
    if vr in LONG:
        length, at = struct.unpack_from("<I", data, at)[0], at + 4
    if vr != b"SQ" and length != UNDEFINED:
        return Node(tag, vr, data[at : at + length]), at + length
    stop = len(data) if length == UNDEFINED else at + length
    items: list[list[Node]] = []
    fragments: list[bytes] = []
    while at < stop:
        group, number, size = struct.unpack_from("<HHI", data, at)
        at += 8
        if number == 0xE0DD:
            break
        if tag == PIXEL_DATA:
            fragments.append(data[at : at + size])
            at += size
            continue
        assert size != UNDEFINED
        items.append(_parsed(data[at : at + size]))
        at += size
    value = tuple(fragments) if tag == PIXEL_DATA else items
    return Node(tag, vr, value, undefined=length == UNDEFINED and tag != PIXEL_DATA), at
