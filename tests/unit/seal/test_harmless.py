"""What archives change without harm is no difference, and what only looks harmless is one (docs/harmless.md)."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from gateway.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, encode
from gateway.dicom.image import pixel_format
from gateway.dicom.one_reading import objection
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode, transcode
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    LOSSY_IMAGE_COMPRESSION,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    RESCALE_TYPE,
)
from gateway.errors import UnsupportedPixels
from gateway.seal.header.dictionary import vrs
from gateway.seal.verifying import Report, Verdict
from tests.support import objects
from tests.support.dcmtk import run
from tests.support.desk import Desk

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG_LS, JPEG_LS_NEAR, JPEG_2000 = (
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
)
HTJ2K = "1.2.840.10008.1.2.4.201"


def with_element(data: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    file = read(data)
    return file.edited({tag: encode(tag, vr, value, file.encoding)})


def without(data: bytes, tag: int) -> bytes:
    return read(data).edited({tag: None})


def element_of(report: Report, keyword: str) -> dict[str, object]:
    return next(dict(found) for found in report.header_differences if found["keyword"] == keyword)


def test_number_of_frames_of_one_is_the_same_as_none(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.ct(rows=64, columns=64, NumberOfFrames="1"))
    assert desk.verify(without(sealed, NUMBER_OF_FRAMES)).verdict is Verdict.INTACT
    plain, _ = desk.seal(objects.ct(rows=64, columns=64))
    assert desk.verify(with_element(plain, NUMBER_OF_FRAMES, b"IS", b" 1")).verdict is Verdict.INTACT


def test_a_removed_number_of_more_frames_is_no_such_thing(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.multi_frame(frames=2))
    assert desk.verify(without(sealed, NUMBER_OF_FRAMES)).verdict is Verdict.TAMPERED


def test_an_archive_may_keep_8_bits_in_8_and_the_original_comes_back(desk: Desk) -> None:
    dataset = pydicom.dcmread(io.BytesIO(objects.mr()))
    values = (dataset.pixel_array >> 3).astype("<u2")
    dataset.BitsStored, dataset.HighBit, dataset.PixelData = 8, 7, values.tobytes()
    original = objects.as_file(dataset)
    sealed, result = desk.seal(original)
    assert result.level == "full"
    native = transcode(sealed, EXPLICIT)
    words = np.frombuffer(read(native).value(PIXEL_DATA) or b"", "<u2").astype("u1")
    narrow = read(native).edited(
        {
            BITS_ALLOCATED: encode(BITS_ALLOCATED, b"US", b"\x08\0", EXPLICIT_LE),
            PIXEL_DATA: encode(PIXEL_DATA, b"OB", words.tobytes(), EXPLICIT_LE),
        }
    )
    assert desk.verify(narrow).verdict is Verdict.INTACT
    restored, restoration = desk.restore(narrow)
    assert restored is not None and restoration.restored
    shown = pydicom.dcmread(io.BytesIO(restored)).pixel_array
    np.testing.assert_array_equal(shown, values)


@pytest.mark.parametrize("value", [b" CS VALUE", b"CS VALUE "])
def test_blanks_around_a_code_do_not_count(desk: Desk, value: bytes) -> None:
    sealed, _ = desk.seal(objects.ct(rows=64, columns=64, BodyPartExamined="CS VALUE"))
    assert desk.verify(with_element(sealed, 0x00180015, b"CS", value)).verdict is Verdict.INTACT


def test_a_blank_before_ybr_rct_does_not_count(desk: Desk) -> None:
    dataset = pydicom.dcmread(io.BytesIO(transcode(objects.fundus(), JPEG_2000)))
    sealed, _ = desk.seal(with_element(objects.fundus(), PHOTOMETRIC_INTERPRETATION, b"CS", b"RGB"))
    moved = with_element(transcode(sealed, JPEG_2000), PHOTOMETRIC_INTERPRETATION, b"CS", b" RGB")
    assert dataset.PhotometricInterpretation == "RGB"
    assert desk.verify(moved).verdict is Verdict.TRANSCODED


def test_blanks_within_a_uid_do_not_count(desk: Desk) -> None:
    """DCMTK, and Orthanc with it, takes them out."""
    sealed, _ = desk.seal(objects.report(SeriesInstanceUID="2.25.7"))
    sealed_with_blank, _ = desk.seal(with_element(objects.report(), 0x0020000E, b"UI", b"2.25 .7 "))
    assert (
        desk.verify(with_element(sealed_with_blank, 0x0020000E, b"UI", b"2.25.7")).verdict is Verdict.INTACT
    )
    assert desk.verify(with_element(sealed, 0x0020000E, b"UI", b"2.25.8")).verdict is Verdict.ALTERED


def test_an_icon_that_an_archive_drops_is_listed(desk: Desk) -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.PixelData = bytes(4)
    icon["PixelData"].VR = "OB"
    sealed, _ = desk.seal(objects.ct(rows=64, columns=64, IconImageSequence=[icon]))
    report = desk.verify(without(sealed, 0x00880200))
    assert report.verdict is Verdict.INTACT
    assert element_of(report, "IconImageSequence")["class"] == "description"


def test_curves_keep_their_numbers_in_big_endian(desk: Desk) -> None:
    dataset = pydicom.dcmread(io.BytesIO(objects.ct(rows=64, columns=64)))
    dataset.add_new(0x50000005, "US", 2)
    dataset.add_new(0x50000010, "US", 300)
    sealed, _ = desk.seal(objects.as_file(dataset, IMPLICIT))
    big = transcode(sealed, BIG)
    assert pydicom.dcmread(io.BytesIO(big))[0x50000010].value == 300
    assert desk.verify(big).verdict is Verdict.TRANSCODED


def test_wide_pixels_in_ob_keep_their_values_in_big_endian() -> None:
    original = objects.ct(rows=64, columns=64)
    file = read(original)
    loose = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OB", file.value(PIXEL_DATA) or b"", EXPLICIT_LE)})
    big = read(transcode(loose, BIG))
    np.testing.assert_array_equal(
        decode(big, pixel_format(big)).samples, decode(file, pixel_format(file)).samples
    )
    assert not objection(big, vrs())


def wide(*, little: bool = True) -> bytes:
    """An object of 32 bits."""
    source = read(
        objects.ct(rows=16, columns=16) if little else transcode(objects.ct(rows=16, columns=16), BIG)
    )
    order = source.encoding.order
    numbers = {BITS_ALLOCATED: 32, 0x00280101: 32, 0x00280102: 31}
    edits: dict[int, bytes | None] = {
        tag: encode(tag, b"US", struct.pack(order + "H", number), source.encoding)
        for tag, number in numbers.items()
    }
    values = struct.pack(order + "256I", *(16_000_001 * number for number in range(256)))
    return source.edited(edits | {PIXEL_DATA: encode(PIXEL_DATA, b"OW", values, source.encoding)})


@pytest.mark.parametrize("target", [BIG, JPEG_2000, HTJ2K])
def test_more_than_16_bits_are_not_written_where_they_would_be_lost(target: str) -> None:
    with pytest.raises(UnsupportedPixels):
        transcode(wide(), target)


def test_wide_pixels_in_big_endian_have_more_than_one_reading(desk: Desk) -> None:
    assert "byte order" in objection(read(wide(little=False)), vrs())
    assert not objection(read(wide()), vrs())
    big = read(transcode(objects.ct(rows=64, columns=64), BIG))
    loose = big.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OB", big.value(PIXEL_DATA) or b"", big.encoding)})
    assert "byte order" in objection(read(loose), vrs())
    assert desk.seal(loose)[1].reason == "ambiguous"


UNKNOWN = [(0x00480001, b"FL", bytes(4)), (0x00080119, b"UC", b"LONG CODE"), (0x0040A160, b"UT", b"text")]


@pytest.mark.parametrize("element", UNKNOWN, ids=lambda element: f"{element[0]:08x}")
def test_what_an_archive_does_not_know_may_become_un(desk: Desk, element: tuple[int, bytes, bytes]) -> None:
    tag, vr, value = element
    sealed, _ = desk.seal(with_element(objects.report(), tag, vr, value))
    assert (
        desk.verify(with_element(sealed, tag, b"UN", value + b" " * (len(value) % 2))).verdict
        is Verdict.INTACT
    )


@pytest.mark.parametrize("tag", [0x00100010, 0x00281053, 0x00280030, 0x0020000E])
def test_what_viewers_show_may_not_become_un(desk: Desk, tag: int) -> None:
    sealed, _ = desk.seal(objects.ct(rows=64, columns=64))
    report = desk.verify(with_element(sealed, tag, b"UN", read(sealed).value(tag) or b""))
    assert report.verdict is Verdict.TAMPERED
    assert any(check.n == 0 and not check.ok for check in report.checks)


def test_a_long_value_may_become_un(desk: Desk) -> None:
    """PS3.5 6.2.2: it does not fit the length field of its VR, and our own transcoding writes it so."""
    file = read(transcode(objects.ct(rows=64, columns=64), IMPLICIT))
    value = b"1.5\\" * 20_000 + b"1.5 "
    long = file.edited({0x00181065: encode(0x00181065, b"DS", value, IMPLICIT_LE)})
    sealed, _ = desk.seal(long)
    explicit = transcode(sealed, EXPLICIT)
    element = read(explicit).index[0x00181065]
    assert element.vr == b"UN"
    assert desk.verify(explicit).verdict is Verdict.TRANSCODED


def copied(data: bytes) -> bytes:
    """A quarter of the image over another, and the header says that it was compressed with loss."""
    file = read(data)
    pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2").reshape(256, 256).copy()
    pixels[:128, :128] = pixels[64:192, 64:192]
    changed = file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)})
    return with_element(changed, LOSSY_IMAGE_COMPRESSION, b"CS", b"01")


def test_a_copied_region_is_no_compression_because_the_header_says_so(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.mr(), profile="robust")
    assert desk.verify(copied(sealed), with_key=False).verdict is Verdict.TAMPERED
    assert desk.verify(copied(sealed)).verdict is Verdict.TAMPERED


def test_a_copied_region_is_no_compression_because_the_syntax_says_so(desk: Desk) -> None:
    """JPEG-LS near-lossless whose error is 0."""
    sealed, _ = desk.seal(objects.mr(), profile="robust")
    near = read(transcode(copied(sealed), JPEG_LS)).edited({}, syntax=JPEG_LS_NEAR)
    assert desk.verify(near, with_key=False).verdict is Verdict.TAMPERED
    assert desk.verify(near).verdict is Verdict.TAMPERED


def noisy(data: bytes) -> bytes:
    file = read(data)
    pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2").copy()
    pixels[::5] ^= 1
    return with_element(
        file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.tobytes(), EXPLICIT_LE)}),
        LOSSY_IMAGE_COMPRESSION,
        b"CS",
        b"01",
    )


@pytest.mark.parametrize(
    ("profile", "said"), [("robust", "was recovered"), ("fidelity", "was not recovered")]
)
def test_a_lossy_copy_says_what_can_and_what_can_not_be_known(desk: Desk, profile: str, said: str) -> None:
    sealed, result = desk.seal(objects.mr(), profile=profile)
    assert result.level == "full"
    data = noisy(sealed)
    if profile == "fidelity":
        file = read(data)
        pixels = np.frombuffer(file.value(PIXEL_DATA) or b"", "<u2") // 8 * 8
        data = file.edited(
            {PIXEL_DATA: encode(PIXEL_DATA, b"OW", pixels.astype("<u2").tobytes(), EXPLICIT_LE)}
        )
    report = desk.verify(data)
    detail = next(check.detail for check in report.checks if check.n == 5)
    assert report.verdict is Verdict.LOSSY
    assert "compressed with loss" in detail
    assert detail.endswith(f"the pixels can't be proven any more; the identity hidden in them {said}")
    assert report.lossy and report.tampered_tiles == ()


def test_a_coloured_image_in_ybr_is_the_same_image(desk: Desk, tmp_path: Path) -> None:
    """Of a brown image the first component is not as bright as red, green and blue together."""
    rng = np.random.default_rng(5)
    coarse = np.kron(rng.integers(0, 200, (16, 16, 3)), np.ones((16, 16, 1)))
    pixels = (coarse + rng.integers(0, 12, (256, 256, 3))).astype("u1")
    sealed, result = desk.seal(objects.fundus(PixelData=pixels.tobytes()))
    assert result.level == "full"
    source, target = tmp_path / "sealed.dcm", tmp_path / "lossy.dcm"
    source.write_bytes(sealed)
    done = run("dcmcjpeg", ["+eb", str(source), str(target)])
    assert done.returncode == 0, done.stderr
    assert read(target.read_bytes()).text(PHOTOMETRIC_INTERPRETATION) == "YBR_FULL_422"
    assert desk.verify(target.read_bytes()).verdict is Verdict.LOSSY


def test_rescale_type_of_a_ct_may_be_filled_in_by_a_compressor_and_by_nobody_else(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.ct(), profile="robust")
    assert desk.verify(with_element(noisy(sealed), RESCALE_TYPE, b"LO", b"HU")).verdict is Verdict.LOSSY
    assert desk.verify(with_element(noisy(sealed), RESCALE_TYPE, b"LO", b"OD")).verdict is Verdict.ALTERED
    assert desk.verify(with_element(sealed, RESCALE_TYPE, b"LO", b"HU")).verdict is Verdict.ALTERED


def test_a_lossy_copy_with_another_slope_is_altered_and_says_that_it_is_a_copy(desk: Desk) -> None:
    """What is measured is not what was sealed, and nothing proves that it comes to the same."""
    sealed, _ = desk.seal(objects.ct(), profile="robust")
    report = desk.verify(with_element(noisy(sealed), 0x00281053, b"DS", b"16"))
    assert report.verdict is Verdict.ALTERED
    assert report.lossy
    assert any("compressed with loss" in check.detail for check in report.checks)


ICON_IMAGE, PRIVATE_SEQUENCE, REFERENCED_IMAGES = 0x00880200, 0x000910CE, 0x00081140


def with_encoded_items(tag: int, *, filler: int = 10) -> bytes:
    """A CT in JPEG-LS with an image in JPEG-LS in a sequence. filler: length of a text beside it, in bytes."""
    icon = Dataset()
    icon.Rows = icon.Columns = 16
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(np.eye(16, dtype="u1")))])
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    icon.ImageComments = "x" * filler
    dataset = pydicom.dcmread(io.BytesIO(transcode(objects.ct(rows=64, columns=64), JPEG_LS)))
    if tag == PRIVATE_SEQUENCE:
        dataset.add_new(0x00090010, "LO", "PREVIEWS")
    dataset.add_new(tag, "SQ", [icon])
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def test_a_private_sequence_of_another_transfer_syntax_is_left_out_and_the_rest_comes_back(
    desk: Desk,
) -> None:
    data = with_encoded_items(PRIVATE_SEQUENCE)
    sealed, _ = desk.seal(data)
    for syntax in (EXPLICIT, IMPLICIT, JPEG_2000):
        moved = transcode(sealed, syntax)
        assert PRIVATE_SEQUENCE not in read(moved).index
        report = desk.verify(moved)
        assert report.verdict is Verdict.TRANSCODED, report.checks
        original, restoration = desk.restore(moved)
        assert original is not None, restoration.reason
        assert (PRIVATE_SEQUENCE in read(original).index) is restoration.whole


def test_what_holds_other_encoded_pixel_data_is_not_transcoded() -> None:
    """Neither can it be read afterwards, nor is it for us to leave out."""
    with pytest.raises(UnsupportedPixels, match=r"encapsulated pixel data in \(0008,1140\)"):
        transcode(with_encoded_items(REFERENCED_IMAGES), EXPLICIT)


@pytest.mark.parametrize("filler", [10, 6000], ids=["small", "large"])
def test_an_icon_of_another_transfer_syntax_is_left_out_and_the_rest_comes_back(
    desk: Desk, filler: int
) -> None:
    data = with_encoded_items(ICON_IMAGE, filler=filler)
    sealed, _ = desk.seal(data)
    assert 0x00880200 in read(sealed).index
    assert desk.verify(sealed).verdict is Verdict.INTACT
    for syntax in (EXPLICIT, BIG, JPEG_2000):
        moved = transcode(sealed, syntax)
        assert 0x00880200 not in read(moved).index
        report = desk.verify(moved)
        assert report.verdict is Verdict.TRANSCODED
        original, restoration = desk.restore(moved)
        assert original is not None, restoration.reason
        # Whole again it has the transfer syntax that the icon was encoded for.
        assert (0x00880200 in read(original).index) is restoration.whole
        shape = pixel_format(read(data))
        assert np.array_equal(
            decode(read(original), shape).samples, decode(read(data), pixel_format(read(data))).samples
        )
    restored, restoration = desk.restore(sealed)
    assert restored is not None
    assert restoration.whole
