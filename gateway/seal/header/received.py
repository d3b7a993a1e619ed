"""The header as it was received, compressed and encrypted: whoever can open the record sees what an element was before,
and gets the whole data set back, byte for byte (FORMAT.md, "Header as received").
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Encoding, walk
from gateway.dicom.lazy_bytes import ByteSource, Concatenation, pieces
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import SealBroken, UnreadableObject

# Number of the check in FORMAT.md that this module serves.
CHECK = 11
_KEY_CONTEXT = "sealgate received header key v2"
_ASSOCIATED = b"sealgate received header v2"
# The key is drawn for one object and encrypts one message, so the nonce may be constant (RFC 8439 2.8).
_NONCE = bytes(12)
_ENCODINGS = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
# Longer values stay out: they are in the object already, and would make it larger once more.
_VALUE_MAX = 4096
_TOTAL_MAX = 128 << 10
# What sealing may write anew (FORMAT.md, "What sealing writes"), and what the other values are read by: always kept.
_ALWAYS_KEPT = frozenset(
    {
        0x00080005,
        0x00080008,
        0x00080018,
        0x00082111,
        0x00082112,
        0x00089215,
        0x0018A001,
        0x00280004,
        0x00280103,
    }
)
# A UID has 64 characters; more than this does not go into file meta information.
_SYNTAX_MAX = 1024
# No header becomes larger than this when it is decompressed: parsed, it takes up to 75 times as much.
PLAIN_MAX = 4 << 20


@dataclass(frozen=True)
class LeftOut:
    """An element whose value was not kept.

    tag: of the element.
    head: its header, as received.
    length: of its value, in bytes; behind it nothing of the element is missing.
    """

    tag: int
    head: bytes
    length: int


@dataclass(frozen=True)
class ReceivedHeader:
    """A data set as it was received.

    transfer_syntax: UID.
    encoding: of its elements.
    parts: runs of whole elements, and elements without their values.
    digest: BLAKE3 over the data set, 32 bytes; a deflated one inflated.
    """

    transfer_syntax: str
    encoding: Encoding
    parts: tuple[bytes | LeftOut, ...]
    digest: bytes

    def header(self) -> Part10:
        """The elements whose values were kept.

        Raises UnreadableObject when they are none.
        """
        body = b"".join(part for part in self.parts if isinstance(part, bytes))
        return Part10(
            b"", {}, self.transfer_syntax, self.encoding, body, walk(body, 0, len(body), self.encoding)
        )

    @property
    def left_out(self) -> tuple[int, ...]:
        """Tags of the elements whose values were not kept."""
        return tuple(part.tag for part in self.parts if isinstance(part, LeftOut))

    def assembled(self, value_of: Callable[[int], ByteSource | None]) -> ByteSource | None:
        """The data set, or None when a value is missing or has another length than the one received.

        value_of: gives the value of an element that was left out, in the encoding of the data set.
        """
        sources: list[ByteSource] = []
        for part in self.parts:
            if isinstance(part, bytes):
                sources.append(part)
                continue
            value = value_of(part.tag)
            if value is None or len(value) != part.length:
                return None
            sources += [part.head, value]
        if all(isinstance(source, bytes) for source in sources):
            return b"".join(source[:] for source in sources)
        return Concatenation(sources)

    def proves(self, data_set: ByteSource) -> bool:
        """Whether this is the data set that was received, byte for byte."""
        return digest_of(data_set) == self.digest


def digest_of(data_set: ByteSource) -> bytes:
    """32 bytes over a data set, which need not be in memory."""
    engine = blake3()
    for piece in pieces(data_set):
        engine.update(piece)
    return engine.digest()


def capture(file: Part10) -> ReceivedHeader:
    """What is to be kept of an object as it was received."""
    lengths = [element.end - element.value for element in file.elements if element.tag != PIXEL_DATA]
    longest = _VALUE_MAX
    while sum(length for length in lengths if length <= longest) > _TOTAL_MAX and longest:
        longest //= 4
    parts: list[bytes | LeftOut] = []
    begin = 0
    for element in file.elements:
        short = element.end - element.value <= longest or element.tag in _ALWAYS_KEPT
        if short and element.tag != PIXEL_DATA:
            continue
        if element.start > begin:
            parts.append(file.body[begin : element.start])
        head = file.body[element.start : element.value]
        parts.append(LeftOut(element.tag, head, element.end - element.value))
        begin = element.end
    if begin < len(file.body):
        parts.append(file.body[begin : len(file.body)])
    return ReceivedHeader(file.transfer_syntax, file.encoding, tuple(parts), digest_of(file.body))


def close(received: ReceivedHeader, restore_key: bytes) -> bytes:
    """The encrypted content of the element.

    restore_key: of the record, so that who opens the record opens this too.
    Raises SealBroken as `pack` does.
    """
    return _cipher(restore_key).encrypt(_NONCE, pack(received), _ASSOCIATED)


def pack(received: ReceivedHeader) -> bytes:
    """The content before it is encrypted: compressed CBOR.

    Raises SealBroken when there are so many elements that no reader would take it.
    """
    content = {
        1: received.transfer_syntax,
        2: _ENCODINGS.index(received.encoding),
        3: [
            part if isinstance(part, bytes) else [part.tag, part.head, part.length] for part in received.parts
        ],
        4: received.digest,
    }
    plain = cbor2.dumps(content, canonical=True)
    if len(plain) > PLAIN_MAX:
        raise SealBroken("the header has more elements than can be kept", check=CHECK)
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(plain) + engine.flush()


def open_element(element: bytes, restore_key: bytes) -> ReceivedHeader:
    """The inverse of `close`.

    Raises SealBroken when the element was changed, is of another object, or holds something else.
    """
    try:
        return unpack(_cipher(restore_key).decrypt(_NONCE, element, _ASSOCIATED))
    except InvalidTag as error:
        raise SealBroken("the header as received does not open", check=CHECK) from error


def unpack(packed: bytes) -> ReceivedHeader:
    """The inverse of `pack`.

    Raises SealBroken when the content is malformed, or too large.
    """
    try:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = engine.decompress(packed, PLAIN_MAX)
        if not engine.eof or engine.unused_data:
            raise ValueError("not one deflated stream")
        return _received(cbor2.loads(plain))
    except (
        cbor2.CBORError, zlib.error, KeyError, TypeError, ValueError, RecursionError,
    ) as error:  # fmt: skip
        raise SealBroken("the header as received is malformed", check=CHECK) from error


def _received(content: Any) -> ReceivedHeader:
    """Every type is checked, because whoever has the recipient's public key can make such an element."""
    parts: list[bytes | LeftOut] = []
    if type(content) is not dict or type(content[3]) is not list:
        raise ValueError("the entries have wrong types")
    for part in content[3]:
        if isinstance(part, bytes):
            parts.append(part)
            continue
        tag, head, length = part
        if type(tag) is not int or type(head) is not bytes or type(length) is not int or len(head) > 12:
            raise ValueError("an element that was left out has wrong types")
        parts.append(LeftOut(tag, head, length))
    syntax, encoding, digest = content[1], content[2], content[4]
    if type(syntax) is not str or type(encoding) is not int or type(digest) is not bytes:
        raise ValueError("the entries have wrong types")
    if len(syntax) > _SYNTAX_MAX or not 0 <= encoding < len(_ENCODINGS):
        raise ValueError("no transfer syntax, or no encoding")
    received = ReceivedHeader(syntax, _ENCODINGS[encoding], tuple(parts), digest)
    try:
        received.header()
    except UnreadableObject as error:
        raise ValueError("the elements can't be read") from error
    return received


def _cipher(restore_key: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(blake3(restore_key, derive_key_context=_KEY_CONTEXT).digest())
