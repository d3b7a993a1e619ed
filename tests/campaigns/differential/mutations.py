"""What may be wrong with a file, or unusual: each mutation changes a draft or does nothing where it does not fit.

Many keep what the digests of a seal cover, so that the verdict may still be good; others are for files not sealed yet.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.campaigns.differential.grammar import LONG, PIXEL_DATA, UNDEFINED, Draft, Node, emit

Mutation = Callable[[random.Random, Draft], None]
MUTATIONS: dict[str, Mutation] = {}

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
SYNTAXES = (
    *map(str, NATIVE), "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.113619.5.2",
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.70", "1.2.3.4", "1.3.46.670589.33.1.4.1",
)  # fmt: skip
ALL_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
SAME_KIND = (
    b"LO SH UC".split(), b"LT ST UT".split(), b"AE AS CS DA DT TM UI UR".split(), b"DS IS".split(),
    b"US SS UL SL UV SV".split(), b"FL FD".split(), b"OB OW OF OD OL OV UN".split(),
)  # fmt: skip
WRONG_VRS = (b"ZZ", b"XX", b"  ", b"\0\0", b"??", b"U ", b"lo", b"OX", b"UX", b"--", b"@A", b"A\0")
CHARSETS = (
    b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 101", b"ISO_IR 109", b"ISO_IR 110", b"ISO_IR 144", b"ISO_IR 127", b"ISO_IR 126",
    b"ISO_IR 138", b"ISO_IR 148", b"ISO_IR 203", b"ISO_IR 13", b"ISO_IR 166", b"ISO_IR 192", b"GB18030", b"GBK", b"",
    b"ISO 2022 IR 6", b"ISO 2022 IR 100", b"ISO 2022 IR 144", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87",
    b"\\ISO 2022 IR 149", b"\\ISO 2022 IR 58", b"\\ISO 2022 IR 159", b"ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 144",
    b"\\ISO 2022 IR 13", b"ISO_IR 192\\ISO 2022 IR 87", b"\\ISO_IR 192", b"\\\\ISO 2022 IR 100", b"ISO_IR 100\\ISO_IR 192",
    b"iso_ir 192", b"ISO-IR 192", b"ISO IR 192", b"ISO_IR192", b"UTF-8", b"ISO_IR 1000", b" ISO_IR 192", b"ISO 2022 IR 192",
    b"ISO_IR 87", b"GB18030\\ISO 2022 IR 87", b"ISO 2022 GBK", b"ISO_IR 149", b"ISO 2022 IR 13", b"ISO_IR 165",
)  # fmt: skip
CODECS = {
    b"ISO_IR 100": "latin-1", b"ISO_IR 192": "utf-8", b"GB18030": "gb18030", b"GBK": "gbk", b"ISO_IR 144": "iso8859-5",
    b"ISO_IR 13": "shift_jis", b"ISO_IR 101": "iso8859-2", b"ISO_IR 203": "iso8859-15", b"ISO_IR 148": "iso8859-9",
}  # fmt: skip
ESCAPES = (
    b"\x1b(B", b"\x1b-A", b"\x1b-B", b"\x1b-L", b"\x1b-F", b"\x1b)I", b"\x1b(J", b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b$)A",
    b"\x1b", b"\x1b%G", b"\x1b$A", b"\x1b$(C", b"\x1b-T", b"\x1b-M", b"\x1b(I", b"\x1b.A", b"\x1b$@",
)  # fmt: skip
# Bytes that mean something else in another character set: trail bytes of two-byte characters among them.
TRICKY_TEXT = (
    b"\x95\x5c", b"\x81\x5c", b"\x83\x5c", b"\x95\x5c\x95\x5e", b"\x81\x5e", b"\xd6\xdc", b"\xc3\xa9", b"\xe9", b"\xc0\xaf", b"\xff", b"\x80",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x85", b"\xa0", b"\xa5", b"\x81\x30\x81\x30", b"\xf0\x9f\x98\x80", b"~", b"\xdf", b"\xb1\xb2",
)  # fmt: skip
CONTROLS = (b"\r", b"\n", b"\t", b"\x0c", b"\x01", b"\x1f", b"\x7f", b"\x08", b"\x0e", b"\x0f", b"\x1a", b"\x85")


def mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__.strip("_").replace("_", "-")] = function
    return function


def apply(rng: random.Random, draft: Draft) -> None:
    """One to three mutations, or only another style."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        name = rng.choice(_NAMES) if rng.random() < 0.9 else "style"
        MUTATIONS[name](rng, draft)
        draft.kinds.append(name)


def _any(rng: random.Random, draft: Draft, *, keep: Callable[[Node], bool] = lambda _: True) -> Node | None:
    """An element at any depth; one of the top level as often as one inside."""
    found = [
        (nodes[at], deep) for nodes, at, deep in draft.walk() if keep(nodes[at]) and nodes[at].tag >> 16 != 0x71
    ]
    if not found:
        return None
    inside = [node for node, deep in found if deep]
    top = [node for node, deep in found if not deep]
    return rng.choice(inside if inside and (rng.random() < 0.4 or not top) else top)


