"""Pixel data comes back from every lossless syntax in every layout."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dicom import compressed
from gateway.dicom.image import (
    HighBits,
    PixelFormat,
    Pixels,
    from_native,
    pixel_format,
    to_native,
    words_of,
)
from gateway.dicom.part10 import (
    read,
)
from gateway.dicom.pixels import (
    decode,
    transcode,
)
from gateway.dicom.syntaxes import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, TABLE, syntax_of
from gateway.errors import UnsupportedPixels
from tests.support import objects
from tests.support.data import SHIPPED, collection, shipped

Layout = tuple[int, int, bool, int, str]

LAYOUTS: list[Layout] = [  # allocated, stored, signed, samples, photometric
    (8, 8, False, 1, "MONOCHROME2"),
    (8, 8, True, 1, "MONOCHROME2"),
    (8, 8, False, 3, "RGB"),
    (8, 8, False, 3, "YBR_FULL"),
    (8, 8, False, 3, "YBR_RCT"),
    (16, 8, False, 1, "MONOCHROME2"),
    (16, 10, False, 1, "MONOCHROME1"),
    (16, 12, False, 1, "MONOCHROME2"),
    (16, 12, True, 1, "MONOCHROME2"),
    (16, 15, True, 1, "MONOCHROME2"),
    (16, 16, False, 1, "MONOCHROME2"),
    (16, 16, True, 1, "MONOCHROME2"),
    (16, 12, False, 3, "RGB"),
]
TARGETS = sorted(row.uid for row in TABLE.values() if row.lossless and row.encoder)
ENCODABLE = sorted(row.uid for row in TABLE.values() if row.encoder and not row.native)


def layout(
    shape: tuple[int, int, int],
    allocated: int,
    stored: int,
    signed: bool,
    samples: int,
    photometric: str,
    planar: int = 0,
) -> PixelFormat:
    frames, rows, columns = shape
    return PixelFormat(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1,
        signed=signed,
        planar=planar,
        photometric=photometric,
    )


def noise(shape: PixelFormat, seed: int) -> np.ndarray:
    low, high = (-(1 << shape.stored - 1), 1 << shape.stored - 1) if shape.signed else (0, 1 << shape.stored)
    kind = "i" if shape.signed else "u"
    return (
        np.random.default_rng(seed).integers(low, high, shape.shape).astype(f"{kind}{shape.allocated // 8}")
    )


@pytest.mark.parametrize("syntax", ENCODABLE)
@pytest.mark.parametrize("kind", LAYOUTS, ids=lambda kind: "-".join(map(str, kind)))
@pytest.mark.parametrize("size", [(33, 51), (16, 17)], ids=str)
def test_a_frame_comes_back_from_every_encoder(syntax: str, kind: Layout, size: tuple[int, int]) -> None:
    shape = layout((1, *size), *kind)
    samples = noise(shape, 3)[0]
    words = words_of(Pixels(samples, HighBits.SIGN), shape) if syntax_of(syntax).whole_words else samples
    back = compressed.decode(compressed.encode(words, syntax, shape), syntax, shape)
    assert back.samples.dtype == samples.dtype
    assert np.array_equal(back.samples, samples)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LAYOUTS),
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1),
)
def test_native_pixel_data_comes_back(
    kind: Layout, size: tuple[int, int, int], little: bool, wide: bool, planar: int
) -> None:
    shape = layout(size, *kind, planar)
    value = to_native(Pixels(noise(shape, 9), HighBits.SIGN), shape, little=little, wide_words=wide)
    pixels = from_native(value, shape, little=little, wide_words=wide)
    assert np.array_equal(pixels.samples, noise(shape, 9))
    assert to_native(pixels, shape, little=little, wide_words=wide) == value


@pytest.mark.parametrize("fill", [HighBits.SIGN, HighBits.ZERO])
def test_the_bits_above_bits_stored_are_kept_as_they_were(fill: HighBits) -> None:
    shape = layout((1, 20, 20), 16, 12, True, 1, "MONOCHROME2")
    value = to_native(Pixels(noise(shape, 1), fill), shape, little=True, wide_words=True)
    pixels = from_native(value, shape, little=True, wide_words=True)
    assert pixels.high_bits is fill
    assert to_native(pixels, shape, little=True, wide_words=True) == value


def test_other_bits_above_bits_stored_are_noticed() -> None:
    shape = layout((1, 4, 4), 16, 12, False, 1, "MONOCHROME2")
    assert from_native(b"\0\x80" * 16, shape, little=True, wide_words=True).high_bits is HighBits.OTHER


def test_pixel_data_shorter_than_declared_is_refused() -> None:
    shape = layout((1, 4, 4), 16, 12, False, 1, "MONOCHROME2")
    with pytest.raises(UnsupportedPixels, match="shorter"):
        from_native(bytes(31), shape, little=True, wide_words=True)


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded() -> None:
    large, small = (layout((1, size, size), 8, 8, False, 1, "MONOCHROME2") for size in (64, 32))
    for syntax in set(ENCODABLE) - {"1.2.840.10008.1.2.5"}:  # an RLE codestream does not tell its size
        with pytest.raises(UnsupportedPixels):
            compressed.decode(compressed.encode(noise(large, 0)[0], syntax, large), syntax, small)


@pytest.mark.parametrize("syntax", ENCODABLE)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_codestreams_end_in_pixels_or_an_error_of_ours(syntax: str, data: st.DataObject) -> None:
    shape = layout((1, 16, 16), 16, 12, False, 1, "MONOCHROME2")
    codestream = bytearray(compressed.encode(noise(shape, 2)[0], syntax, shape))
    for _ in range(3):
        codestream[data.draw(st.integers(0, len(codestream) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert compressed.decode(bytes(codestream), syntax, shape).samples.shape == (16, 16, 1)
    except UnsupportedPixels:
        return


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("build", [objects.ct, objects.signed_ct, objects.fundus, objects.multi_frame])
def test_every_lossless_syntax_holds_the_same_pixels(target: str, build: Callable[..., bytes]) -> None:
    data = build(rows=40, columns=56)
    there = transcode(data, target)
    assert read(there).transfer_syntax == target
    assert np.array_equal(samples(there), samples(data))
    assert np.array_equal(samples(transcode(there, EXPLICIT_VR_LE)), samples(data))
    shown = pydicom.dcmread(io.BytesIO(there))
    assert shown.file_meta.TransferSyntaxUID == target
    assert shown.PatientName == "Müller^Élise"


@pytest.mark.parametrize("target", [IMPLICIT_VR_LE, EXPLICIT_VR_BE])
def test_elements_come_back_from_another_encoding_byte_for_byte(target: str) -> None:
    for data in (objects.ct(rows=32, columns=32), objects.report()):
        back = transcode(transcode(data, target), EXPLICIT_VR_LE)
        assert pydicom.dcmread(io.BytesIO(back)) == pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("path", [shipped(name) for name in SHIPPED], ids=lambda path: path.name)
def test_files_of_pydicom_survive_every_native_syntax(path: Path) -> None:
    data = path.read_bytes()
    before = pydicom.dcmread(io.BytesIO(data))
    for target in (IMPLICIT_VR_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE):
        after = pydicom.dcmread(io.BytesIO(transcode(data, target)))
        assert after.get("PatientName") == before.get("PatientName")
        if "PixelData" in before and syntax_of(read(data).transfer_syntax).native:
            assert np.array_equal(after.pixel_array, before.pixel_array)


def test_a_lossy_object_is_not_transcoded() -> None:
    file = read(objects.ct(rows=32, columns=32))
    lossy = file.edited({}, syntax="1.2.840.10008.1.2.4.50")
    with pytest.raises(UnsupportedPixels, match="no lossless way"):
        transcode(lossy, EXPLICIT_VR_LE)


COMPRESSED = [
    path
    for folder in ("rle", "jpegls_80", "j2k_lossless_90", "jpeg_lossless_70", "jpeg_lossless_57", "htj2k_201")
    for path in collection(f"transfer_syntaxes/{folder}/*.dcm")
    if path.stat().st_size < 400_000
][::4]


def test_frames_of_real_files_are_decoded_and_encoded_again_without_loss() -> None:
    for path in COMPRESSED:
        data = path.read_bytes()
        before = samples(data)
        assert np.array_equal(samples(transcode(data, EXPLICIT_VR_LE)), before), path.name


def samples(data: bytes) -> np.ndarray:
    file = read(data)
    return decode(file, pixel_format(file)).samples
