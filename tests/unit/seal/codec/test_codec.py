"""Hiding and revealing with the shipped networks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.seal.codec import (
    Codec,
    Cover,
    Frames,
    Hidden,
    HideFailed,
    Profile,
)

Image = NDArray[Any]

PAYLOAD = bytes(range(170))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.load()


def textured(shape: tuple[int, ...], low: int, high: int, dtype: type, seed: int = 1) -> Image:
    """Smooth shapes with noise on top, as in an image: (frames, rows, columns, samples)."""
    rng = np.random.default_rng(seed)
    frames, rows, columns, samples = shape
    row, column = np.mgrid[:rows, :columns]
    base = 0.5 + 0.3 * np.sin(row / 17) * np.cos(column / 23)
    noisy = base[None, :, :, None] + 0.03 * rng.standard_normal((frames, rows, columns, samples))
    image: Image = (low + noisy.clip(0, 1) * (high - low)).astype(dtype)
    return image


IMAGES = {
    "8 bit": textured((1, 256, 256, 1), 0, 255, np.uint8),
    "8 bit, odd size": textured((1, 201, 333, 1), 0, 255, np.uint8),
    "12 bit": textured((1, 256, 256, 1), 0, 4095, np.uint16),
    "12 bit signed": textured((1, 256, 256, 1), -1024, 3071, np.int16),
    "16 bit": textured((1, 256, 256, 1), 0, 65535, np.uint16),
    "16 bit signed": textured((1, 256, 256, 1), -32768, 32767, np.int16),
    "RGB": textured((1, 256, 256, 3), 0, 255, np.uint8),
    "multi-frame": textured((20, 64, 64, 1), 0, 4095, np.uint16),
}


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("name", IMAGES)
def test_the_payload_comes_back_and_no_value_leaves_the_range(
    codec: Codec, name: str, profile: Profile
) -> None:
    cover = IMAGES[name]
    hidden = codec.hide(cover, PAYLOAD, profile=profile)
    assert hidden.container.shape == cover.shape and hidden.container.dtype == cover.dtype
    assert cover.min() <= hidden.container.min() and hidden.container.max() <= cover.max()
    assert not np.array_equal(hidden.container, cover)
    for hint in (None, hidden.hint, {"unit": 3}):
        revealed = codec.reveal(hidden.container, hint=hint)
        assert revealed is not None
        assert (revealed.payload, revealed.profile) == (PAYLOAD, profile)


def test_fidelity_moves_single_stored_values(codec: Codec) -> None:
    hidden = codec.hide(IMAGES["12 bit signed"], PAYLOAD)
    change = hidden.container.astype(int) - IMAGES["12 bit signed"]
    assert hidden.max_change == np.abs(change).max() == 1
    assert np.count_nonzero(change) < 0.06 * change.size


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(min_size=1, max_size=250), seed=st.integers(0, 1000))
def test_any_payload_comes_back(codec: Codec, payload: bytes, seed: int) -> None:
    cover = textured((1, 192, 192, 1), 0, 2000, np.uint16, seed)
    revealed = codec.reveal(codec.hide(cover, payload).container)
    assert revealed is not None and revealed.payload == payload


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_is_revealed_where_nothing_was_hidden(codec: Codec, name: str) -> None:
    assert codec.reveal(IMAGES[name]) is None


def jpeg(pixels: Image, quality: int) -> Image:
    """One frame through baseline JPEG; colour with chroma at half resolution."""
    image = np.ascontiguousarray(pixels[0, :, :, 0] if pixels.shape[3] == 1 else pixels[0])
    coded = imagecodecs.jpeg_encode(image, level=quality, subsampling="420")
    return imagecodecs.jpeg_decode(coded).reshape(pixels.shape)


def jpeg_2000(pixels: Image) -> Image:
    coded = imagecodecs.jpeg2k_encode(pixels[0, :, :, 0], level=42, reversible=False)
    return imagecodecs.jpeg2k_decode(coded).reshape(pixels.shape)


def near_lossless(pixels: Image) -> Image:
    return imagecodecs.jpegls_decode(imagecodecs.jpegls_encode(pixels[0, :, :, 0], level=2)).reshape(
        pixels.shape
    )


def noisy(pixels: Image) -> Image:
    noise = np.random.default_rng(3).standard_normal(pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


LOSSES: dict[str, Callable[[Image], Image]] = {
    "JPEG Q90": partial(jpeg, quality=90),
    "JPEG Q75": partial(jpeg, quality=75),
    "JPEG Q50": partial(jpeg, quality=50),
    "JPEG 2000": jpeg_2000,
    "JPEG-LS near 2": near_lossless,
    "noise": noisy,
    "brighter by 3 %": lambda pixels: np.clip(np.rint(pixels * 1.03), 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def robust(codec: Codec) -> Hidden:
    return codec.hide(textured((1, 512, 512, 1), 0, 255, np.uint8), PAYLOAD, profile=Profile.ROBUST)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_robust_payload_is_read_after_lossy_compression_by_a_reader_who_knows_nothing(
    codec: Codec, robust: Hidden, loss: str
) -> None:
    found = codec.reveal(LOSSES[loss](robust.container))
    assert found is not None and (found.payload, found.profile) == (PAYLOAD, Profile.ROBUST)


def test_a_payload_of_least_change_does_not_survive_lossy_compression(codec: Codec) -> None:
    container = codec.hide(textured((1, 256, 256, 1), 0, 255, np.uint8), PAYLOAD).container
    assert codec.reveal(jpeg(container, 90)) is None


@pytest.mark.parametrize("grey", [True, False], ids=["grey", "coloured"])
def test_a_payload_in_colour_survives_subsampled_chroma_and_grey_stays_grey(codec: Codec, grey: bool) -> None:
    cover = textured((1, 512, 512, 3), 0, 255, np.uint8)
    if grey:
        cover = np.repeat(cover[..., :1], 3, axis=3)
    container = codec.hide(cover, PAYLOAD, profile=Profile.ROBUST).container
    revealed = codec.reveal(jpeg(container, 75))
    assert revealed is not None and revealed.payload == PAYLOAD
    assert (container == container[..., :1]).all() == grey
    assert grey or np.array_equal(container[..., [0, 2]], cover[..., [0, 2]])


@pytest.mark.parametrize("width", [2600, 1500])
def test_a_robust_payload_survives_the_export_of_its_window_to_8_bit(codec: Codec, width: int) -> None:
    cover = textured((1, 512, 512, 1), -1024, 2000, np.int16)
    window = (500 - width / 2, 500 + width / 2)
    container = codec.hide(cover, PAYLOAD, profile=Profile.ROBUST, window=window).container
    shown = np.clip((container - window[0]) / width, 0, 1) * 255
    revealed = codec.reveal(np.rint(shown).astype(np.uint8))
    assert revealed is not None and revealed.payload == PAYLOAD


@pytest.mark.parametrize("name", IMAGES)
def test_what_robust_hiding_changed_follows_from_its_synthesis(codec: Codec, name: str) -> None:
    cover = IMAGES[name]
    hidden = codec.hide(cover, PAYLOAD, profile=Profile.ROBUST)
    assert hidden.synthesis is not None
    change = hidden.synthesis.change(cover.shape)
    left = hidden.container[: len(change)].astype(int) - cover[: len(change)] - change
    assert np.count_nonzero(left) < 0.01 * left.size


def test_covers_hidden_together_come_out_as_they_do_alone(codec: Codec) -> None:
    covers = [IMAGES[name] for name in ("12 bit", "8 bit", "multi-frame", "16 bit signed")]
    covers += [np.zeros((1, 64, 64, 1), np.uint8)]
    for profile in Profile:
        together = codec.hide_many([Cover(cover, PAYLOAD) for cover in covers], profile=profile)
        for cover, result in zip(covers[:-1], together[:-1], strict=True):
            assert isinstance(result, Hidden)
            assert np.array_equal(result.container, codec.hide(cover, PAYLOAD, profile=profile).container)
        assert isinstance(together[-1], HideFailed) and together[-1].code == "too-small"


@pytest.mark.parametrize("profile", list(Profile))
def test_every_frame_that_has_room_may_carry_the_payload(codec: Codec, profile: Profile) -> None:
    cover = textured((4, 160, 160, 1), 0, 3000, np.uint16)
    cover[[0, 2]] = 7
    hidden = codec.hide(cover, PAYLOAD, profile=profile, frames=Frames.EVERY)
    assert np.array_equal(hidden.container[[0, 2]], cover[[0, 2]])
    for frame in (1, 3):
        alone = codec.reveal(hidden.container[frame : frame + 1])
        assert alone is not None and alone.payload == PAYLOAD
    for options in ({"hint": hidden.hint}, {"deep": True}):
        revealed = codec.reveal(hidden.container, **options)
        assert revealed is not None and revealed.payload == PAYLOAD


def test_smooth_synthetic_images_carry_a_payload(codec: Codec) -> None:
    row, column = np.mgrid[:256, :256]
    for cover in ((row + column) // 2, row, (row - 128) ** 2 + (column - 128) ** 2):
        pixels = cover.astype(np.uint16).reshape(1, 256, 256, 1)
        revealed = codec.reveal(codec.hide(pixels, PAYLOAD).container)
        assert revealed is not None and revealed.payload == PAYLOAD


@pytest.mark.parametrize("step", [2, 3, 4, 16])
def test_stretched_histograms_carry_a_payload(codec: Codec, step: int) -> None:
    cover = textured((1, 256, 256, 1), 0, 1000, np.uint16) * step
    revealed = codec.reveal(codec.hide(cover, PAYLOAD).container)
    assert revealed is not None and revealed.payload == PAYLOAD


def test_padding_stays_as_it_is_and_no_pixel_becomes_padding(codec: Codec) -> None:
    cover = textured((1, 256, 256, 1), -1000, 1500, np.int16)
    cover[:, :70] = -2000
    cover[:, 70:78, ::3] = -2000
    cover[:, 80, :] = -1999
    hidden = codec.hide(cover, PAYLOAD, padding=(-2000,))
    assert np.array_equal(hidden.container == -2000, cover == -2000)


def test_a_range_of_padding_values_stays_as_it_is(codec: Codec) -> None:
    cover = textured((1, 256, 256, 1), -1000, 1500, np.int16)
    padding = tuple(range(-2000, -400))
    hidden = codec.hide(cover, PAYLOAD, padding=padding)
    padded = np.isin(cover, padding)
    assert padded.any()
    assert np.array_equal(np.isin(hidden.container, padding), padded)
    assert np.array_equal(hidden.container[padded], cover[padded])


def test_flat_cells_stay_as_they_are(codec: Codec) -> None:
    cover = textured((1, 256, 256, 1), 0, 255, np.uint8)
    cover[:, :128, :128] = 17
    container = codec.hide(cover, PAYLOAD).container
    assert (container[:, :128, :128] == 17).all()


@pytest.mark.parametrize(
    ("cover", "code"),
    [
        (np.zeros((1, 7, 300, 1), np.uint8), "too-small"),
        (textured((1, 32, 32, 1), 0, 255, np.uint8), "too-small"),
        (np.full((1, 256, 256, 1), 9, np.uint8), "too-flat"),
    ],
)
def test_where_it_does_not_fit_the_reason_is_said(codec: Codec, cover: Image, code: str) -> None:
    with pytest.raises(HideFailed) as failure:
        codec.hide(cover, PAYLOAD)
    assert failure.value.code == code


def test_blank_leading_frames_are_passed_over(codec: Codec) -> None:
    cover = textured((9, 128, 128, 1), 0, 4000, np.uint16)
    cover[:3] = 0
    hidden = codec.hide(cover, PAYLOAD)
    revealed = codec.reveal(hidden.container)
    assert revealed is not None and revealed.payload == PAYLOAD


def test_a_locator_fits_into_64_by_64(codec: Codec) -> None:
    cover = textured((1, 64, 64, 1), 0, 255, np.uint8)
    revealed = codec.reveal(codec.hide(cover, bytes(21)).container)
    assert revealed is not None and revealed.payload == bytes(21)


def test_a_damaged_corner_does_not_lose_the_payload(codec: Codec) -> None:
    container = codec.hide(textured((1, 512, 512, 1), 0, 4000, np.uint16), PAYLOAD).container
    container[:, :100, :100] = 5
    revealed = codec.reveal(container)
    assert revealed is not None and revealed.payload == PAYLOAD and 0 < revealed.raw_bit_error_rate < 0.1


@pytest.mark.parametrize(
    "hint",
    [
        {"profile": 2, "lift": -1, "eighths": 0},
        {"profile": 2, "unit": 99},
        {"profile": 3, "unit": 10**6},
        {"profile": 2, "frame": 5},
        {"profile": 0, "lift": 16, "eighths": 8},
        {"profile": 7, "frames": 0},
        {"x": 1},
    ],
)
def test_a_wrong_hint_costs_time_and_nothing_else(codec: Codec, hint: dict[str, int]) -> None:
    container = codec.hide(IMAGES["12 bit"], PAYLOAD).container
    revealed = codec.reveal(container, hint=hint)
    assert revealed is not None and revealed.payload == PAYLOAD