def _place(rng: random.Random, draft: Draft) -> tuple[list[Node], int]:
    places = [(nodes, at) for nodes, at, deep in draft.walk()]
    return rng.choice(places)


# -- how it is encoded


@mutation
def style(rng: random.Random, draft: Draft) -> None:
    """What PS3.5 leaves to the writer."""
    if draft.syntax in NATIVE and rng.random() < 0.6:
        draft.syntax = str(rng.choice(NATIVE))
    for nodes, at, _ in draft.walk():
        node = nodes[at]
        if node.is_sequence:
            node.undefined, node.items_undefined = rng.random() < 0.5, rng.random() < 0.5
    if rng.random() < 0.3:
        _group_lengths(rng, draft)


@mutation
def declared_otherwise(rng: random.Random, draft: Draft) -> None:
    draft.declared = rng.choice(SYNTAXES).encode()


@mutation
def declared_not_at_all(rng: random.Random, draft: Draft) -> None:
    draft.declared = b"" if draft.meta else None
    if draft.syntax in NATIVE:
        draft.syntax = str(rng.choice(NATIVE[:3]))
    draft.declared = b""
    if rng.random() < 0.4:
        draft.meta, draft.meta_length = [], None
        if rng.random() < 0.6:
            draft.preamble = draft.magic = b""


@mutation
def declared_with_blanks(rng: random.Random, draft: Draft) -> None:
    plain = draft.syntax.encode()
    other = rng.choice(SYNTAXES).encode()
    draft.declared = rng.choice(
        (b" " + plain, plain + b"  ", plain + b"\0\0\0", b"\0" + plain, plain + b"\\" + other, other + b"\\" + plain, plain + b".",
         plain + b"\0" + b".99", plain.replace(b"1.2.840", b"1.2.0840"), plain + b"\n", other + b"\0\0" + plain)
    )  # fmt: skip


@mutation
def encoding_of_the_other_kind(rng: random.Random, draft: Draft) -> None:
    """The true encoding is another than the declared one."""
    draft.declared = draft.syntax.encode()
    draft.syntax = str(rng.choice(NATIVE[:3]))


@mutation
def preamble(rng: random.Random, draft: Draft) -> None:
    choice = rng.randrange(6)
    if choice == 0:
        draft.preamble = draft.magic = b""
    elif choice == 1:
        draft.preamble = b"DICM" + bytes(124)
    elif choice == 2:
        draft.preamble = rng.randbytes(128)
    elif choice == 3:
        draft.magic = rng.choice((b"DICN", b"dicm", b"", b"DICMDICM", b"\0\0\0\0"))
    elif choice == 4:
        inner = draft.copy()
        inner.preamble = inner.magic = b""
        draft.preamble = inner.to_bytes()[:128].ljust(128, b"\0")
    else:
        draft.preamble = b"II*\0" + struct.pack("<I", 8) + bytes(120)


@mutation
def meta_length(rng: random.Random, draft: Draft) -> None:
    draft.meta_length = rng.choice((None, None, 1, 2, -2, 8, -8, -20, 100, 1000, -200))


@mutation
def meta_elements(rng: random.Random, draft: Draft) -> None:
    choice = rng.randrange(7)
    if choice == 0:
        draft.meta_implicit = True
    elif choice == 1:
        draft.meta.append(Node(0x00020010, b"UI", rng.choice(SYNTAXES).encode()))
    elif choice == 2:
        draft.meta.append(Node(0x00020102, b"OB", rng.randbytes(4)))
    elif choice == 3:
        draft.meta = []
    elif choice == 4:
        draft.meta.append(Node(0x00020010, b"UI", rng.choice(SYNTAXES).encode(), as_vr=b"UN"))
    elif choice == 5:
        node = rng.choice(draft.meta)
        node.as_vr = rng.choice((b"UN", b"LO", b"OB", b"UT"))
    else:
        draft.meta.append(Node(0x00020001, b"OB", b"\0\1"))


@mutation
def groups_out_of_place(rng: random.Random, draft: Draft) -> None:
    extra = rng.choice(
        (Node(0x00020010, b"UI", rng.choice(SYNTAXES).encode()), Node(0x00000002, b"UI", b"1.2.3"),
         Node(0x00000000, b"UL", b"\0\0\0\0"), Node(0x00030010, b"LO", b"X"), Node(0x00010010, b"LO", b"X"),
         Node(0x00041130, b"CS", b"ROOT"), Node(0x00060010, b"LO", b"X"), Node(0x00020000, b"UL", b"\0\0\0\0"))
    )  # fmt: skip
    draft.nodes.insert(rng.choice((0, 0, len(draft.nodes), rng.randrange(len(draft.nodes)))), extra)


