"""What a lossy copy measures and shows, against what was sealed (FORMAT.md, "Levels")."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.elements import encode
from gateway.dicom.image import pixel_format
from gateway.dicom.part10 import Part10, read
from gateway.dicom.pixels import decode
from gateway.seal import levels
from gateway.seal.levels import Levels
from gateway.seal.verifying import Verdict
from tests.support import objects
from tests.support.dcmtk import run
from tests.support.desk import Desk

CENTER, WIDTH, INTERCEPT, SLOPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053
PADDING = 0x00280120
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def with_decimal(data: bytes, tag: int, value: str | None) -> bytes:
    file = read(data)
    padded = None if value is None else (value + " " * (len(value) % 2)).encode()
    return file.edited({tag: None if padded is None else encode(tag, b"DS", padded, file.encoding)})


def compressed(data: bytes, folder: Path, *options: str) -> bytes:
    source, target = folder / "sealed.dcm", folder / "lossy.dcm"
    source.write_bytes(data)
    done = run("dcmcjpeg", [*options, str(source), str(target)])
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def of(file: Part10) -> Levels | None:
    shape = pixel_format(file)
    return levels.of_image(decode(file, shape).samples, shape, file)


@given(
    FINITE,
    FINITE,
    st.lists(st.tuples(FINITE, FINITE), max_size=16),
)
def test_levels_come_back(mean: float, deviation: float, windows: list[tuple[float, float]]) -> None:
    made = Levels(mean, deviation, 0.0, tuple(windows))
    assert levels.decode(levels.encode(made)) == made


@pytest.mark.parametrize(
    "data", [b"", bytes(8), bytes(24), bytes(16 * 18), b"\xff" * 16, bytes(14) + b"\xf0\x7f"]
)
def test_what_are_no_levels(data: bytes) -> None:
    assert levels.decode(data) is None


def test_levels_are_those_of_the_values_after_the_modality_lut() -> None:
    file = read(objects.ct(RescaleSlope="2", RescaleIntercept="-100", WindowCenter="40", WindowWidth="400"))
    samples = decode(file, pixel_format(file)).samples
    found = of(file)
    assert found is not None
    assert found.mean == pytest.approx(2 * float(samples.mean()) - 100)
    assert found.deviation == pytest.approx(2 * float(samples.std()))
    assert (found.step, found.windows) == (2.0, ((40.0, 400.0),))


@pytest.mark.parametrize(
    "data",
    [objects.fundus(), objects.ct(RescaleSlope="0"), objects.ct(WindowCenter="40")],
    ids=["colour", "no slope", "half a window"],
)
def test_images_without_levels(data: bytes) -> None:
    assert of(read(data)) is None


def test_large_images_are_sampled() -> None:
    file = read(objects.ct(rows=1024, columns=1024))
    samples = decode(file, pixel_format(file)).samples
    found = of(file)
    assert found is not None
    assert found.mean == pytest.approx(float(samples.ravel()[::4].mean()) - 1024)


@pytest.mark.parametrize(
    "options", [("+eb", "+q", "90"), ("+eb", "+q", "50"), ("+ee", "+q", "90"), ("+eb", "+ua")]
)
@pytest.mark.parametrize("profile", ["fidelity", "robust"])
def test_a_copy_whose_scale_fits_its_values_is_lossy(
    desk: Desk, tmp_path: Path, profile: str, options: tuple[str, ...]
) -> None:
    sealed, result = desk.seal(objects.ct(WindowCenter="40", WindowWidth="400"), profile=profile)
    assert result.level == "full"
    assert desk.verify(compressed(sealed, tmp_path, *options)).verdict is Verdict.LOSSY


def test_a_copy_whose_window_fits_its_values_is_lossy(desk: Desk, tmp_path: Path) -> None:
    """Without a Modality LUT DCMTK scales the window."""
    sealed, _ = desk.seal(objects.mr(WindowCenter="400", WindowWidth="700"))
    copy = compressed(sealed, tmp_path, "+eb", "+q", "90")
    assert read(copy).text(CENTER) != "400"
    assert desk.verify(copy, with_key=False).verdict is Verdict.LOSSY


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (SLOPE, "1.6"),
        (SLOPE, "17.5"),
        (SLOPE, "-16.05882"),
        (SLOPE, None),
        (INTERCEPT, "-1100"),
        (INTERCEPT, None),
        (CENTER, "41"),
        (WIDTH, "500"),
        (WIDTH, None),
    ],
)
def test_a_copy_with_another_scale_or_window_is_altered(
    desk: Desk, tmp_path: Path, tag: int, value: str | None
) -> None:
    sealed, _ = desk.seal(objects.ct(WindowCenter="40", WindowWidth="400"))
    copy = compressed(sealed, tmp_path, "+eb", "+q", "90")
    assert desk.verify(copy).verdict is Verdict.LOSSY
    report = desk.verify(with_decimal(copy, tag, value))
    assert report.verdict is Verdict.ALTERED
    assert report.lossy


def test_a_copy_with_the_window_burnt_in_is_no_lossy_copy(desk: Desk, tmp_path: Path) -> None:
    """What is cut off at the ends of the window may be so much that it is no longer like the sealed image."""
    sealed, _ = desk.seal(objects.ct(WindowCenter="40", WindowWidth="400"))
    report = desk.verify(compressed(sealed, tmp_path, "+eb", "+Wi", "1"))
    assert report.verdict in (Verdict.ALTERED, Verdict.TAMPERED)


def test_padding_may_go_and_not_come(desk: Desk, tmp_path: Path) -> None:
    sealed, _ = desk.seal(objects.ct(PixelPaddingValue=0))
    copy = compressed(sealed, tmp_path, "+eb", "+q", "90")
    assert PADDING not in read(copy).index
    assert desk.verify(copy).verdict is Verdict.LOSSY
    hidden = read(copy).edited({PADDING: encode(PADDING, b"US", b"\x20\0", read(copy).encoding)})
    assert desk.verify(hidden).verdict is Verdict.ALTERED


def test_a_fitting_scale_is_no_excuse_where_pixels_did_not_change(desk: Desk) -> None:
    sealed, _ = desk.seal(objects.ct(WindowCenter="40", WindowWidth="400"))
    assert desk.verify(with_decimal(sealed, CENTER, "41")).verdict is Verdict.ALTERED


def test_an_image_of_one_value_has_no_scale() -> None:
    file = read(
        objects.ct(PixelData=np.full(256 * 256, 7, "<u2").tobytes(), WindowCenter="40", WindowWidth="400")
    )
    found = of(file)
    assert found is not None
    assert found.deviation == 0
    assert not found.same_windows(found)
