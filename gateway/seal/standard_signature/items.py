"""The two sequences of a digital signature (PS3.3 C.12.1.1.3), written and read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.dicom.elements import IMPLICIT_LE, Element, Encoding, encode, item, items, walk
from gateway.dicom.part10 import Part10
from gateway.errors import UnreadableObject
from gateway.seal.standard_signature.mac import ElementReader
from gateway.seal.standard_signature.profile import DIGITAL_SIGNATURES, MAC_PARAMETERS

MAC_ID = 0x04000005
MAC_SYNTAX = 0x04000010
MAC_ALGORITHM = 0x04000015
ELEMENTS_SIGNED = 0x04000020
SIGNATURE_UID = 0x04000100
SIGNATURE_TIME = 0x04000105
CERTIFICATE_TYPE = 0x04000110
CERTIFICATE = 0x04000115
SIGNATURE = 0x04000120
STAMP_TYPE = 0x04000305
STAMP = 0x04000310
X509 = b"X509_1993_SIG"
CMS_TSP = b"CMS_TSP"
# Of a signature's item, what its MAC can't cover (PS3.3 C.12.1.1.3.1.1).
NOT_IN_MAC = frozenset({CERTIFICATE, SIGNATURE, STAMP_TYPE, STAMP})


@dataclass(frozen=True, kw_only=True)
class SignatureItem:
    """One signature as it stands in an object. Empty bytes stand for what is missing.

    reader, elements: of its item of the Digital Signatures Sequence.
    values: tag -> value of that item, and of the item of the MAC Parameters Sequence with its number.
    tags: Data Elements Signed.
    """

    reader: ElementReader
    elements: list[Element]
    values: dict[int, bytes]
    tags: tuple[int, ...]

    def text(self, tag: int) -> str:
        """A value in the default repertoire without its padding; empty when it is missing."""
        return self.values.get(tag, b"").decode("latin-1").strip(" \0")


def written(
    parameters: list[tuple[int, bytes, bytes]], signature: list[tuple[int, bytes, bytes]], encoding: Encoding
) -> dict[int, bytes | None]:
    """Edits that add one signature to an object without any.

    parameters, signature: tag, VR and value of the elements of the two items. Numbers are in the order of `encoding`.
    """
    return {
        tag: encode(tag, b"SQ", item(item_of(elements, encoding), encoding), encoding)
        for tag, elements in ((MAC_PARAMETERS, parameters), (DIGITAL_SIGNATURES, signature))
    }


def item_of(elements: list[tuple[int, bytes, bytes]], encoding: Encoding) -> bytes:
    """Elements, one after another."""
    return b"".join(encode(tag, vr, value, encoding) for tag, vr, value in elements)


def signatures(file: Part10) -> list[SignatureItem]:
    """Every signature on the top level of an object. Raises UnreadableObject when a sequence is damaged."""
    parameters: dict[bytes, dict[int, bytes]] = {}
    for _, _, values in _item_values(file, MAC_PARAMETERS):
        parameters.setdefault(values.get(MAC_ID, b""), values)
    result = []
    for reader, elements, values in _item_values(file, DIGITAL_SIGNATURES):
        of_mac = parameters.get(values.get(MAC_ID, b""), {})
        tags = of_mac.get(ELEMENTS_SIGNED, b"")
        numbers = struct.unpack(reader.encoding.order + f"{len(tags) // 4 * 2}H", tags[: len(tags) // 4 * 4])
        signed = tuple(
            group << 16 | element for group, element in zip(numbers[::2], numbers[1::2], strict=True)
        )
        result.append(SignatureItem(reader=reader, elements=elements, values=of_mac | values, tags=signed))
    return result


def _item_values(file: Part10, tag: int) -> Iterator[tuple[ElementReader, list[Element], dict[int, bytes]]]:
    sequence = file.index.get(tag)
    if sequence is None:
        return
    if sequence.vr not in (None, b"SQ", b"UN"):
        raise UnreadableObject("a sequence of the digital signature is none")
    inner = IMPLICIT_LE if sequence.vr == b"UN" else file.encoding
    for sequence_item in items(file.body, sequence, inner):
        elements = walk(file.body, sequence_item.value, sequence_item.stop, inner)
        values = {element.tag: file.body[element.value : element.end] for element in elements}
        yield ElementReader(file.body, inner), elements, values
