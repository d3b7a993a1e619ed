"""The payload out of the pixels, for `fidelity-v2` and `robust-v2` (CODEC.md); the network itself is the caller's."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.second_reader.dicom import SPECIFICATION
from tests.second_reader.undo import mix, permute

Floats = NDArray[np.float32]
Network = Callable[[Floats], Floats]  # cells, (N, 64), divided by the unit -> logits, (N, 16)

LIFTS = [*range(16, 128, 4), *range(128, 705, 16)]
LENGTHS = [5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128]
# Section 4: for each row of the table four pairs of column and shift.
SHIFTS = [
    [tuple(map(int, pair.split(", "))) for pair in row.strip(" |").split(" | ")[1:]]
    for row in re.findall(
        r"^\| \d+ \| .*, .*$", (SPECIFICATION / "codec" / "CODEC.md").read_text(), re.MULTILINE
    )
]
HADAMARD = np.array([[1 - 2 * ((i & r).bit_count() % 2) for i in range(256)] for r in range(256)], np.float32)


def stream(seed: int, count: int) -> NDArray[np.uint8]:
    words = b"".join(mix(seed + n).to_bytes(8, "big") for n in range(-(-count // 64)))
    return np.unpackbits(np.frombuffer(words, np.uint8))[:count]


MASKS = 1 - 2 * stream(0x5EA16A7E00030000, 3 * 1024).reshape(3, 1024).astype(np.float32)


def reveal(values: NDArray[Any], network: Network, *, robust: bool) -> bytes | None:
    """values: (frames, rows, columns, samples)."""
    numbers = sorted(range(-128, 577, 16), key=abs) if robust else range(0, 385, 64)
    planes = [values[..., 0].astype(np.float32)]
    if values.shape[3] == 3:
        luma = values.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        planes.insert(0, luma if robust else values[..., 1].astype(np.float32))
    for plane, samples in zip(planes, [values, values[..., :1]][-len(planes) :], strict=True):
        limits = float(samples.min()), float(samples.max())
        count = 1
        while True:
            cells = _cells(plane[:count])
            for number in numbers:
                unit = 2 ** (number / 64)
                usable = _usable(cells, unit, limits, robust=robust)
                if (found := _read((cells - cells[:, :1]) / unit, usable, network)) is not None:
                    return found
            if count >= len(plane):
                break
            count = min(2 * count, len(plane))
    return None


def _cells(plane: Floats) -> Floats:
    frames, rows, columns = plane.shape
    whole = plane[:, : rows // 8 * 8, : columns // 8 * 8].reshape(frames, rows // 8, 8, columns // 8, 8)
    return whole.transpose(0, 1, 3, 2, 4).reshape(-1, 64)


def _usable(cells: Floats, unit: float, limits: tuple[float, float], *, robust: bool) -> NDArray[np.bool_]:
    usable: NDArray[np.bool_] = (cells != cells[:, :1]).any(axis=1)
    if robust:
        mean, deviation = cells.mean(axis=1), cells.std(axis=1)
        usable &= (mean - 1.5 * deviation - limits[0] >= 5 * unit) & (deviation >= 0.7 * unit)
        usable &= limits[1] - mean - 1.5 * deviation >= 5 * unit
    return usable


def _read(cells: Floats, usable: NDArray[np.bool_], network: Network) -> bytes | None:
    """Section 3 and 5: header and body at one strength."""
    count = len(cells)
    aside = 1024 if count >= 1024 else 256
    if 16 * count < aside:
        return None
    logits = network(cells) * usable[:, None]
    order = np.array([permute(i, count) for i in range(count)])

    def places(start: int, stop: int) -> Floats:
        group, j = np.divmod(np.arange(start, stop), 4 * count)
        found: Floats = logits[order[j // 4], 4 * group + j % 4]
        return found

    for width in sorted({256, aside}):
        soft = np.clip(places(0, width), -6, 6)
        words = (soft * MASKS[:, :width]).reshape(3, -1, 256).sum(axis=1) @ HADAMARD
        mask, row = np.unravel_index(np.abs(words).argmax(), words.shape)
        rung = 512 * int(mask) + 256 * int(words[mask, row] < 0) + int(row)
        if abs(words[mask, row]) < 5 * np.sqrt((soft**2).sum()) or rung // 16 >= len(LIFTS):
            continue
        lift, length = LIFTS[rung // 16], 3 * LIFTS[rung // 16] * LENGTHS[rung % 16]
        if aside + length <= 16 * count:
            return _message(_codeword(places(aside, aside + length), lift), lift)
    return None


def _codeword(body: Floats, lift: int) -> Floats:
    sent = min(24 * lift, len(body))
    total = np.zeros(24 * lift, np.float32)
    written = np.arange(sent).reshape(4, -1).T.ravel()
    np.add.at(total, written[np.arange(len(body)) % sent], np.clip(body, -16, 16))
    return total


def _message(soft: Floats, lift: int) -> bytes | None:
    """Section 4: the payload of a codeword, by min-sum decoding."""
    half = 12 * lift
    parity = half + np.concatenate([np.arange(half)[start::4] for start in (3, 1, 2, 0)])
    channel = np.zeros(2 * half + 1, np.float32)
    channel[:half], channel[parity], channel[-1] = soft[:half], soft[half:], 1e9
    z = np.arange(lift)
    edges = np.array([[lift * column + (z + shift) % lift for column, shift in row] for row in SHIFTS])
    message = edges.transpose(2, 0, 1).reshape(half, 4)
    sums = half + np.arange(half)
    checks = np.column_stack([message, sums, np.concatenate([[2 * half], sums[:-1]])])
    told = np.zeros(checks.shape, np.float32)
    for _ in range(50):
        total = channel + np.bincount(checks.ravel(), told.ravel(), 2 * half + 1).astype(np.float32)
        bits = total < 0
        if not np.logical_xor.reduce(bits[checks], axis=1).any():
            return _payload(bits[:half].astype(np.uint8))
        heard = total[checks] - told
        least = np.sort(np.abs(heard), axis=1)
        size = np.where(np.abs(heard) == least[:, :1], least[:, 1:2], least[:, :1])
        odd = np.logical_xor.reduce(heard < 0, axis=1)[:, None] ^ (heard < 0)
        told = np.where(odd, -0.8, 0.8).astype(np.float32) * size
    return None


def _payload(bits: NDArray[np.uint8]) -> bytes | None:
    data = np.packbits(bits ^ stream(0x5EA16A7E00000002, len(bits))).tobytes()
    end = 2 + int.from_bytes(data[:2], "big")
    right = end <= 1002 and zlib.crc32(data[:end]).to_bytes(4, "big") == data[end : end + 4]
    return data[2:end] if right and not any(data[end + 4 :]) else None
