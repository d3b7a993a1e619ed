"""The likeness: it stays the same while an image is passed on, and differs for another image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gateway.dicom.image import PixelFormat, pixel_format
from gateway.dicom.part10 import read
from gateway.dicom.pixels import decode
from gateway.seal.record import likeness
from gateway.seal.verifying import Verdict
from tests.support import objects
from tests.support.data import collection, shipped
from tests.support.desk import Desk
from tests.vectors.make import bare, transplanted

KEY = bytes(range(16))


def image(data: bytes) -> tuple[np.ndarray, PixelFormat]:
    file = read(data)
    shape = pixel_format(file)
    return decode(file, shape).samples, shape


def as_8_bit(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((samples.astype(float) - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)


def jpeg(samples: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(samples[0, ..., 0]).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))[None, ..., None]


IMAGES = {
    "ct": objects.ct(),
    "mr": objects.mr(),
    "signed ct": objects.signed_ct(),
    "small ct": shipped("CT_small.dcm").read_bytes(),
    "small mr": shipped("MR_small.dcm").read_bytes(),
} | {path.name: path.read_bytes() for path in collection("series/*/*")[::40]}


@pytest.mark.parametrize("name", IMAGES)
def test_compression_noise_and_windowing_keep_it(name: str) -> None:
    samples, shape = image(IMAGES[name])
    stored = likeness.of_image(samples, shape, KEY)
    assert len(stored) == likeness.LIKENESS_BYTES
    full = as_8_bit(samples, samples.min(), samples.max())
    noise = np.random.default_rng(1).normal(0, np.ptp(samples) / 255, samples.shape)
    low, high = np.percentile(samples, [2, 98])
    for seen in (
        samples,
        full,
        jpeg(full, 50),
        samples + noise.round().astype(int),
        as_8_bit(samples, low, high),
    ):
        assert likeness.compare(stored, np.asarray(seen), shape, KEY).alike


def test_another_image_or_another_key_does_not_agree() -> None:
    samples, shape = image(objects.ct())
    stored = likeness.of_image(samples, shape, KEY)
    assert likeness.of_image(samples, shape, bytes(16)) != stored
    for seed in (2, 5, 9):
        assert not likeness.compare(stored, image(objects.ct(seed=seed))[0], shape, KEY).alike
    assert not likeness.compare(stored, samples[:, :, ::-1], shape, KEY).alike


def test_an_image_without_structure_has_none() -> None:
    _, shape = image(objects.ct())
    assert likeness.of_image(np.full((1, 64, 64, 1), 7, np.uint16), shape, KEY) == b""
    assert likeness.of_image(np.arange(100, dtype=np.uint8).reshape(1, 10, 10, 1), shape, KEY) == b""


def test_an_inverted_presentation_is_the_same_image() -> None:
    samples, shape = image(objects.ct())
    inverted = PixelFormat(**{**vars(shape), "photometric": "MONOCHROME1"})
    stored = likeness.of_image(samples, shape, KEY)
    assert likeness.compare(stored, 4095 - samples, inverted, KEY).alike


def test_a_payload_copied_into_another_image_is_tampered_for_the_holder_of_the_key(desk: Desk) -> None:
    """Header, block and payload are those of one image, and the pixels are those of another."""
    sealed, _ = desk.seal(objects.ct())
    forged = transplanted(desk.codec, sealed, objects.ct(seed=2))
    for data in (forged, bare(forged)):
        report = desk.verify(data)
        assert report.verdict is Verdict.TAMPERED
        assert [check.ok for check in report.checks if check.name == "likeness"] == [False]
    assert not desk.verify(forged, with_key=False).ok
    assert desk.verify(bare(forged), with_key=False).verdict is Verdict.STRIPPED


def test_a_stripped_object_is_still_like_its_record(desk: Desk) -> None:
    report = desk.verify(bare(desk.seal(objects.mr())[0]))
    assert report.verdict is Verdict.STRIPPED
    assert [check.ok for check in report.checks if check.name == "likeness"] == [True]