@mutation
def deflated(rng: random.Random, draft: Draft) -> None:
    if draft.syntax not in NATIVE:
        return
    draft.syntax = str(DeflatedExplicitVRLittleEndian)
    body = emit(draft.nodes, True, True)
    draft.deflated_tail = rng.choice(
        (b"", b"\0", b"\0\0", b"\1", b"\0\0\0", rng.randbytes(8), zlib.compress(b"x")[2:-4], zlib.compress(body)[2:-4], body)
    )
    if rng.random() < 0.1:
        draft.before = rng.randbytes(2)


@mutation
def polyglot(rng: random.Random, draft: Draft) -> None:
    """A data set that parses in both byte orders (or with and without VR) and shows another patient in each."""
    if draft.syntax not in NATIVE:
        return
    other = draft.copy()
    for node in other.nodes:
        if node.tag == 0x00100020:
            node.value = b"OTHER"
    if rng.random() < 0.7:
        # Big endian reads a value of 64 KiB, little endian one of 256 bytes; or the other way about.
        first, second = rng.choice(((False, True), (True, False)))
        small = emit(other.nodes, True, second)
        vr = rng.choice((b"OB", b"UN", b"UT"))
        tag = b"\0\x08\0\x01" if not first else b"\x08\0\x01\0"
        hidden = bytes(256) + small
        rest = 65536 - len(hidden) - 12
        if rest < 0:
            return
        pad = struct.pack("<HH2sHI" if second else ">HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 0)
        value = (hidden + pad).ljust(65536, b"\0")
        size = struct.pack(">I" if not first else "<I", 65536)
        draft.before = tag + vr + b"\0\0" + size + value
        draft.syntax = str(ExplicitVRLittleEndian if first else ExplicitVRBigEndian)
    else:
        # Implicit reads a value of 16975 bytes, explicit the VR OB and a length of its own.
        explicit = emit(other.nodes, True, True)
        value = struct.pack("<I", 4) + b"abcd" + explicit
        if len(value) > 0x424F - 12:
            return
        value = (value + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 0)).ljust(0x424F, b"\0")
        draft.before = struct.pack("<HH2sH", 8, 1, b"OB", 0) + value
        draft.syntax = str(ImplicitVRLittleEndian)
    draft.declared = rng.choice((*NATIVE[:3], "", draft.syntax)).encode()
    if not draft.declared and rng.random() < 0.5:
        draft.meta, draft.meta_length = [], None


@mutation
def polyglot_item(rng: random.Random, draft: Draft) -> None:
    """An item whose first element looks explicit in an implicit file."""
    if draft.syntax not in NATIVE:
        return
    draft.syntax = str(ImplicitVRLittleEndian)
    node = _any(rng, draft, keep=lambda one: one.is_sequence and bool(one.value))
    if node is None or not isinstance(node.value, list):
        return
    hidden = struct.pack("<I", 4) + b"abcd" + emit([Node(0x00100020, b"LO", b"OTHER")], True, True)
    value = (hidden + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 0)).ljust(0x424F, b"\0")
    node.value[0].insert(0, Node(rng.choice((0x00080001, 0x00090001, 0x00080119)), b"UN", b"", inside=value))


# -- which elements there are


@mutation
def order(rng: random.Random, draft: Draft) -> None:
    nodes, at = _place(rng, draft)
    to = rng.randrange(len(nodes))
    nodes[at], nodes[to] = nodes[to], nodes[at]


@mutation
def doubled(rng: random.Random, draft: Draft) -> None:
    nodes, at = _place(rng, draft)
    again = Node(nodes[at].tag, nodes[at].vr, nodes[at].value)
    if isinstance(again.value, bytes) and rng.random() < 0.6:
        again.value = again.value[::-1]
    nodes.insert(rng.choice((at, at + 1, len(nodes))), again)


@mutation
def doubled_identity(rng: random.Random, draft: Draft) -> None:
    node = Node(rng.choice((0x00100010, 0x00100020, 0x00080018, 0x0020000D)), b"LO", b"OTHER")
    draft.nodes.insert(rng.randrange(len(draft.nodes) + 1), node)


@mutation
def behind_the_pixels(rng: random.Random, draft: Draft) -> None:
    nodes = (
        Node(0x00100020, b"LO", b"OTHER"), Node(0xFFFCFFFC, b"OB", rng.randbytes(rng.choice((0, 4, 30)))),
        Node(0xFFFEE00D, b"OB", b""), Node(0xFFFEE0DD, b"OB", b""), Node(0xFFFEE000, b"OB", b""), Node(0xFFFEE000, b"OB", b"12345678"),
        Node(0xFFFEE00D, b"OB", b"", length=8), Node(0xFFFFFFFF, b"UN", b"xx"), Node(0xFFFAFFFA, b"SQ", []),
        Node(0x7FE10010, b"LO", b"ACME"), Node(0x7FE00020, b"OV", bytes(8)), Node(0xFFFF0010, b"LO", b"X"), Node(0xFFFE0001, b"OB", b""),
    )  # fmt: skip
    draft.nodes.append(rng.choice(nodes))
    if rng.random() < 0.3:
        draft.nodes.append(rng.choice(nodes))


