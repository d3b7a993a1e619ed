"""Images as objects: bit for bit, valid by dciodvfy, hostile ones refused by name."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from gateway.errors import InputError, UnreadableObject, UsageError
from gateway.images import picture
from gateway.images.picture import UnsupportedImage
from gateway.images.wrapping import JPEG_BASELINE, checked_fields, wrapped

NOW = datetime(2026, 11, 24, tzinfo=UTC)
RANDOM = np.random.default_rng(1)
GREY = RANDOM.integers(0, 256, (37, 53), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (37, 53, 3), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (37, 53), dtype=np.uint16)
SIDE = {"ImageLaterality": "L", "AcquisitionDateTime": "20261124"}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def object_of(data: bytes, kind: str = "sc", fields: dict[str, str] | None = None) -> bytes:
    count = iter(range(1, 100))
    return wrapped(
        picture.read(data), kind, fields or {}, now=NOW, entropy=lambda size: bytes([next(count)]) * size
    )[0]


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@settings(max_examples=60, deadline=None)
@given(
    values=st.one_of(
        arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))),
        arrays(np.uint16, st.tuples(st.integers(1, 20), st.integers(1, 20))),
        arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
    ),
    kind=st.sampled_from(["PNG", "TIFF"]),
)
def test_the_object_shows_the_image_bit_for_bit(values: NDArray[Any], kind: str) -> None:
    assert np.array_equal(read(object_of(saved(Image.fromarray(values), kind))).pixel_array, values)


def test_one_bit_and_palette_are_expanded_without_loss() -> None:
    bits = Image.fromarray(GREY > 99)
    assert np.array_equal(read(object_of(saved(bits, "PNG"))).pixel_array, (GREY > 99) * 255)
    palette = Image.fromarray(COLOUR).quantize(200)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(read(object_of(saved(palette, "PNG"))).pixel_array, expected)


def test_alpha_that_hides_nothing_goes_and_any_other_is_refused() -> None:
    opaque = Image.fromarray(COLOUR).convert("RGBA")
    assert np.array_equal(read(object_of(saved(opaque, "PNG"))).pixel_array, COLOUR)
    opaque.putpixel((3, 3), (1, 2, 3, 254))
    with pytest.raises(UnsupportedImage, match="transparent"):
        picture.read(saved(opaque, "PNG"))
    with pytest.raises(UnsupportedImage, match="transparent"):
        picture.read(saved(Image.fromarray(GREY), "PNG", transparency=int(GREY[0, 0])))


@pytest.mark.parametrize("values", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_baseline_jpeg_stays_compressed_as_it_is_and_says_lossy(values: NDArray[Any]) -> None:
    data = saved(Image.fromarray(values), "JPEG", quality=80, comment=b"Doe, Jane")
    dataset = read(object_of(data))
    assert dataset.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(dataset.LossyImageCompressionRatio) == pytest.approx(values.nbytes / len(data), abs=0.01)
    stream = pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(stream)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
    scan = data[data.index(b"\xff\xda") :]
    assert scan in stream
    assert b"Doe" not in stream


def test_what_is_no_baseline_jpeg_or_lies_on_its_side_is_decoded_and_stays_called_lossy() -> None:
    progressive = saved(Image.fromarray(COLOUR), "JPEG", progressive=True)
    exif = Image.Exif()
    exif[picture.ORIENTATION] = 6
    turned = saved(Image.fromarray(COLOUR), "JPEG", exif=exif)
    for data, shape in ((progressive, (37, 53, 3)), (turned, (53, 37, 3))):
        dataset = read(object_of(data))
        assert not dataset.file_meta.TransferSyntaxUID.is_encapsulated
        assert dataset.LossyImageCompression == "01"
        assert dataset.pixel_array.shape == shape


def test_a_resolution_is_a_spacing_only_of_what_was_scanned() -> None:
    data = saved(Image.fromarray(GREY), "TIFF", dpi=(254, 127))
    assert "NominalScannedPixelSpacing" not in read(object_of(data))
    assert list(read(object_of(data, fields={"ConversionType": "SD"})).NominalScannedPixelSpacing) == [
        0.2,
        0.1,
    ]


def test_pages_are_frames_and_unequal_ones_are_refused() -> None:
    pages = [Image.fromarray(GREY + number) for number in range(3)]
    dataset = read(object_of(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])))
    assert np.array_equal(dataset.pixel_array, np.stack([np.asarray(page) for page in pages]))
    other = pages[0].resize((10, 10))
    with pytest.raises(UnsupportedImage, match="pages differ"):
        picture.read(saved(pages[0], "TIFF", save_all=True, append_images=[other]))


def _three(values: NDArray[Any]) -> bytes:
    image = Image.fromarray(values)
    return saved(image, "TIFF", save_all=True, append_images=[image, image])


VALID = {
    "sc grey": (saved(Image.fromarray(GREY), "PNG"), "sc", {}),
    "sc deep": (saved(Image.fromarray(DEEP), "PNG"), "sc", {}),
    "sc colour": (saved(Image.fromarray(COLOUR), "PNG"), "sc", {}),
    "sc jpeg": (saved(Image.fromarray(COLOUR), "JPEG"), "sc", {}),
    "sc scanned": (saved(Image.fromarray(GREY), "TIFF", dpi=(300, 300)), "sc", {"ConversionType": "SD"}),
    "sc pages grey": (_three(GREY), "sc", {}),
    "sc pages deep": (_three(DEEP), "sc", {}),
    "sc pages colour": (_three(COLOUR), "sc", {}),
    "op grey": (saved(Image.fromarray(GREY), "PNG"), "op", SIDE),
    "op deep": (saved(Image.fromarray(DEEP), "PNG"), "op", SIDE),
    "op colour": (saved(Image.fromarray(COLOUR), "PNG"), "op", SIDE),
    "op jpeg": (saved(Image.fromarray(COLOUR), "JPEG"), "op", SIDE),
}


@pytest.mark.parametrize("name", sorted(VALID))
def test_the_object_is_valid_of_its_class(name: str, tmp_path: Path) -> None:
    data, kind, fields = VALID[name]
    path = tmp_path / "object.dcm"
    path.write_bytes(object_of(data, kind, fields | {"PatientID": "4711", "PatientName": "Müller^Élise"}))
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert (errors, done.returncode) == ([], 0)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")
    with pytest.raises(UnsupportedImage, match="pixels"):
        picture.read(bomb)


def test_sixteen_bits_of_colour_are_refused_rather_than_halved() -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(bytes(7)))
    with pytest.raises(UnsupportedImage, match="16 bits"):
        picture.read(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + data + _chunk(b"IEND", b""))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_truncated_image_is_an_error_with_a_hint(kind: str) -> None:
    data = saved(Image.fromarray(COLOUR), kind)
    for length in range(0, len(data) - 20, 97):
        with pytest.raises(InputError) as caught:
            picture.read(data[:length])
        assert caught.value.hint


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF"]),
    at=st.integers(0, 10**6),
    value=st.binary(min_size=1, max_size=4),
)
def test_a_damaged_image_is_read_or_refused_and_nothing_else(kind: str, at: int, value: bytes) -> None:
    data = bytearray(saved(Image.fromarray(COLOUR), kind))
    at %= len(data)
    data[at : at + len(value)] = value
    try:
        picture.read(bytes(data))
    except (UnreadableObject, UnsupportedImage):
        return


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("PatientNam=x", "PatientNam"),
        ("PatientBirthDate=yesterday", "PatientBirthDate"),
        ("Rows=3", "Rows"),
        ("SOPClassUID=1.2", "SOPClassUID"),
        ("ImageType=A", "ImageType"),
        ("PixelSpacing=1", "PixelSpacing"),
        ("AnatomicRegionSequence=1", "AnatomicRegionSequence"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it_and_not_its_value(given: str, named: str) -> None:
    with pytest.raises(UsageError, match=f"--field {named}:") as caught:
        checked_fields((given,))
    assert "yesterday" not in str(caught.value)


@pytest.mark.parametrize("missing", sorted(SIDE))
def test_ophthalmic_photographs_need_their_side_and_time(missing: str) -> None:
    fields = {keyword: value for keyword, value in SIDE.items() if keyword != missing}
    with pytest.raises(UsageError, match=missing):
        object_of(saved(Image.fromarray(GREY), "PNG"), "op", fields)
