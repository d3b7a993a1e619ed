"""What archives add to headers and change in them, element by element and byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial

from pydicom.dataset import Dataset

from gateway.dicom.elements import Element, encode
from gateway.dicom.part10 import Part10, read
from gateway.dicom.syntaxes import Form, syntax_of
from gateway.dicom.tags import SPECIFIC_CHARACTER_SET
from tests.campaigns.harmless.operation import Declined, Operation, Workbench
from tests.campaigns.harmless.with_pydicom import edited

Added = dict[int, tuple[bytes, bytes]]
TEXT_VRS = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split())

ADDED: dict[str, Added] = {
    "Retrieve AE Title, Instance Availability": {
        0x00080054: (b"AE", b"ARCHIVE1\\ARCHIVE2"), 0x00080056: (b"CS", b"ONLINE"),
    },
    "Storage Media File-set ID and UID": {0x00880130: (b"SH", b"MO-0815"), 0x00880140: (b"UI", b"2.25.4711")},
    "Retrieve URL": {0x00081190: (b"UR", b"https://pacs.example/studies/1/series/2/instances/3")},
    "Retrieve URI, Retrieve Location UID": {
        0x0040E010: (b"UR", b"https://pacs.example/wado?x"), 0x0040E011: (b"UI", b"2.25.4712"),
    },
    "Number of Patient, Study and Series Related ...": {
        0x00201200: (b"IS", b"3"), 0x00201202: (b"IS", b"12"), 0x00201204: (b"IS", b"345"),
        0x00201206: (b"IS", b"4"), 0x00201208: (b"IS", b"99"), 0x00201209: (b"IS", b"25"),
    },
    "Query/Retrieve Level": {0x00080052: (b"CS", b"IMAGE")},
    "Timezone Offset From UTC": {0x00080201: (b"SH", b"+0100")},
    "Study Status ID, Study Verified and Read": {
        0x0032000A: (b"CS", b"READ"), 0x00320032: (b"DA", b"20250301"), 0x00320033: (b"TM", b"120000"),
        0x00320034: (b"DA", b"20250302"), 0x00320035: (b"TM", b"120000"),
    },
    "Instance Coercion DateTime": {0x00080015: (b"DT", b"20250301120000")},
    "empty elements of type 2": {
        0x00080050: (b"SH", b""), 0x00080090: (b"PN", b""), 0x00100010: (b"PN", b""), 0x00100020: (b"LO", b""),
        0x00100030: (b"DA", b""), 0x00100040: (b"CS", b""), 0x00200010: (b"SH", b""), 0x00080020: (b"DA", b""),
        0x00080030: (b"TM", b""), 0x00200011: (b"IS", b""), 0x00200013: (b"IS", b""), 0x00200020: (b"CS", b""),
        0x00080070: (b"LO", b""), 0x00201040: (b"LO", b""), 0x00180015: (b"CS", b""), 0x00081030: (b"LO", b""),
    },
    "empty sequences": {
        0x00081110: (b"SQ", b""), 0x00081120: (b"SQ", b""), 0x00400275: (b"SQ", b""), 0x00321064: (b"SQ", b""),
    },
    "Data Set Trailing Padding of 126 bytes": {0xFFFCFFFC: (b"OB", bytes(126))},
    "a private block of an archive": {
        0x00090010: (b"LO", b"GEIIS PACS"), 0x00091010: (b"UN", b"archived"), 0x00091012: (b"UN", bytes(7)),
        0x00330010: (b"LO", b"MITRA MARKUP 1.0"), 0x00331001: (b"UN", b"ok"),
    },
}  # fmt: skip


def operations(bench: Workbench) -> Iterator[Operation]:
    for name, added in ADDED.items():
        yield _bytewise("added", name, partial(_with, added=added))
    yield _bytewise("added", "group lengths of all groups", _with_group_lengths)
    yield _bytewise("added", "Specific Character Set ISO_IR 6 where there is none", _with_ascii)
    yield Operation(
        "added", "Original Attributes Sequence", "pydicom", lambda d: edited(d, _original_attributes)
    )
    yield Operation(
        "added", "private blocks", "dcmodify", lambda data: bench.in_place(data, _private_blocks())
    )
    yield Operation(
        "added", "a Station Name item in Original Attributes", "dcmodify",
        lambda data: bench.in_place(data, ["dcmodify", "-nb", "-i", "(0400,0561)[0].(0400,0564)=ARCHIVE"]),
    )  # fmt: skip
    for name, change in PADDINGS.items():
        yield _bytewise("padding", name, change)
    yield Operation("file meta", "written anew", "gateway", _other_meta)
    yield Operation("file meta", "without implementation and source", "gateway", lambda d: _other_meta(d, {}))
    yield Operation("file meta", "preamble of a TIFF file", "gateway", _preamble)
    yield Operation("private", "blocks renumbered", "pydicom", lambda data: edited(data, _renumber))
    yield Operation("private", "elements turned UN", "pydicom", lambda data: edited(data, _private_unknown))
    yield Operation("private", "our block turned UN", "gateway", _own_block_unknown)
    yield Operation("private", "new standard elements turned UN", "gateway", _standard_unknown)


def _bytewise(group: str, name: str, change: Callable[[Part10], bytes]) -> Operation:
    return Operation(group, name, "gateway", lambda data: change(read(data)))


def _with(file: Part10, added: Added) -> bytes:
    """The file with those of the elements that it does not have."""
    edits: dict[int, bytes | None] = {
        tag: encode(tag, vr, value, file.encoding)
        for tag, (vr, value) in added.items()
        if tag not in file.index
    }
    if not edits:
        raise Declined("has them")
    return file.edited(edits)


def _with_group_lengths(file: Part10) -> bytes:
    edits: dict[int, bytes | None] = {}
    for group in {element.group for element in file.elements}:
        length = sum(
            element.end - element.start
            for element in file.elements
            if element.group == group and element.tag & 0xFFFF
        )
        value = struct.pack(file.encoding.order + "I", length & 0xFFFFFFFF)
        edits[group << 16] = encode(group << 16, b"UL", value, file.encoding)
    return file.edited(edits)


def _with_ascii(file: Part10) -> bytes:
    if 0x00080005 in file.index:
        raise Declined("has one")
    return file.edited({0x00080005: encode(0x00080005, b"CS", b"ISO_IR 6", file.encoding)})


def _original_attributes(dataset: Dataset) -> None:
    before, item = Dataset(), Dataset()
    before.PatientComments = "as it came"
    item.SourceOfPreviousValues = "RIS"
    item.AttributeModificationDateTime = "20250301120000"
    item.ModifyingSystem = "ARCHIVE"
    item.ReasonForTheAttributeModification = "COERCE"
    item.ModifiedAttributesSequence = [before]
    dataset.OriginalAttributesSequence = [*dataset.get("OriginalAttributesSequence", []), item]


def _private_blocks() -> list[str]:
    """dcmodify inserts creators only: it knows no VRs of private elements."""
    return ["dcmodify", "-nb", "-i", "(0071,0020)=PACS VENDOR", "-i", "(0011,0010)=PACS 2"]


def _padded(pad: bytes, vrs: frozenset[bytes]) -> Callable[[Part10], bytes]:
    """Two more bytes of padding behind every value of some VRs, as far as the length field goes."""

    def change(file: Part10) -> bytes:
        if not file.encoding.explicit:
            raise Declined("implicit")
        edits: dict[int, bytes | None] = {
            element.tag: encode(element.tag, element.vr, _value(file, element) + pad, file.encoding)
            for element in file.elements
            if element.vr in vrs and element.group >= 8 and element.end - element.value < 1 << 15
            and not element.group % 2
        }  # fmt: skip
        return file.edited(edits)

    return change


def _unpadded(file: Part10) -> bytes:
    """NUL bytes where there were blanks: many toolkits pad all text so."""
    edits: dict[int, bytes | None] = {}
    for element in file.elements:
        value = _value(file, element) if element.vr in TEXT_VRS and not element.group % 2 else b""
        if element.vr and value.endswith(b" "):
            edits[element.tag] = encode(element.tag, element.vr, value[:-1] + b"\0", file.encoding)
    return file.edited(edits)


def _leading(file: Part10) -> bytes:
    """A blank in front, which PS3.5 6.2 calls insignificant in these VRs.

    Not in front of Specific Character Set: pydicom does not know the term then, and shows other letters.
    """
    edits: dict[int, bytes | None] = {}
    for element in file.elements:
        if (
            element.vr in (b"CS", b"DS", b"IS", b"LO", b"SH")
            and element.end > element.value
            and element.group != 0x71
            and element.tag != SPECIFIC_CHARACTER_SET
        ):
            value = b" " + _value(file, element)
            edits[element.tag] = encode(element.tag, element.vr, value, file.encoding)
    return file.edited(edits)


PADDINGS: dict[str, Callable[[Part10], bytes]] = {
    "two blanks behind every text": _padded(b"  ", TEXT_VRS),
    "two NULs behind every text": _padded(b"\0\0", TEXT_VRS),
    "two NULs behind every UID": _padded(b"\0\0", frozenset({b"UI"})),
    "a blank behind every UID": _padded(b" ", frozenset({b"UI"})),
    "NUL for the last blank of every text": _unpadded,
    "a blank before every text": _leading,
}


def _value(file: Part10, element: Element) -> bytes:
    return file.body[element.value : element.end]


def _other_meta(data: bytes, more: dict[int, tuple[bytes, bytes]] | None = None) -> bytes:
    """File meta information as another implementation writes it (PS3.10 7.1)."""
    file = read(data)
    if more is None:
        more = {
            0x00020012: (b"UI", b"2.25.99"), 0x00020013: (b"SH", b"ARCHIVE 9.9"), 0x00020016: (b"AE", b"ARCHIVE"),
            0x00020100: (b"UI", b"2.25.100"), 0x00020102: (b"OB", b"private information"),
        }  # fmt: skip
    le = read(_EXPLICIT).encoding
    kept = {tag: (b"UI", file.meta.get(tag, b"")) for tag in (0x00020002, 0x00020003)}
    kept[0x00020010] = (b"UI", file.transfer_syntax.encode())
    kept[0x00020001] = (b"OB", b"\0\1")
    group = b"".join(encode(tag, vr, value, le) for tag, (vr, value) in sorted((kept | more).items()))
    head = encode(0x00020000, b"UL", struct.pack("<I", len(group)), le)
    return bytes(128) + b"DICM" + head + group + data[len(file.prefix) :]


_EXPLICIT = bytes(128) + b"DICM" + b"\x08\0\x60\0CS\2\0OT"


def _preamble(data: bytes) -> bytes:
    if data[128:132] != b"DICM":
        raise Declined("no preamble")
    return b"II*\0" + bytes(range(124)) + data[128:]


def _renumber(dataset: Dataset) -> None:
    """Every private block of the top level gets the number above, from the last on."""
    moved = False
    tags = [element.tag for element in dataset]
    for group in sorted({tag.group for tag in tags if tag.group % 2}):
        numbers = [tag.elem for tag in tags if tag.group == group and 0x10 <= tag.elem <= 0xFF]
        for number in sorted(numbers, reverse=True):
            if number == 0xFF or (group << 16 | number + 1) in dataset:
                continue
            moving = [tag for tag in tags if tag.group == group and number in (tag.elem, tag.elem >> 8)]
            for tag in moving:
                element = dataset[tag]
                del dataset[tag]
                low = number + 1 if tag.elem == number else (number + 1) << 8 | tag.elem & 0xFF
                dataset.add_new(group << 16 | low, element.VR, element.value)
                moved = True
    if not moved:
        raise Declined("no private blocks")


def _private_unknown(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.tag.is_private and not element.tag.is_private_creator and element.VR not in ("SQ", "UN"):
            raw = dataset.get_item(element.tag)
            value = raw.value if raw is not None else None
            if isinstance(value, bytes):
                dataset.add_new(element.tag, "UN", value)


def _own_block_unknown(data: bytes) -> bytes:
    file = read(data)
    if not file.encoding.explicit:
        raise Declined("implicit")
    return file.edited(
        {
            element.tag: encode(element.tag, b"UN", _value(file, element), file.encoding)
            for element in file.elements
            if element.group == 0x71 and element.tag & 0xFFFF > 0xFF
        }
    )


# Elements of VRs that came after 1993, and what an archive of then makes of them: (PS3.5 6.2.2, VR UN).
NEW_VRS = frozenset({b"UC", b"UR", b"UT", b"OF", b"OD", b"OL", b"OV", b"SV", b"UV"})


def _standard_unknown(data: bytes) -> bytes:
    file = read(data)
    edits: dict[int, bytes | None] = {
        element.tag: encode(element.tag, b"UN", _value(file, element), file.encoding)
        for element in file.elements
        if element.vr in NEW_VRS and not element.group % 2
    }
    if not edits or syntax_of(file.transfer_syntax).form is Form.DEFLATED:
        raise Declined("has none")
    return file.edited(edits)