@mutation
def stray_delimiters(rng: random.Random, draft: Draft) -> None:
    nodes, at = _place(rng, draft)
    tag = rng.choice((0xFFFEE00D, 0xFFFEE0DD, 0xFFFEE000))
    nodes.insert(at, Node(tag, b"OB", b"", length=rng.choice((None, 0, 8, UNDEFINED))))


@mutation
def trailing_bytes(rng: random.Random, draft: Draft) -> None:
    choice = rng.randrange(5)
    if choice == 0:
        draft.tail = bytes(rng.choice((1, 2, 4, 7, 8, 16, 100, 1024)))
    elif choice == 1:
        draft.tail = rng.randbytes(rng.choice((1, 4, 8, 12, 40)))
    elif choice == 2:
        draft.tail = emit(draft.nodes, draft.explicit, draft.little)
    elif choice == 3:
        draft.tail = draft.copy().to_bytes()
    else:
        draft.tail = b" " * rng.choice((1, 8, 9))


@mutation
def group_lengths(rng: random.Random, draft: Draft) -> None:
    _group_lengths(rng, draft)


def _group_lengths(rng: random.Random, draft: Draft) -> None:
    """Retired, but legal; right or wrong."""
    lists = [draft.nodes] + [
        item
        for nodes, at, _ in draft.walk()
        if isinstance(nodes[at].value, list)
        for item in nodes[at].value  # type: ignore[union-attr]
    ]
    nodes = draft.nodes if rng.random() < 0.7 else rng.choice(lists)
    for group in sorted({node.tag >> 16 for node in nodes}):
        if rng.random() < 0.5 or group < 8:
            continue
        inside = [node for node in nodes if node.tag >> 16 == group and node.tag & 0xFFFF]
        size = len(emit(inside, draft.explicit, draft.little)) + rng.choice((0, 0, 0, 2, -2, 1000))
        at = nodes.index(inside[0]) if inside else 0
        if group << 16 not in {node.tag for node in nodes}:
            nodes.insert(at, Node(group << 16, b"UL", struct.pack("<I", max(size, 0))))


# -- VRs and lengths


@mutation
def vr_of_the_same_kind(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft)
    for kind in SAME_KIND:
        if node is not None and node.vr in kind:
            node.as_vr = rng.choice(kind)


@mutation
def another_vr(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft)
    if node is not None:
        node.as_vr = rng.choice(ALL_VRS)


@mutation
def no_vr(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft)
    if node is not None:
        node.as_vr = rng.choice(WRONG_VRS)


@mutation
def unknown_vr(rng: random.Random, draft: Draft) -> None:
    """UN, of defined length, of a standard or a private element."""
    for _ in range(rng.choice((1, 1, 3))):
        node = _any(rng, draft, keep=lambda one: not isinstance(one.value, tuple))
        if node is not None:
            node.as_vr = b"UN"
            node.inner = rng.choice((None, (False, True)))


@mutation
def unknown_sequence(rng: random.Random, draft: Draft) -> None:
    """UN of undefined length (PS3.5 6.2.2, note): items are implicit, or against the standard explicit."""
    keep = (lambda one: one.is_sequence) if rng.random() < 0.8 else (lambda one: not isinstance(one.value, tuple))
    node = _any(rng, draft, keep=keep)
    if node is None:
        return
    if not isinstance(node.value, list):
        node.value = [[Node(0x00100020, b"LO", b"OTHER")]] if rng.random() < 0.6 else node.value
    node.as_vr, node.undefined, node.items_undefined = b"UN", True, rng.random() < 0.5
    node.inner = rng.choice(((False, True), (False, True), (True, True), None))


@mutation
def mixed_items(rng: random.Random, draft: Draft) -> None:
    """Items in another encoding than the data set."""
    node = _any(rng, draft, keep=lambda one: one.is_sequence and bool(one.value))
    if node is not None:
        node.inner = rng.choice(((False, True), (True, True), (True, False)))
        node.undefined = rng.random() < 0.5


@mutation
def undefined_length(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: not isinstance(one.value, tuple))
    if node is None:
        return
    node.undefined = True
    if isinstance(node.value, bytes) and rng.random() < 0.5:
        node.value = [[Node(0x00100020, b"LO", b"OTHER")]]
    if rng.random() < 0.3 and draft.syntax in NATIVE:
        draft.syntax = str(ImplicitVRLittleEndian)


@mutation
def wrong_length(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft)
    if node is not None:
        size = len(node.value) if isinstance(node.value, bytes) else 8
        node.length = max(size + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8, 12, 100)), 0)
        if rng.random() < 0.1:
            node.length = rng.choice((0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFF, 0))


@mutation
def odd_length(rng: random.Random, draft: Draft) -> None:
    """An odd number of bytes, 13 among them (which GDCM once held for a bug of one maker)."""
    node = _any(rng, draft, keep=lambda one: isinstance(one.value, bytes))
    if node is None or not isinstance(node.value, bytes):
        return
    value = node.value.rstrip(b" \0") if node.is_text else node.value
    if rng.random() < 0.3:
        value = value[:13].ljust(13, b"x")
    if len(value) % 2 == 0:
        value = value + b"\0" if not node.is_text else value + b" "
    node.value, node.inside = b"", value


