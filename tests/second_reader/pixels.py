"""Pixel values, and what is computed from them: digests, tiles, likeness (FORMAT.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from tests.second_reader import dicom
from tests.second_reader.cbor import Malformed
from tests.second_reader.dicom import NATIVE, PIXEL_DATA, File


class CannotDecode(ValueError):
    """This reader does not decode the pixel data; nothing is known of it."""


@dataclass(frozen=True)
class Image:
    """values: (frames, rows, columns, samples), with the sign; depth: 1 .. 32. above: the bits above the depth are
    "zero", repeat the "sign", or are in use ("other"): then there is no digest."""

    values: NDArray[Any]
    depth: int
    signed: bool
    above: str
    photometric: str

    def raw(self, values: NDArray[Any] | None = None) -> bytes:
        size = 1 if self.depth <= 8 else 2 if self.depth <= 16 else 4
        code = f"<{'i' if self.signed else 'u'}{size}"
        return (self.values if values is None else values).astype(code).tobytes()


def image(file: File) -> Image:
    """Raises CannotDecode, and Malformed for pixel data that is not as described."""
    rows, columns, samples, allocated, stored, high = _description(file)
    element = file.elements.get(PIXEL_DATA)
    if element is None:
        raise Malformed("no pixel data")
    count = dicom.frame_count(file)
    photometric = file.text(0x00280004)
    if photometric.endswith(("_422", "_420")) and not element.undefined:
        raise CannotDecode("subsampled native pixel data")
    if count is None:
        raise Malformed("Number of Frames")
    shape = (count, rows, columns, samples)
    if element.undefined:
        if file.syntax in NATIVE:
            raise Malformed("encapsulated pixel data in a native transfer syntax")
        if file.syntax != dicom.RLE:
            raise CannotDecode(f"transfer syntax {file.syntax}")
        values = _rle(dicom.frames(file) or [], shape, allocated)
    else:
        values = _native(file, shape, allocated)
    depth = stored if high == stored - 1 else allocated
    signed = file.number(0x00280103) == 1
    return _image(values, depth, allocated, signed, photometric)


def _description(file: File) -> tuple[int, int, int, int, int, int]:
    tags = (0x00280010, 0x00280011, 0x00280002, 0x00280100, 0x00280101, 0x00280102)
    rows, columns, samples, allocated, stored, high = (file.number(tag) for tag in tags)
    if not rows or not columns or not allocated or not stored or high is None:
        raise Malformed("no description of the pixels")
    if allocated not in (1, 8, 16, 32) or stored > allocated:
        raise CannotDecode(f"{allocated} bits allocated, {stored} stored")
    return rows, columns, samples or 1, allocated, stored, high


def _image(raw: NDArray[Any], depth: int, allocated: int, signed: bool, photometric: str) -> Image:
    values = raw.astype(np.int64)
    low, above = values & ((1 << depth) - 1), values >> depth
    sign = (low >> (depth - 1)) & 1 if signed else np.zeros_like(low)
    kind = "zero"
    if above.any():
        kind = "sign" if np.array_equal(above, sign * ((1 << allocated - depth) - 1)) else "other"
    return Image(low - (sign << depth), depth, signed, kind, photometric)


def _native(file: File, shape: tuple[int, int, int, int], allocated: int) -> NDArray[Any]:
    element = file.elements[PIXEL_DATA]
    count = int(np.prod(shape))
    if len(element.body) < (count * allocated + 7) // 8:
        raise Malformed("native pixel data of another length than described")
    if allocated == 1:
        data = np.frombuffer(element.little(), np.uint8)
        return np.unpackbits(data, bitorder="little")[:count].reshape(shape)
    big = file.encoding.big
    body = element.body
    if allocated == 8 and big and element.vr == "OW":
        body = element.little(2)
    values = np.frombuffer(body, f"{'>' if big else '<'}u{allocated // 8}", count)
    return _arranged(values, shape, file.number(0x00280006) == 1)


def _arranged(values: NDArray[Any], shape: tuple[int, int, int, int], planes: bool) -> NDArray[Any]:
    frames, rows, columns, samples = shape
    if planes and samples > 1:
        return values.reshape(frames, samples, rows, columns).transpose(0, 2, 3, 1)
    return values.reshape(shape)


def _rle(frames: list[bytes], shape: tuple[int, int, int, int], allocated: int) -> NDArray[Any]:
    """PS3.5 annex G: segments are the bytes of each sample, most significant first."""
    count, rows, columns, samples = shape
    size = max(1, allocated // 8)
    if len(frames) != count:
        raise Malformed("RLE: frames")
    out = np.zeros((count, rows, columns, samples), np.int64)
    for number, frame in enumerate(frames):
        if len(frame) < 64:
            raise Malformed("RLE: header")
        segments, *offsets = struct.unpack("<16I", frame[:64])
        if segments != samples * size:
            raise Malformed("RLE: segments")
        for i in range(segments):
            end = offsets[i + 1] if i + 1 < segments else len(frame)
            plane = _unpacked(frame[offsets[i] : end], rows * columns).reshape(rows, columns)
            shift = 8 * (size - 1 - i % size)
            out[number, :, :, i // size] |= plane.astype(np.int64) << shift
    return out


def _unpacked(data: bytes, length: int) -> NDArray[np.uint8]:
    out, at = bytearray(), 0
    while len(out) < length and at + 1 < len(data):
        n = data[at]
        if n < 128:
            out += data[at + 1 : at + 2 + n]
            at += n + 2
        else:
            out += data[at + 1 : at + 2] * (257 - n) if n > 128 else b""
            at += 2 if n > 128 else 1
    if len(out) < length or at + 1 < len(data):
        raise Malformed("RLE: another length")
    return np.frombuffer(bytes(out[:length]), np.uint8)


def digest(picture: Image) -> bytes | None:
    """Domain `pixels`; None where bits above the depth are in use."""
    if picture.above == "other":
        return None
    shape = struct.pack("<4I", *picture.values.shape) + bytes([picture.depth, picture.signed])
    return blake3(b"sealgate pixels v1\0" + shape + picture.raw()).digest()


def tiles(picture: Image, edge: int) -> dict[tuple[int, int, int], bytes]:
    """The digest of each tile by frame, row and column of its first pixel."""
    count, rows, columns, _ = picture.values.shape
    found = {}
    for at in (
        (f, r, c) for f in range(count) for r in range(0, rows, edge) for c in range(0, columns, edge)
    ):
        part = _tile(picture, at, edge)
        place = struct.pack("<5I", *at, *part.shape[:2])
        found[at] = blake3(b"sealgate tile v1\0" + place + picture.raw(part)).digest(4)
    return found


def _tile(picture: Image, at: tuple[int, int, int], edge: int) -> NDArray[Any]:
    frame, row, column = at
    part: NDArray[Any] = picture.values[frame, row : row + edge, column : column + edge]
    return part


def tiles_changed(picture: Image, edge: int, stated: bytes) -> tuple[int, int]:
    """How many tiles changed, and how many have content: values that are not all equal. Nothing where the shape is
    another."""
    found = tiles(picture, edge)
    if 4 * len(found) != len(stated):
        return 0, 0
    changed = content = 0
    for number, (at, tile) in enumerate(found.items()):
        part = _tile(picture, at, edge)
        content += bool(part.min() != part.max())
        changed += stated[4 * number : 4 * number + 4] != tile
    return changed, content


def fragments_digest(file: File, version: int) -> bytes | None:
    """Domain `fragments`; None where there is nothing to be digested, or not in one way."""
    element = file.elements.get(PIXEL_DATA)
    if element is None:
        return None
    if version == 1:
        parts = [element.body] if element.fragments is None else element.fragments[1:]
        return blake3(b"sealgate fragments v1\0" + b"".join(parts)).digest()
    numbers = (0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103)
    words = [str(-1 if (n := file.number(tag)) is None else n) for tag in numbers]
    if element.fragments is None:
        word = 4 if (file.number(0x00280100) or 0) > 16 else 2
        frames: list[bytes] | None = [element.body if element.vr == "OB" else element.little(word)]
        syntax = "native"
    else:
        frames, syntax = dicom.frames(file), file.syntax or ""
    if frames is None:
        return None
    layout = " ".join([syntax, file.text(0x00280004), file.text(0x00280008) or "1", *words])
    content = b"".join(len(frame).to_bytes(8, "little") + frame for frame in frames)
    return blake3(
        b"sealgate fragments v2\0" + layout.encode() + b"\0" + len(frames).to_bytes(4, "little") + content
    ).digest()


def _likeness_pairs(picture: Image, key: bytes) -> list[tuple[bool, bool]] | None:
    """Of each pair its bit, and whether it is decided; None for an image under 16 rows or columns."""
    count, rows, columns, _ = picture.values.shape
    if rows < 16 or columns < 16:
        return None
    n = min(count, 8)
    frames = picture.values[[i * count // n for i in range(n)]]
    if picture.photometric.startswith("YBR"):
        frames = frames[..., :1]
    total = frames.sum(axis=(0, 3), dtype=np.int64)
    down, across = ([i * size // 16 for i in range(17)] for size in (rows, columns))
    grid = [[0] * 16 for _ in range(16)]
    for r in range(16):
        for c in range(16):
            block = total[down[r] : down[r + 1], across[c] : across[c + 1]]
            mean = 256 * int(block.sum()) // block.size
            grid[r][c] = -mean if picture.photometric == "MONOCHROME1" else mean
    flat = [value for line in grid for value in line]
    threshold = max(1, (max(flat) - min(flat)) // 64)
    stream = blake3(key, derive_key_context="sealgate likeness key v1").digest(128)
    pairs = []
    for p, q in zip(stream[::2], stream[1::2], strict=True):
        row, column, k = p // 16, p % 16, q % 48
        k += k >= 24
        other = [a + s if 0 <= a + s < 16 else a - s for a, s in ((row, k // 7 - 3), (column, k % 7 - 3))]
        first, second = grid[row][column], grid[other[0]][other[1]]
        pairs.append((first > second, abs(first - second) > threshold))
    return pairs


def likeness(picture: Image, key: bytes) -> bytes | None:
    pairs = _likeness_pairs(picture, key)
    if pairs is None or sum(decided for _, decided in pairs) < 16:
        return None
    return int("".join("01"[bit] for bit, _ in pairs), 2).to_bytes(8, "big")


def is_like(picture: Image, key: bytes, stated: bytes) -> bool:
    """Check 10. An image in colour is taken by its first sample and by all, and may be alike either way."""
    if picture.values.shape[3] == 3:
        return any(_is_like(replace(picture, photometric=name), key, stated) for name in ("RGB", "YBR_FULL"))
    return _is_like(picture, key, stated)


def _is_like(picture: Image, key: bytes, stated: bytes) -> bool:
    pairs = _likeness_pairs(picture, key) or []
    bits = [stated[i // 8] >> (7 - i % 8) & 1 for i in range(64)]
    decided = [bit != wanted for (bit, sure), wanted in zip(pairs, bits, strict=False) if sure]
    return len(decided) >= 8 and 8 * sum(decided) <= len(decided)


def _stored(file: File, picture: Image, values: NDArray[Any], above: str) -> tuple[NDArray[Any], int]:
    """The words with their bits above the depth, and how many bits one has."""
    allocated = _description(file)[3]
    return values & ((1 << (allocated if above == "sign" else picture.depth)) - 1), allocated


def native_bytes(
    file: File, picture: Image, values: NDArray[Any], above: str, big: bool, words: bool
) -> bytes:
    """`values` as native Pixel Data, arranged as `file` says, with the pad byte. words: bytes go as words, in OW."""
    stored, allocated = _stored(file, picture, values, above)
    if allocated == 1:
        return np.packbits(stored.astype(np.uint8), bitorder="little").tobytes()
    if values.shape[3] > 1 and file.number(0x00280006) == 1:
        stored = stored.transpose(0, 3, 1, 2)
    raw = stored.astype(f"{'>' if big else '<'}u{allocated // 8}").tobytes()
    raw += b"\0" * (len(raw) % 2)
    return dicom.swapped(raw, 2) if words and allocated == 8 else raw


def rle_bytes(file: File, picture: Image, values: NDArray[Any], above: str) -> bytes:
    """`values` in RLE: right, but not the bytes of another encoder."""
    stored, allocated = _stored(file, picture, values, above)
    frames = [b""]
    for frame in stored:
        segments = []
        for sample in range(frame.shape[2]):
            for shift in range(allocated - 8, -1, -8):
                raw = (frame[:, :, sample] >> shift & 255).astype(np.uint8).tobytes()
                runs = (raw[i : i + 128] for i in range(0, len(raw), 128))
                packed = b"".join(bytes([len(run) - 1]) + run for run in runs)
                segments.append(packed + b"\0" * (len(packed) % 2))
        starts = [64 + sum(map(len, segments[:i])) for i in range(len(segments))]
        header = struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(starts)))
        frames.append(header + b"".join(segments))
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame for frame in frames)
    return b"".join(items) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
