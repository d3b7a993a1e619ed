"""Objects that were compressed with loss before they were sealed, and what archives and others make of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest

from gateway.dicom.elements import EXPLICIT_LE, encode
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode, encoded
from gateway.dicom.tags import (
    LOSSY_IMAGE_COMPRESSION,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
)
from gateway.seal.verifying import Verdict
from tests.support import objects
from tests.support.dcmtk import run
from tests.support.desk import Desk

EXPLICIT, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR, JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"
METHOD = 0x00282114
GREY = np.clip(objects.picture(256, 256, 20, 230, 3), 0, 255).astype("u1")


def of_dcmtk(data: bytes, folder: Path, tool: str, *options: str) -> bytes:
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(data)
    target.unlink(missing_ok=True)
    done = run(tool, [*options, str(source), str(target)])
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def grey_object() -> bytes:
    return objects.mr(
        PixelData=GREY.tobytes(), BitsAllocated=8, BitsStored=8, HighBit=7, SmallestImagePixelValue=None
    )


def of_frame(codestream: bytes, syntax: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(grey_object()))
    dataset.PixelData = pydicom.encaps.encapsulate([codestream])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def baseline(folder: Path) -> bytes:
    return of_dcmtk(grey_object(), folder, "dcmcjpeg", "+eb")


def baseline_in_colour(folder: Path) -> bytes:
    return of_dcmtk(objects.fundus(), folder, "dcmcjpeg", "+eb")


def near_lossless(folder: Path) -> bytes:
    return of_dcmtk(objects.ct(), folder, "dcmcjpls", "+en", "+md", "3")


def irreversible(_folder: Path) -> bytes:
    return of_frame(bytes(imagecodecs.jpeg2k_encode(GREY, level=35, codecformat="j2k")), JPEG_2000_LOSSY)


def of_pydicom(data: bytes, _folder: Path) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.decompress(generate_instance_uid=False)
    target = io.BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def by_dcmtk(tool: str) -> Callable[[bytes, Path], bytes]:
    return lambda data, folder: of_dcmtk(data, folder, tool)


def painted(data: bytes) -> bytes:
    """A black square in an image that was decoded."""
    file = read(data)
    shape = pixel_format(file)
    pixels = decode(file, shape)
    samples = pixels.samples.copy()
    samples[0, 40:60, 40:60] = 0
    return file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", samples.tobytes(), EXPLICIT_LE)})


def labelled(data: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    return read(data).edited({tag: encode(tag, vr, value, EXPLICIT_LE)})


@pytest.mark.parametrize(
    ("make", "archive"),
    [
        (baseline, by_dcmtk("dcmdjpeg")),
        (baseline, of_pydicom),
        (baseline_in_colour, by_dcmtk("dcmdjpeg")),
        (near_lossless, by_dcmtk("dcmdjpls")),
        (near_lossless, of_pydicom),
        (irreversible, of_pydicom),
    ],
)
def test_what_an_archive_decodes_is_transcoded_where_the_decoders_agree(
    desk: Desk,
    tmp_path: Path,
    make: Callable[[Path], bytes],
    archive: Callable[[bytes, Path], bytes],
) -> None:
    sealed, result = desk.seal(make(tmp_path))
    assert (result.level, result.reason) == ("digest", "lossy-compressed")
    assert desk.verify(sealed).verdict is Verdict.INTACT
    report = desk.verify(archive(sealed, tmp_path))
    assert report.verdict is Verdict.TRANSCODED
    assert "decode to" in next(check.detail for check in report.checks if check.n == 5)


def test_decoded_pixels_may_be_compressed_without_loss(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline(tmp_path))
    file = read(of_dcmtk(sealed, tmp_path, "dcmdjpeg"))
    shape = pixel_format(file)
    again = file.edited(encoded(file, decode(file, shape), shape, JPEG_LS), syntax=JPEG_LS)
    assert desk.verify(again).verdict is Verdict.TRANSCODED


@pytest.mark.parametrize("make", [baseline, baseline_in_colour])
def test_what_is_painted_into_decoded_pixels_is_tampered_and_named(
    desk: Desk, tmp_path: Path, make: Callable[[Path], bytes]
) -> None:
    sealed, _ = desk.seal(make(tmp_path))
    report = desk.verify(painted(of_dcmtk(sealed, tmp_path, "dcmdjpeg")))
    assert report.verdict is Verdict.TAMPERED
    assert 0 < len(report.tampered_tiles) < 10


def test_what_is_compressed_with_loss_once_more_is_lossy(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline(tmp_path))
    decoded = of_dcmtk(sealed, tmp_path, "dcmdjpeg")
    again = of_dcmtk(decoded, tmp_path, "dcmcjpeg", "+eb", "+q", "40", "+ua")
    report = desk.verify(again)
    assert report.verdict in (Verdict.LOSSY, Verdict.ALTERED)
    assert report.lossy


def test_another_image_in_its_place_is_tampered(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline(tmp_path))
    decoded = of_dcmtk(sealed, tmp_path, "dcmdjpeg")
    value = (
        np.kron(np.random.default_rng(1).integers(0, 255, (16, 16)), np.ones((16, 16))).astype("u1").tobytes()
    )
    other = read(decoded).edited({PIXEL_DATA: encode(PIXEL_DATA, b"OB", value, EXPLICIT_LE)})
    assert desk.verify(other).verdict is Verdict.TAMPERED


def test_a_stream_with_loss_that_decodes_to_the_same_is_not_believed(desk: Desk, tmp_path: Path) -> None:
    """What one decoder makes of it another may not."""
    data = baseline(tmp_path)
    sealed, _ = desk.seal(data)
    file = read(sealed)
    (codestream,) = pydicom.encaps.generate_frames(file.value(PIXEL_DATA) or b"", number_of_frames=1)
    comment = codestream[:2] + b"\xff\xfe\0\x04hi" + codestream[2:]
    value = pydicom.encaps.encapsulate([comment])
    head = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
    changed = file.edited({PIXEL_DATA: head + value + b"\xfe\xff\xdd\xe0\0\0\0\0"})
    assert np.array_equal(
        decode(read(changed), pixel_format(read(changed))).samples, decode(file, pixel_format(file)).samples
    )
    assert desk.verify(changed).verdict is Verdict.TAMPERED


def test_the_label_of_decoded_colour_is_that_of_its_values(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline_in_colour(tmp_path))
    assert read(sealed).text(PHOTOMETRIC_INTERPRETATION) == "YBR_FULL_422"
    decoded = of_dcmtk(sealed, tmp_path, "dcmdjpeg")
    assert read(decoded).text(PHOTOMETRIC_INTERPRETATION) == "RGB"
    wrong = labelled(decoded, PHOTOMETRIC_INTERPRETATION, b"CS", b"YBR_FULL")
    assert desk.verify(wrong).verdict is Verdict.ALTERED


def test_that_pixels_were_compressed_with_loss_may_be_said_and_not_denied(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline(tmp_path))
    decoded = of_dcmtk(sealed, tmp_path, "dcmdjpeg")
    assert read(decoded).text(LOSSY_IMAGE_COMPRESSION) == "01"
    told = labelled(decoded, METHOD, b"CS", b"ISO_10918_1 ")
    assert desk.verify(told).verdict is Verdict.TRANSCODED
    denied = labelled(decoded, LOSSY_IMAGE_COMPRESSION, b"CS", b"00")
    assert desk.verify(denied).verdict is Verdict.ALTERED


@pytest.mark.parametrize("make", [baseline, baseline_in_colour])
def test_decoded_pixels_come_back_under_the_header_as_received(
    desk: Desk, tmp_path: Path, make: Callable[[Path], bytes]
) -> None:
    data = make(tmp_path)
    decoded = of_dcmtk(desk.seal(data)[0], tmp_path, "dcmdjpeg")
    renamed = labelled(decoded, 0x00100010, b"PN", b"Somebody^Else ")
    for changed in (decoded, renamed):
        original, restoration = desk.restore(changed)
        assert original is not None
        assert (restoration.reason, restoration.whole) == ("pixels-decoded", False)
        file = read(original)
        expected = read(of_dcmtk(data, tmp_path, "dcmdjpeg"))
        assert file.text(0x00100010) == expected.text(0x00100010)
        assert file.value(PIXEL_DATA) == expected.value(PIXEL_DATA)
        assert file.text(PHOTOMETRIC_INTERPRETATION) == expected.text(PHOTOMETRIC_INTERPRETATION)
        assert not [tag for tag in file.index if tag >> 16 == 0x0071]


def test_of_painted_pixels_nothing_comes_back(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(baseline(tmp_path))
    original, restoration = desk.restore(painted(of_dcmtk(sealed, tmp_path, "dcmdjpeg")))
    assert original is None
    assert restoration.reason == "changed-since"


@pytest.mark.parametrize("label", [b"YBR_RCT ", b"YBR_ICT "])
def test_the_labels_of_jpeg_2000_are_good_nowhere_else(desk: Desk, label: bytes) -> None:
    sealed, _ = desk.seal(objects.fundus())
    report = desk.verify(labelled(sealed, PHOTOMETRIC_INTERPRETATION, b"CS", label))
    assert report.verdict is Verdict.TAMPERED
    assert [check.n for check in report.checks if not check.ok] == [0]
