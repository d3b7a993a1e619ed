"""What sealing writes into the standard header, and how it is taken out again.

A Contributing Equipment item says who modified the object (PS3.3 C.12.1.1.5). Derivation Description says what was done
(C.7.6.1.1.3). An object with a derived identity also gets Image Type, Source Image and Derivation Code (C.7.6.1.1.2,
C.7.6.1.1.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import __version__
from gateway.dicom.elements import (
    IMPLICIT_LE,
    Encoding,
    encode,
    item,
    items,
    walk,
)
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import IMAGE_TYPE, SOP_CLASS_UID, SOP_INSTANCE_UID

CONTRIBUTING_EQUIPMENT = 0x0018A001
DERIVATION_DESCRIPTION = 0x00082111
SOURCE_IMAGE = 0x00082112
DERIVATION_CODE = 0x00089215
SHARED_FUNCTIONAL_GROUPS = 0x52009229

DERIVATION_TEXT = b"Sealgate: encrypted record hidden in pixel data, restorable"
MANUFACTURER = b"Sealgate"
CODING_SCHEME = b"99SEALGATE"
# Length of an ST (PS3.5 table 6.2-1).
_TEXT_MAX = 1024

# Tag -> the encoded element, or None to remove it.
Edits = dict[int, bytes | None]
# Whether a sequence item, given as tag -> value, is the one to remove.
ItemTest = Callable[[dict[int, bytes]], bool]


@dataclass(frozen=True, kw_only=True)
class Device:
    """The gateway, as Contributing Equipment names it.

    station_name: left out when empty.
    """

    station_name: str = ""
    model_name: str = "Sealgate"
    software_version: str = __version__


def document(file: Part10, device: Device, now: datetime) -> Edits:
    """Edits for Contributing Equipment and Derivation Description.

    A description without room for the added text stays as it is.
    """
    edits: Edits = {CONTRIBUTING_EQUIPMENT: with_item(file, CONTRIBUTING_EQUIPMENT, _equipment(device, now))}
    before = (file.value(DERIVATION_DESCRIPTION) or b"").rstrip(b" \0")
    after = before + b"; " + DERIVATION_TEXT if before else DERIVATION_TEXT
    if len(after) <= _TEXT_MAX:
        edits[DERIVATION_DESCRIPTION] = encode(DERIVATION_DESCRIPTION, b"ST", after, file.encoding)
    return edits


def derive(file: Part10, new_uid: str) -> Edits:
    """Edits that give the object an identity of its own and point to the object it was made from."""
    code = [(0x00080100, b"SH", b"SEALED"), (0x00080102, b"SH", CODING_SCHEME)]
    code.append((0x00080104, b"LO", b"Encrypted record hidden in pixel data"))
    purpose = [(0x00080100, b"SH", b"121322"), (0x00080102, b"SH", b"DCM")]
    purpose.append((0x00080104, b"LO", b"Source image for image processing operation"))
    source_uid = file.text(SOP_INSTANCE_UID).encode()

    def source(encoding: Encoding) -> bytes:
        return (
            encode(0x00081150, b"UI", file.text(SOP_CLASS_UID).encode(), encoding)
            + encode(0x00081155, b"UI", source_uid, encoding)
            + encode(0x0040A170, b"SQ", item(_encoded(purpose, encoding), encoding), encoding)
        )

    edits: Edits = {
        SOP_INSTANCE_UID: encode(SOP_INSTANCE_UID, b"UI", new_uid.encode(), file.encoding),
        SOURCE_IMAGE: with_item(file, SOURCE_IMAGE, source),
        DERIVATION_CODE: with_item(file, DERIVATION_CODE, lambda encoding: _encoded(code, encoding)),
    }
    if SHARED_FUNCTIONAL_GROUPS not in file.index:
        # An enhanced object that is DERIVED may not describe how it was acquired (PS3.3 C.8.13.4), so its type stays.
        types = (file.value(IMAGE_TYPE) or b"ORIGINAL\\PRIMARY").strip(b" \0").split(b"\\")
        edits[IMAGE_TYPE] = encode(IMAGE_TYPE, b"CS", b"\\".join([b"DERIVED", *types[1:]]), file.encoding)
    return edits


def undocument(file: Part10, added: tuple[int, ...], replaced: dict[int, bytes], original_uid: str) -> Edits:
    """Edits that take out what `document` and `derive` wrote, whatever else was written beside it since.

    added: tags that the original did not have.
    replaced: tag -> value in the original.
    original_uid: SOP Instance UID of the original; empty when it was kept.
    """
    edits: Edits = {}
    _remove_items(
        file, edits, CONTRIBUTING_EQUIPMENT, lambda values: _is(values, 0x00080070, MANUFACTURER), added
    )
    text = file.value(DERIVATION_DESCRIPTION)
    if text is not None and DERIVATION_TEXT in text:
        shorter = text.replace(b"; " + DERIVATION_TEXT, b"").replace(DERIVATION_TEXT, b"").rstrip(b" \0")
        remove = not shorter and DERIVATION_DESCRIPTION in added
        edits[DERIVATION_DESCRIPTION] = (
            None if remove else encode(DERIVATION_DESCRIPTION, b"ST", shorter, file.encoding)
        )
    if not original_uid:
        return edits
    uid = original_uid.encode()
    edits[SOP_INSTANCE_UID] = encode(SOP_INSTANCE_UID, b"UI", uid, file.encoding)
    _remove_items(file, edits, SOURCE_IMAGE, lambda values: _is(values, 0x00081155, uid), added)
    _remove_items(file, edits, DERIVATION_CODE, lambda values: _is(values, 0x00080102, CODING_SCHEME), added)
    if IMAGE_TYPE in added:
        edits[IMAGE_TYPE] = None
    elif IMAGE_TYPE in replaced:
        edits[IMAGE_TYPE] = encode(IMAGE_TYPE, b"CS", replaced[IMAGE_TYPE], file.encoding)
    return edits


def _equipment(device: Device, now: datetime) -> Callable[[Encoding], bytes]:
    moment = now.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000").encode()
    purpose = [
        (0x00080100, b"SH", b"109103"),
        (0x00080102, b"SH", b"DCM"),
        (0x00080104, b"LO", b"Modifying Equipment"),
    ]
    values = [(0x00080070, b"LO", MANUFACTURER)]
    if device.station_name:
        values.append((0x00081010, b"SH", device.station_name.encode("ascii", "replace")[:16]))
    values += [
        (0x00081090, b"LO", device.model_name.encode("ascii", "replace")[:64]),
        (0x00181020, b"LO", device.software_version.encode("ascii", "replace")[:64]),
        (0x0018A002, b"DT", moment),
        (0x0018A003, b"ST", DERIVATION_TEXT),
    ]
    return lambda encoding: (
        _encoded(values, encoding)
        + encode(0x0040A170, b"SQ", item(_encoded(purpose, encoding), encoding), encoding)
    )


def _encoded(values: list[tuple[int, bytes, bytes]], encoding: Encoding) -> bytes:
    return b"".join(encode(tag, vr, value, encoding) for tag, vr, value in values)


def with_item(file: Part10, tag: int, content: Callable[[Encoding], bytes]) -> bytes:
    """The sequence element with one more item at its end. A length that was undefined stays undefined."""
    element = file.index.get(tag)
    if element is None:
        return encode(tag, b"SQ", item(content(file.encoding), file.encoding), file.encoding)
    inner = IMPLICIT_LE if element.vr == b"UN" else file.encoding
    added = item(content(inner), inner)
    old = file.body[element.value : element.end]
    if element.undefined:
        return file.body[element.start : element.value] + old[:-8] + added + old[-8:]
    return encode(tag, element.vr or b"SQ", old + added, file.encoding)


def _remove_items(file: Part10, edits: Edits, tag: int, ours: ItemTest, added: tuple[int, ...]) -> None:
    """Add edits that remove items from a sequence, and the sequence itself when it was added and nothing is left."""
    element = file.index.get(tag)
    if element is None:
        return
    inner = IMPLICIT_LE if element.vr == b"UN" else file.encoding
    kept = b""
    for sequence_item in items(file.body, element, inner):
        values = {
            inside.tag: file.body[inside.value : inside.end].strip(b" \0")
            for inside in walk(file.body, sequence_item.value, sequence_item.stop, inner)
        }
        if not ours(values):
            kept += file.body[sequence_item.start : sequence_item.end]
    if not kept and tag in added:
        edits[tag] = None
    elif element.undefined:
        edits[tag] = (
            file.body[element.start : element.value] + kept + file.body[element.end - 8 : element.end]
        )
    else:
        edits[tag] = encode(tag, element.vr or b"SQ", kept, file.encoding)


def _is(values: dict[int, bytes], tag: int, value: bytes) -> bool:
    return values.get(tag) == value
