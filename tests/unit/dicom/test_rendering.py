"""Pictures of frames, against what Pillow and a few lines of arithmetic say."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.filereader import dcmread

from gateway.dicom.part10 import read
from gateway.dicom.rendering import Rendering, Window, rendered
from gateway.errors import UnsupportedPixels
from tests.support import objects

PNG = Rendering(media_type="image/png")


def picture(data: bytes, rendering: Rendering = PNG, number: int = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(rendered(read(data), number, rendering))))


def test_the_window_of_the_object_is_taken_first_and_one_that_is_asked_for_instead() -> None:
    data = objects.ct(rows=32, columns=48, WindowCenter="0", WindowWidth="100")
    sent = dcmread(io.BytesIO(data))
    values = sent.pixel_array * float(sent.RescaleSlope) + float(sent.RescaleIntercept)
    for rendering, center, width in (
        (PNG, 0, 100),
        (Rendering(media_type="image/png", window=Window(center=200, width=900)), 200, 900),
    ):
        expected = np.clip(((values - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
        assert np.abs(picture(data, rendering) - expected).max() <= 0.51


def test_inverse_images_are_shown_inverse() -> None:
    data = objects.ct(rows=32, columns=32, WindowCenter="0", WindowWidth="1000")
    inverse = objects.ct(
        rows=32, columns=32, WindowCenter="0", WindowWidth="1000", PhotometricInterpretation="MONOCHROME1"
    )
    assert np.array_equal(255 - picture(data), picture(inverse))


def test_colour_comes_as_it_is() -> None:
    data = objects.fundus(rows=32, columns=32)
    assert np.array_equal(picture(data), dcmread(io.BytesIO(data)).pixel_array)


def test_a_viewport_keeps_proportions_and_a_region_is_cut_out() -> None:
    data = objects.fundus(rows=64, columns=128)
    whole = picture(data)
    assert picture(data, Rendering(media_type="image/png", columns=32, rows=32)).shape[:2] == (16, 32)
    assert picture(data, Rendering(media_type="image/png", columns=256, rows=256)).shape[:2] == (128, 256)
    part = picture(data, Rendering(media_type="image/png", region=(8, 4, 16, 12)))
    assert np.array_equal(part, whole[4:16, 8:24])
    with pytest.raises(UnsupportedPixels):
        picture(data, Rendering(media_type="image/png", region=(500, 0, 10, 10)))


def test_each_frame_has_its_picture_and_there_are_no_more() -> None:
    data = objects.multi_frame(frames=2, rows=32, columns=32)
    first, second = picture(data), picture(data, number=2)
    assert not np.array_equal(first, second)
    for number in (0, 3):
        with pytest.raises(UnsupportedPixels):
            picture(data, number=number)