@mutation
def reserved_bytes(rng: random.Random, draft: Draft) -> None:
    """What stands between a long VR and its length."""
    node = _any(rng, draft, keep=lambda one: one.vr in LONG)
    if node is not None:
        node.reserved = rng.choice((b"\1\0", b"\xff\xff", b"  ", b"OB", rng.randbytes(2)))


@mutation
def item_rest(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.is_sequence)
    if node is not None:
        node.item_rest = rng.choice(
            (b"\0", bytes(4), bytes(8), rng.randbytes(6), b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0",
             b"\xfe\xff\x0d\xe0\0\0\0\0" + emit([Node(0x00100020, b"LO", b"OTHER")], draft.explicit, draft.little))
        )  # fmt: skip
        node.items_undefined = rng.random() < 0.3


@mutation
def sequence_rest(rng: random.Random, draft: Draft) -> None:
    """Bytes within a sequence behind its last item, a delimiter within a defined length."""
    node = _any(rng, draft, keep=lambda one: one.is_sequence)
    if node is not None:
        node.inside = rng.choice(
            (b"\xfe\xff\xdd\xe0\0\0\0\0", b"\0", bytes(8), b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\0\xe0\0\0\0\0",
             b"\xfe\xff\xdd\xe0\0\0\0\0\xfe\xff\0\xe0\0\0\0\0")
        )  # fmt: skip


@mutation
def delimiters(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: not isinstance(one.value, bytes))
    if node is not None:
        node.undefined, node.items_undefined = node.is_sequence, rng.random() < 0.7
        node.delimiter = rng.choice((1, 2, 8, 0x10000, UNDEFINED))
        if rng.random() < 0.4:
            node.behind = bytes(8)


@mutation
def item_in_item(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.is_sequence and bool(one.value))
    if node is not None and isinstance(node.value, list):
        inner = emit(rng.choice(node.value), draft.explicit, draft.little)
        node.item_rest = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner


@mutation
def items_and_bytes(rng: random.Random, draft: Draft) -> None:
    """A plain value that begins like an item; items where bytes are expected."""
    hidden = emit([Node(0x00100020, b"LO", b"OTHER")], *rng.choice(((True, True), (False, True))))
    value = struct.pack("<HHI", 0xFFFE, 0xE000, len(hidden)) + hidden
    node = _any(rng, draft, keep=lambda one: isinstance(one.value, bytes) and one.tag >> 16 & 1 == 1)
    if rng.random() < 0.5 or node is None:
        tag = rng.choice((0x00091010, 0x00111001, 0x00280001, 0x00080001, 0x00091003))
        draft.put(Node(tag, rng.choice((b"UN", b"OB", b"LO")), value))
    else:
        node.value = value
    if rng.random() < 0.5 and draft.syntax in NATIVE:
        draft.syntax = str(ImplicitVRLittleEndian)


# -- text and numbers


@mutation
def text_padding(rng: random.Random, draft: Draft) -> None:
    for _ in range(3):
        node = _any(rng, draft, keep=lambda one: one.is_text)
        if node is not None and isinstance(node.value, bytes):
            pad = rng.choice((b"\0", b"\0\0", b"  ", b" \0", b"\0 ", b"   \0", b"\0\0 \0", b" \0 \0"))
            node.value = rng.choice((b"", b"", b" ", b"  ")) + node.value + pad


@mutation
def zero_bytes(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.is_text and bool(one.value))
    if node is not None and isinstance(node.value, bytes):
        at = rng.randrange(len(node.value) + 1)
        node.value = rng.choice(
            (node.value[:at] + b"\0" + node.value[at:], node.value + b"\0OTHER", b"\0" + node.value, node.value + b"\0\\\0")
        )


@mutation
def values(rng: random.Random, draft: Draft) -> None:
    """More or fewer values."""
    node = _any(rng, draft, keep=lambda one: one.is_text)
    if node is not None and isinstance(node.value, bytes):
        plain = node.value.rstrip(b" \0")
        node.value = rng.choice(
            (plain + b"\\", b"\\" + plain, plain + b"\\" + plain, plain + b"\\ ", plain.replace(b"\\", b" \\ "), b"\\\\")
        )


@mutation
def control_characters(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.is_text)
    if node is not None and isinstance(node.value, bytes):
        at = rng.randrange(len(node.value) + 1)
        node.value = node.value[:at] + rng.choice(CONTROLS) + node.value[at:]


@mutation
def names(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.vr == b"PN")
    if node is not None and isinstance(node.value, bytes):
        plain = node.value.rstrip(b" \0")
        node.value = rng.choice(
            (plain + b"^^", plain + b"=", plain + b"==", plain + b"^ ^", plain.replace(b"^", b"^ "), plain.replace(b"=", b" = "),
             b"=" + plain, plain + b"^^^^^X", plain + b"=a=b=c", b" " + plain, plain.replace(b"^", b" ^"), plain + b"= ")
        )  # fmt: skip


