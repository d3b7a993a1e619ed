"""Objects that are wrong on purpose: elements that contradict each other, bombs, endless nesting, plain damage.

Each is a Part 10 file under a SOP Instance UID of its own, so that nothing is answered from the ledger.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.support import objects
from tests.support.modality import Parcel, parcel

CHARACTER_SETS = (
    "ISO 2022 IR 87",
    "ISO_IR 999",
    "\\ISO 2022 IR 149",
    "GB18030",
    "ISO 2022 IR 6\\" * 40,
    "",
    "\x1b$B",
)
BOMB_BYTES = 256 << 20

Spoil = Callable[[random.Random, Dataset], None]


def hostile(rng: random.Random, sources: Sequence[bytes], number: int) -> Parcel:
    """One object; `number` makes its UID. sources: files to begin with, sealed ones among them."""
    sop_instance = objects.uid("hostile", number)
    if rng.random() < 0.25:
        made = rng.choice(BUILT)(rng, sop_instance)
    else:
        made = _spoilt(rng, rng.choice(sources), sop_instance)
    if rng.random() < 0.4:
        made = Parcel(made.sop_class, made.sop_instance, made.syntax, _damaged(rng, made.dataset))
    return made


def _spoilt(rng: random.Random, source: bytes, sop_instance: str) -> Parcel:
    """A real object with one to three elements that are wrong; when that can't be written, with damaged bytes."""
    whole = parcel(source, fallback_uid=sop_instance)
    whole = Parcel(whole.sop_class, sop_instance, whole.syntax, whole.dataset)
    try:
        dataset = dcmread(io.BytesIO(source))
        dataset.SOPInstanceUID = sop_instance
        for _ in range(rng.randint(0, 3)):
            rng.choice(SPOILS)(rng, dataset)
        out = io.BytesIO()
        dataset.save_as(out)
        return parcel(out.getvalue(), fallback_uid=sop_instance)
    except Exception:  # noqa: BLE001 - pydicom refuses in many ways to write what is wrong enough
        return Parcel(whole.sop_class, sop_instance, whole.syntax, _damaged(rng, whole.dataset))


# -- elements that contradict each other


def _size(rng: random.Random, dataset: Dataset) -> None:
    name = rng.choice(("Rows", "Columns"))
    setattr(dataset, name, rng.choice((0, 1, 7, 65_535)))


def _frames(rng: random.Random, dataset: Dataset) -> None:
    dataset.NumberOfFrames = rng.choice((0, -1, 2, 100_000, 2**31 - 1))


def _bits(rng: random.Random, dataset: Dataset) -> None:
    dataset.BitsAllocated = rng.choice((0, 1, 8, 12, 16, 32, 64, 65_535))
    dataset.BitsStored, dataset.HighBit = rng.choice((0, 1, 16, 17, 65_535)), rng.choice((0, 15, 40))


def _samples(rng: random.Random, dataset: Dataset) -> None:
    dataset.SamplesPerPixel = rng.choice((0, 1, 2, 3, 4, 65_535))
    dataset.PhotometricInterpretation = rng.choice(("RGB", "YBR_FULL_422", "PALETTE COLOR", "NONSENSE", ""))
    dataset.PlanarConfiguration = rng.choice((0, 1, 9))


