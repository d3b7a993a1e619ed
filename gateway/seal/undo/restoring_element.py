"""The restoring element: everything that undoing a sealing needs.

It is encrypted with a key that only the hidden record holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cbor2
import numpy as np
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from gateway.dicom.image import HighBits, Pixels
from gateway.errors import SealBroken
from gateway.seal.codec.synthesis import Synthesis, cells_of
from gateway.seal.undo import amplitudes, residual

# Number of the check in FORMAT.md that this module serves.
CHECK = 9
_KEY_CONTEXT = "sealgate restoring key v1"
_ASSOCIATED = b"sealgate restoring v1"
# The key is drawn for one object and encrypts one message, so the nonce may be constant (RFC 8439 2.8).
_NONCE = bytes(12)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was true of the original, and what sealing did to its header.

    original_digest: 32 bytes, of the original pixels.
    high_bits: what stood above BitsStored.
    transfer_syntax: of the original.
    added: tags that the original did not have.
    replaced: tag -> value in the original, for elements of the default repertoire.
    sop_instance_uid: of the original, when a new one was given; otherwise empty.
    """

    original_digest: bytes
    high_bits: HighBits
    transfer_syntax: str
    added: tuple[int, ...] = ()
    replaced: dict[int, bytes] = field(default_factory=dict)
    sop_instance_uid: str = ""


def change_of(cover: NDArray[Any], container: NDArray[Any]) -> NDArray[np.int32]:
    """Cover minus container, (frames, rows, columns, samples), for the leading frames up to the last changed one."""
    frames = len(cover)
    while frames and np.array_equal(cover[frames - 1], container[frames - 1]):
        frames -= 1
    change: NDArray[np.int32] = cover[:frames].astype(np.int32) - container[:frames]
    return change


def coded(change: NDArray[np.int32], synthesis: Synthesis | None = None) -> dict[int, Any]:
    """The entries of the element that undo a change: 7 and 8, and 9 to 11 when it was synthesised.

    change: as `change_of` gives it.
    synthesis: what the change was synthesised from; None when it was not.
    """
    if synthesis is None:
        return {7: len(change), 8: residual.encode(change)}
    _, rows, columns, samples = change.shape
    frames = synthesis.frames(rows, columns)
    covered = max(len(change), frames)
    correction = np.zeros((covered, rows, columns, samples), np.int32)
    correction[: len(change)] = change
    correction[:frames] += synthesis.change((frames, rows, columns, samples))
    return {
        7: covered,
        8: residual.encode(correction),
        9: amplitudes.encode(_lengthened(synthesis.amplitudes, cells_of(covered, rows, columns)), covered),
        10: synthesis.scale,
        11: list(synthesis.samples),
    }


def close(
    facts: Facts, change: NDArray[np.int32], restore_key: bytes, synthesis: Synthesis | None = None
) -> bytes:
    """The encrypted content of the element.

    change: as `change_of` gives it.
    synthesis: what the change was synthesised from; None when it was not.
    Raises ValueError when the synthesis is of an image of another size.
    """
    content = {
        1: facts.original_digest,
        2: facts.high_bits.value,
        3: facts.transfer_syntax,
        4: list(facts.added),
        5: facts.replaced,
        6: facts.sop_instance_uid,
    } | coded(change, synthesis)
    return _cipher(restore_key).encrypt(_NONCE, cbor2.dumps(content, canonical=True), _ASSOCIATED)


def open_element(
    element: bytes, restore_key: bytes, shape: tuple[int, int, int, int]
) -> tuple[Facts, NDArray[np.int32]]:
    """Facts and change.

    Raises SealBroken when the element was changed, or belongs to another object.
    """
    try:
        content = cbor2.loads(_cipher(restore_key).decrypt(_NONCE, element, _ASSOCIATED))
        if not isinstance(content, dict):
            raise ValueError("the content is no map")
        return _facts(content), _change(content, shape)
    except InvalidTag as error:
        raise SealBroken("the restoring element does not open", check=CHECK) from error
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SealBroken("the restoring element is malformed", check=CHECK) from error


def _change(content: dict[int, Any], shape: tuple[int, int, int, int]) -> NDArray[np.int32]:
    """Cover minus container, of an image of this shape. No more memory is allocated than such an image needs.

    Raises ValueError or KeyError when the content is malformed.
    """
    frames = content[7]
    if type(frames) is not int or not 0 <= frames <= shape[0]:
        raise ValueError("the change covers other frames than there are")
    covered = (frames, *shape[1:])
    change = residual.decode(content[8], covered)
    if not content.keys() & {9, 10, 11}:
        return change
    stored, samples = content[9], content[11]
    if not (
        isinstance(stored, bytes)
        and isinstance(samples, list)
        and all(type(sample) is int for sample in samples)
    ):
        raise ValueError("the synthesis has wrong types")
    decoded = amplitudes.decode(stored, frames, cells_of(1, *shape[1:3]))
    synthesis = Synthesis(decoded, content[10], tuple(samples))
    return change - synthesis.change(covered)


def _lengthened(amplitude_map: NDArray[np.int16], count: int) -> NDArray[np.int16]:
    return np.pad(amplitude_map, ((0, count - len(amplitude_map)), (0, 0)))


def _facts(content: dict[int, Any]) -> Facts:
    """The facts. Every type is checked, because whoever has the recipient's public key can make such an element."""
    added, replaced = content[4], content[5]
    if not (
        isinstance(content[1], bytes)
        and isinstance(content[3], str)
        and isinstance(content[6], str)
        and all(isinstance(tag, int) for tag in added)
        and all(isinstance(tag, int) and isinstance(value, bytes) for tag, value in replaced.items())
    ):
        raise ValueError("the facts have wrong types")
    return Facts(
        original_digest=content[1],
        high_bits=HighBits(content[2]),
        transfer_syntax=content[3],
        added=tuple(added),
        replaced=replaced,
        sop_instance_uid=content[6],
    )


def undo(container: NDArray[Any], change: NDArray[np.int32], facts: Facts) -> Pixels:
    """The original pixels, in integer arithmetic only. The caller must still compare their digest."""
    original = container.copy()
    leading = original[: len(change)]
    leading[...] = (leading.astype(np.int64) + change).astype(container.dtype)
    return Pixels(original, facts.high_bits)


def _cipher(restore_key: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(blake3(restore_key, derive_key_context=_KEY_CONTEXT).digest())