@mutation
def decimals(rng: random.Random, draft: Draft) -> None:
    """The same number in other characters, and what some hold for it."""
    node = _any(rng, draft, keep=lambda one: one.vr in (b"DS", b"IS") and bool(one.value))
    if node is None or not isinstance(node.value, bytes):
        return
    first, *others = node.value.rstrip(b" \0").split(b"\\")
    made = rng.choice(
        (b"+" + first, b"0" + first, first + b".", first + b".0", first + b"E0", first + b"0E-1", first + b"00e-2", b" " + first,
         first + b"e+00", b"00" + first, first + b"E", first + b",5", first + b"\t", b"0x" + first, first + b"d0", b"." + first,
         first + b"000000000000000000E-18", first + b" 1", b"- " + first, first + b"E1", first + b"f")
    )  # fmt: skip
    node.value = b"\\".join([made, *others])


@mutation
def identifiers(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.vr in (b"UI", b"DA", b"TM", b"CS", b"AE", b"DT") and bool(one.value))
    if node is None or not isinstance(node.value, bytes):
        return
    plain = node.value.rstrip(b" \0")
    at = rng.randrange(len(plain) + 1)
    node.value = rng.choice(
        (plain[:at] + b" " + plain[at:], plain.lower(), plain + b".", b"0" + plain, plain[:at] + b"\xe9" + plain[at:], plain + b" ",
         plain[:4] + b"." + plain[4:], plain[:4] + b"-" + plain[4:], plain + b"\\" + plain, b" " + plain)
    )  # fmt: skip


@mutation
def character_set(rng: random.Random, draft: Draft) -> None:
    draft.put(Node(0x00080005, b"CS", rng.choice(CHARSETS)))


@mutation
def other_character_set(rng: random.Random, draft: Draft) -> None:
    """All text written anew in another character set: the digests stay."""
    known = draft.find(0x00080005)
    old = CODECS.get(known.value.rstrip(b" \0") if known and isinstance(known.value, bytes) else b"ISO_IR 100")
    term, codec = rng.choice(sorted(CODECS.items()))
    if old is None:
        return
    for nodes, at, _ in draft.walk():
        node = nodes[at]
        if node.vr in b"SH LO UC ST LT UT PN".split() and isinstance(node.value, bytes):
            try:
                node.value = node.value.decode(old).encode(codec)
            except UnicodeError:
                continue
    draft.put(Node(0x00080005, b"CS", term))


@mutation
def inner_character_set(rng: random.Random, draft: Draft) -> None:
    """Specific Character Set within an item, with text in it, before or behind."""
    node = _any(rng, draft, keep=lambda one: one.is_sequence and bool(one.value))
    if node is None or not isinstance(node.value, list):
        return
    item = rng.choice(node.value)
    term = rng.choice((*CODECS, *CHARSETS))
    item.append(Node(0x00080005, b"CS", term))
    if rng.random() < 0.6:
        item.append(Node(0x00104000, b"LT", rng.choice((b"M\xc3\xbcller", b"M\xfcller", *TRICKY_TEXT))))
        item.append(Node(0x00100020, b"LO", rng.choice((b"M\xc3\xbcller", b"M\xfcller", *TRICKY_TEXT))))
    item.sort(key=lambda one: one.tag)
    if rng.random() < 0.2:
        rng.shuffle(item)


@mutation
def tricky_text(rng: random.Random, draft: Draft) -> None:
    node = _any(rng, draft, keep=lambda one: one.is_text)
    if node is not None and isinstance(node.value, bytes):
        at = rng.randrange(len(node.value) + 1)
        node.value = node.value[:at] + rng.choice(TRICKY_TEXT) + node.value[at:]
    if rng.random() < 0.5:
        character_set(rng, draft)


@mutation
def escapes(rng: random.Random, draft: Draft) -> None:
    keep = lambda one: one.is_text and one.vr in b"SH LO UC ST LT UT PN".split()  # noqa: E731
    node = _any(rng, draft, keep=keep)
    if node is not None and isinstance(node.value, bytes):
        plain = node.value.rstrip(b" \0")
        at = rng.randrange(len(plain) + 1)
        made = rng.choice(ESCAPES) + rng.choice((b"", b"", b";3ED", b"=U", b"\xb9\xcc", b"\\", b"^", b"X", b"\xe9"))
        if rng.random() < 0.5:
            made += rng.choice(ESCAPES)
        node.value = plain[:at] + made + plain[at:]
    if rng.random() < 0.4:
        character_set(rng, draft)


@mutation
def numbers(rng: random.Random, draft: Draft) -> None:
    """Binary numbers: more values, fewer bytes, not-a-number."""
    node = _any(rng, draft, keep=lambda one: one.vr in b"US SS UL SL FL FD AT".split() and bool(one.value))
    if node is None or not isinstance(node.value, bytes):
        return
    value = node.value
    nan = b"\1\0\xc0\x7f" if node.vr == b"FL" else b"\1\0\0\0\0\0\xf8\x7f"
    node.value = rng.choice((value + value, value[:-1], value + bytes(2), value[:1], nan, value + b"\0", b""))