def _character_set(rng: random.Random, dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = rng.choice(CHARACTER_SETS)
    dataset.add_new(0x00104000, "LT", rng.randbytes(40).decode("latin-1"))


def _long_values(rng: random.Random, dataset: Dataset) -> None:
    text = rng.choice(
        ("X" * 70_000, "^" * 3000, "\\" * 3000, "\x00\x01\x7f\x1b[2J", "../../../etc/passwd", "'; --")
    )
    for keyword in rng.sample(("PatientID", "PatientName", "AccessionNumber", "StudyID", "Modality"), 3):
        setattr(dataset, keyword, text)


def _window(rng: random.Random, dataset: Dataset) -> None:
    dataset.add_new(0x00281050, "DS", rng.choice(("nan", "1e999", "-0", "x", "1\\2\\3")))
    dataset.add_new(0x00281051, "DS", rng.choice(("0", "-1", "1e-300", "", "inf")))


def _codestream(rng: random.Random, dataset: Dataset) -> None:
    """Sizes inside the codestream, or the beginning of it."""
    pixels = bytearray(dataset.PixelData)
    for _ in range(rng.randint(1, 6)):
        pixels[rng.randrange(min(len(pixels), 200))] = rng.choice((0, 1, 0x7F, 0xFF))
    dataset.PixelData = bytes(pixels)


def _shorter(rng: random.Random, dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[: rng.choice((0, 2, 100, len(dataset.PixelData) // 2 * 2))]


def _foreign_block(rng: random.Random, dataset: Dataset) -> None:
    """Elements under our private creator that we never wrote, in one block or in several."""
    for _ in range(rng.randint(1, 3)):
        block = dataset.private_block(0x0071, "SEALGATE", create=True)
        for number in rng.sample(range(256), 5):
            size = rng.choice((0, 2, 32, 64, 500, 100_000))
            block.add_new(number, rng.choice(("OB", "UN", "LO")), rng.randbytes(size))


def _damaged_block(rng: random.Random, dataset: Dataset) -> None:
    """Of a sealed object: each element of the block may be changed, shortened, doubled or exchanged."""
    elements = [
        element for element in dataset if element.tag.group == 0x0071 and element.tag.element >= 0x1000
    ]
    for element in elements:
        if not isinstance(element.value, bytes) or rng.random() < 0.5:
            continue
        value = bytearray(element.value)
        match rng.randrange(4):
            case 0:
                value[rng.randrange(len(value)) :] = b""
            case 1:
                value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
            case 2:
                value += value
            case _:
                value = bytearray(rng.choice(elements).value or b"")
        element.value = bytes(value)


def _remove(rng: random.Random, dataset: Dataset) -> None:
    del dataset[rng.choice(list(dataset.keys()))]


SPOILS: tuple[Spoil, ...] = (
    _size, _frames, _bits, _samples, _character_set, _long_values, _window, _codestream, _shorter, _foreign_block,
    _damaged_block, _damaged_block, _remove,
)  # fmt: skip


# -- objects built byte by byte


def explicit(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """An element in explicit VR little endian; `length` when it is to lie."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", size & 0xFFFF) + value


def _header(sop_instance: str) -> bytes:
    padded = sop_instance.encode() + b"\0" * (len(sop_instance) % 2)
    return explicit(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0") + explicit(0x00080018, b"UI", padded)


def _image(rows: int, columns: int, pixels: bytes, *, vr: bytes = b"OW", length: int | None = None) -> bytes:
    def us(tag: int, value: int) -> bytes:
        return explicit(tag, b"US", struct.pack("<H", value))

    return (
        us(0x00280002, 1) + explicit(0x00280004, b"CS", b"MONOCHROME2 ") + us(0x00280010, rows)
        + us(0x00280011, columns) + us(0x00280100, 16) + us(0x00280101, 16) + us(0x00280102, 15) + us(0x00280103, 0)
        + explicit(0x7FE00010, vr, pixels, length=length)
    )  # fmt: skip


def _ct(sop_instance: str, syntax: str, dataset: bytes) -> Parcel:
    return Parcel("1.2.840.10008.5.1.4.1.1.2", sop_instance, syntax, dataset)


def _nested(rng: random.Random, sop_instance: str) -> Parcel:
    """Sequences in sequences, of undefined length, closed or not."""
    depth = rng.choice((50, 1000, 20_000))
    begin = explicit(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    closed = end * depth if rng.random() < 0.7 else b""
    image = _image(64, 64, rng.randbytes(8192))
    return _ct(
        sop_instance, str(ExplicitVRLittleEndian), _header(sop_instance) + begin * depth + closed + image
    )


def _many_elements(rng: random.Random, sop_instance: str) -> Parcel:
    """Doubled tags, unsorted tags, group lengths, odd lengths; hundreds of thousands of empty elements."""
    tags = [
        rng.randrange(0x0009, 0x0070) << 16 | rng.randrange(0x10000) for _ in range(rng.choice((30, 100_000)))
    ]
    body = b"".join(explicit(tag, b"LO", b"x" * (tag % 3)) for tag in tags)
    return _ct(
        sop_instance, str(ExplicitVRLittleEndian), _header(sop_instance) + body + _image(16, 16, bytes(512))
    )


def _liar(rng: random.Random, sop_instance: str) -> Parcel:
    """Huge declared sizes over next to nothing."""
    length = rng.choice((0xFFFFFFFE, 0x7FFFFFFF, 1 << 30, None))
    image = _image(rng.choice((65_535, 30_000)), 65_535, bytes(100), length=length)
    frames = explicit(0x00280008, b"IS", rng.choice((b"2147483647", b"99999 ", b"1 ")))
    at = image.index(struct.pack("<HH", 0x0028, 0x0010))
    return _ct(
        sop_instance, str(ExplicitVRLittleEndian), _header(sop_instance) + image[:at] + frames + image[at:]
    )


def _encapsulated(rng: random.Random, sop_instance: str) -> Parcel:
    """Fragments that are no codestream, a bad offset table, RLE that grows, no end."""
    fragments = [rng.randbytes(rng.choice((0, 2, 64, 1000))) for _ in range(rng.randint(0, 4))]
    rle = struct.pack(
        "<16I", rng.choice((0, 2, 15, 0xFFFFFFFF)), *(rng.choice((64, 0, 1 << 31)) for _ in range(15))
    )
    fragments.append(rle + b"\x81\xff" * 5000)
    table = struct.pack("<3I", 0, 0xFFFFFFF0, rng.randrange(1 << 32))
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in (table, *fragments))
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if rng.random() < 0.7 else b""
    syntax = rng.choice((RLELossless, JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless))
    size = rng.choice((64, 65_535))
    image = _image(size, size, items + end, vr=b"OB", length=0xFFFFFFFF)
    return _ct(sop_instance, str(syntax), _header(sop_instance) + image)


def _jpeg_2000_bomb(rng: random.Random, sop_instance: str) -> Parcel:
    """A SIZ marker (ISO/IEC 15444-1 A.5.1) that announces a gigantic image."""
    size = rng.choice((65_535, 1 << 20, 0xFFFFFFFF))
    siz = struct.pack(">HHHIIIIIIIIH", 0xFF51, 41, 0, size, size, 0, 0, size, size, 0, 0, 1) + b"\x0f\x01\x01"
    stream = b"\xff\x4f" + siz + rng.randbytes(200)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(stream)) + stream
    image = _image(
        65_535, 65_535, items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), vr=b"OB", length=0xFFFFFFFF
    )
    return _ct(sop_instance, str(JPEG2000Lossless), _header(sop_instance) + image)


def _deflated_bomb(rng: random.Random, sop_instance: str) -> Parcel:
    """PS3.5 A.5: a few hundred kilobytes that inflate to a quarter of a gigabyte and more."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = _header(sop_instance) + _image(16, 16, b"", length=BOMB_BYTES)
    pieces = [deflate.compress(head)]
    pieces += [deflate.compress(bytes(1 << 20)) for _ in range((BOMB_BYTES >> 20) * rng.choice((1, 4)))]
    return _ct(sop_instance, str(DeflatedExplicitVRLittleEndian), b"".join(pieces) + deflate.flush())


BUILT: tuple[Callable[[random.Random, str], Parcel], ...] = (
    _nested, _many_elements, _liar, _liar, _encapsulated, _encapsulated, _jpeg_2000_bomb, _deflated_bomb,
)  # fmt: skip


def _damaged(rng: random.Random, dataset: bytes) -> bytes:
    """Bytes changed, taken out or put in, mostly in the first part; or cut off."""
    damaged = bytearray(dataset)
    if rng.random() < 0.3:
        del damaged[rng.randrange(1, len(damaged) + 1) :]
    for _ in range(rng.randint(1, 8)):
        if not damaged:
            break
        at = rng.randrange(min(len(damaged), rng.choice((300, 2000, len(damaged)))))
        match rng.randrange(4):
            case 0:
                damaged[at] = rng.randrange(256)
            case 1:
                damaged[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\xff\x7f"))
            case 2:
                del damaged[at : at + rng.randint(1, 9)]
            case _:
                damaged[at:at] = rng.randbytes(rng.randint(1, 9))
        if not damaged:
            return b"\0"
    return bytes(damaged)