# -- private elements


@mutation
def private_blocks(rng: random.Random, draft: Draft) -> None:
    choice = rng.randrange(8)
    if choice == 0:
        draft.put(Node(0x00090011, b"LO", b"ACME 1.0"), Node(0x00091101, b"LO", b"another text"))
    elif choice == 1:
        draft.put(Node(0x00091234, b"LO", b"no creator"))
    elif choice == 2:
        draft.put(Node(0x00710011, b"LO", b"SEALGATE"), Node(0x00711101, b"LO", b"2"))
    elif choice == 3:
        draft.put(Node(0x00090010, b"LO", b" ACME 1.0 \0"))
    elif choice == 4:
        draft.put(Node(0x00110010, b"LO", b"ACME 2"), Node(0x00111001, b"UN", rng.randbytes(6)))
    elif choice == 5:
        for node in draft.nodes:
            if node.tag >> 16 == 0x0009:
                node.tag += 0x1 if node.tag & 0xFFFF < 0x100 else 0x100
    elif choice == 6:
        draft.put(Node(0x00290010, b"LO", b"SIEMENS CSA HEADER"), Node(0x00291010, b"OB", rng.randbytes(20)))
    else:
        item = [Node(0x00111001, b"LO", b"inside")]
        draft.put(Node(0x00110010, b"LO", b"ACME 2"), Node(0x00111005, b"SQ", [item], as_vr=rng.choice((None, b"UN"))))


# -- pixel data


def _pixels(draft: Draft) -> Node | None:
    return draft.find(PIXEL_DATA)


@mutation
def more_pixels(rng: random.Random, draft: Draft) -> None:
    tag, vr = rng.choice(((0x7FE00008, b"OF"), (0x7FE00009, b"OD"), (0x00287FE0, b"UR"), (0x7FE00010, b"OW")))
    draft.put(Node(tag, vr, b"http://x.y/z" if vr == b"UR" else rng.randbytes(1024)))


@mutation
def pixel_length(rng: random.Random, draft: Draft) -> None:
    node = _pixels(draft)
    if node is not None and isinstance(node.value, bytes):
        node.value = rng.choice(
            (node.value + bytes(1), node.value + bytes(2), node.value[:-2], node.value[:-1], node.value * 2, node.value + b"\1", b"")
        )
        if rng.random() < 0.3:
            node.inside, node.value = node.value, b""


@mutation
def pixel_vr(rng: random.Random, draft: Draft) -> None:
    node = _pixels(draft)
    if node is not None:
        node.as_vr = rng.choice((b"OB", b"OW", b"UN", b"US", b"SS", b"OL", b"UT", b"SQ"))
        if rng.random() < 0.4 and draft.syntax in NATIVE:
            draft.syntax = str(ExplicitVRBigEndian)


@mutation
def fragment(rng: random.Random, draft: Draft) -> None:
    """Fragments split, merged, emptied, and offset tables right and wrong."""
    node = _pixels(draft)
    if node is None or not isinstance(node.value, tuple):
        return
    table, *parts = node.value
    choice = rng.randrange(9)
    if choice == 0:
        at = rng.randrange(len(parts))
        cut = len(parts[at]) // 4 * 2
        parts[at : at + 1] = [parts[at][:cut], parts[at][cut:]]
    elif choice == 1 and len(parts) > 1:
        parts[:2] = [parts[0] + parts[1]]
    elif choice == 2:
        parts.insert(rng.randrange(len(parts) + 1), b"")
    elif choice == 3:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    elif choice == 4:
        rng.shuffle(parts)
    elif choice == 5:
        parts[-1] += bytes(rng.choice((1, 2, 4)))
    elif choice == 6:
        del parts[rng.randrange(len(parts))]
    elif choice == 7 and parts:
        parts[0] = parts[0][:-1]
    table = _table(rng, parts, table)
    node.value = (table, *parts)


def _table(rng: random.Random, parts: list[bytes], table: bytes) -> bytes:
    offsets = [sum(8 + len(part) for part in parts[:at]) for at in range(len(parts))]
    right = struct.pack(f"<{len(offsets)}I", *offsets)
    return rng.choice(
        (table, right, b"", right[:4], right[:-4], right + b"\0\0\0\0", right[::-1], struct.pack(f"<{len(offsets)}I", *offsets[::-1]),
         right[4:], struct.pack("<I", 8), b"\0\0", bytes(4 * len(parts)))
    )  # fmt: skip


@mutation
def extended_offsets(rng: random.Random, draft: Draft) -> None:
    node = _pixels(draft)
    if node is None:
        return
    parts = list(node.value[1:]) if isinstance(node.value, tuple) else [b"12"]
    parts = [part for part in parts if isinstance(part, bytes)]
    offsets = [sum(8 + len(part) for part in parts[:at]) for at in range(len(parts))]
    sizes = [len(part) for part in parts]
    change = rng.randrange(6)
    if change == 1:
        offsets.reverse()
    elif change == 2:
        sizes = [size - 1 for size in sizes]
    elif change == 3:
        sizes = [size + 8 for size in sizes]
    elif change == 4:
        offsets = offsets[:-1]
    if isinstance(node.value, tuple) and rng.random() < 0.8:
        node.value = (b"", *node.value[1:])  # type: ignore[misc]
    draft.put(Node(0x7FE00001, b"OV", struct.pack(f"<{len(offsets)}Q", *offsets)))
    if change != 5:
        draft.put(Node(0x7FE00002, b"OV", struct.pack(f"<{len(sizes)}Q", *[max(size, 0) for size in sizes])))


@mutation
def encapsulated_or_not(rng: random.Random, draft: Draft) -> None:
    node = _pixels(draft)
    if node is None:
        return
    if isinstance(node.value, tuple):
        node.value = b"".join(node.value)
        draft.syntax = rng.choice((draft.syntax, str(ExplicitVRLittleEndian)))
    elif isinstance(node.value, bytes):
        node.value = (b"", node.value)
        draft.syntax = rng.choice((draft.syntax, "1.2.840.10008.1.2.5"))


@mutation
def frame_numbers(rng: random.Random, draft: Draft) -> None:
    node = draft.find(0x00280008)
    plain = node.value.strip() if node is not None and isinstance(node.value, bytes) else b"1"
    made = rng.choice(
        (plain + b" ", b" " + plain, b"0" + plain, b"+" + plain, plain + b".0", plain + b"\\2", b"0", b"", plain + b"E0", b"2", b"-1", plain + b"x",
         b"1" if plain != b"1" else b"1 ", plain + b"0E-1")
    )  # fmt: skip
    draft.put(Node(0x00280008, b"IS", made))


@mutation
def shape(rng: random.Random, draft: Draft) -> None:
    """Numbers that describe pixel data, in an unusual form or wrong."""
    tags = (0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103)
    node = draft.find(rng.choice(tags))
    if node is None or not isinstance(node.value, bytes):
        return
    choice = rng.randrange(6)
    number = int.from_bytes(node.value[:2], "little")
    if choice == 0:
        node.value += rng.choice((node.value, b"\1\0", bytes(2)))
    elif choice == 1:
        node.value, node.as_vr = node.value + bytes(2), b"UL"
    elif choice == 2:
        node.value = struct.pack("<H", rng.choice((0, 1, 2, number + 1, max(number - 1, 0), number // 2, 16, 12, 3)))
    elif choice == 3:
        node.value, node.as_vr = str(number).encode(), b"IS"
    elif choice == 4:
        node.as_vr = b"SS"
    else:
        draft.nodes.remove(node)


@mutation
def photometric(rng: random.Random, draft: Draft) -> None:
    made = rng.choice(
        (b"MONOCHROME1", b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"YBR_RCT", b"YBR_ICT", b"PALETTE COLOR", b"monochrome2", b" MONOCHROME2",
         b"MONOCHROME2\\RGB", b"", b"ARGB", b"YBR_PARTIAL_420")
    )  # fmt: skip
    draft.put(Node(0x00280004, b"CS", made))


@mutation
def overlay(rng: random.Random, draft: Draft) -> None:
    """An overlay in the bits above Bits Stored (retired), or wrong."""
    draft.put(
        Node(0x60020010, b"US", b"\x10\0"),
        Node(0x60020011, b"US", b"\x10\0"),
        Node(0x60020040, b"CS", b"G "),
        Node(0x60020050, b"SS", b"\1\0\1\0"),
        Node(0x60020100, b"US", rng.choice((b"\x10\0", b"\1\0"))),
        Node(0x60020102, b"US", rng.choice((b"\x0c\0", b"\0\0"))),
    )


# -- plain damage


@mutation
def damaged_bytes(rng: random.Random, draft: Draft) -> None:
    made = bytearray(draft.to_bytes())
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not made:
            break
        at = rng.randrange(min(len(made), rng.choice((400, 1500, len(made)))))
        choice = rng.randrange(6)
        if choice == 0:
            made[at] = rng.randrange(256)
        elif choice == 1:
            made[at] ^= 1 << rng.randrange(8)
        elif choice == 2:
            made[at : at + 2] = rng.choice((b"\0\0", b"\xff\xff", b"UN", b"SQ", b"\xfe\xff", b"OB"))
        elif choice == 3:
            del made[at : at + rng.choice((1, 2, 4, 8))]
        elif choice == 4:
            made[at:at] = rng.choice((b"\0\0", b"\xfe\xff\0\xe0\0\0\0\0", b"\xfe\xff\x0d\xe0\0\0\0\0", rng.randbytes(2)))
        else:
            del made[rng.randrange(len(made)) :]
    draft.whole = bytes(made)


_NAMES = [name for name in MUTATIONS if name not in ("style",)] + ["damaged-bytes"] * 3
