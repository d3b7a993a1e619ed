"""The change that follows from amplitudes: a fixed table, integers only, in the right pixels."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.seal.codec.layout import from_cells
from gateway.seal.codec.synthesis import (
    FREQUENCIES,
    PATTERNS,
    SCALE_MAX,
    Synthesis,
    cells_of,
    scale_of,
    synthesised,
)

MAPS = hnp.arrays(np.int16, st.tuples(st.integers(0, 6), st.just(16)), elements=st.integers(-127, 127))


def test_the_table_of_patterns_never_changes() -> None:
    digest = hashlib.sha256(PATTERNS.astype("<i4").tobytes()).hexdigest()
    assert digest == "64d3fb7595f8b7c26a90a71b587ebd6f6f028700e3c25ef7c192975dfc5012a2"


def test_the_patterns_are_those_of_the_discrete_cosine_transform() -> None:
    for pattern, (vertical, horizontal) in zip(PATTERNS, FREQUENCIES, strict=True):
        for pixel, value in enumerate(pattern):
            exact = 1.0
            for frequency, place in ((vertical, pixel // 8), (horizontal, pixel % 8)):
                norm = math.sqrt(1 / 8) if frequency == 0 else 0.5
                exact *= norm * math.cos((2 * place + 1) * frequency * math.pi / 16)
            assert abs(value - 4096 * exact) <= 0.75


@given(MAPS, st.integers(1, SCALE_MAX))
def test_the_change_is_the_exact_sum_rounded_half_up(amplitudes: np.ndarray, scale: int) -> None:
    changes = synthesised(amplitudes, scale)
    assert changes.dtype == np.int32
    for cell, change in zip(amplitudes.tolist(), changes.tolist(), strict=True):
        for pixel in range(0, 64, 7):
            total = sum(a * int(PATTERNS[k, pixel]) for k, a in enumerate(cell)) * scale
            assert change[pixel] == math.floor(Fraction(total, 1 << 20) + Fraction(1, 2))


@given(st.data())
def test_the_change_lies_in_the_cells_frames_and_samples_it_belongs_to(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(8, 27)), data.draw(st.integers(8, 27))
    covered, more = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 2))
    samples = data.draw(st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]))
    shape = (cells_of(covered, rows, columns), 16)
    amplitudes = data.draw(hnp.arrays(np.int16, shape, elements=st.integers(-127, 127), fill=st.just(0)))
    change = Synthesis(amplitudes, 300, samples).change((covered + more, rows, columns, 3))
    plane = from_cells(synthesised(amplitudes, 300), (covered, rows, columns))
    for sample in range(3):
        assert np.array_equal(change[..., sample], plane if sample in samples else np.zeros_like(plane))


@pytest.mark.parametrize(
    ("amplitudes", "scale", "samples"),
    [
        (np.zeros((4, 15), np.int16), 128, (0,)),
        (np.zeros((4, 16), np.int32), 128, (0,)),
        (np.full((4, 16), 128, np.int16), 128, (0,)),
        (np.full((4, 16), -32768, np.int16), 128, (0,)),
        (np.zeros((4, 16), np.int16), 0, (0,)),
        (np.zeros((4, 16), np.int16), SCALE_MAX + 1, (0,)),
        (np.zeros((4, 16), np.int16), True, (0,)),
        (np.zeros((4, 16), np.int16), 128, ()),
        (np.zeros((4, 16), np.int16), 128, (1, 0)),
        (np.zeros((4, 16), np.int16), 128, (3,)),
        (np.zeros((4, 16), np.int16), 128, (-1,)),
    ],
)
def test_anything_of_another_form_is_refused(
    amplitudes: np.ndarray, scale: int, samples: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError):
        Synthesis(amplitudes, scale, samples)


@pytest.mark.parametrize("shape", [(1, 16, 16, 1), (2, 24, 16, 1), (4, 7, 16, 1), (4, 8, 16, 1)])
def test_an_image_of_another_size_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError):
        Synthesis(np.zeros((8, 16), np.int16), 128, (1,)).change(shape)


def test_frames_written_one_by_one_make_one_synthesis() -> None:
    ones, twos, few = np.ones((4, 16), np.int16), np.full((4, 16), 2, np.int16), np.zeros((4, 16), np.int16)
    few[0, 0] = 9
    parts = [
        Synthesis(ones, 128, (0,)),
        None,
        Synthesis(few, 150, (0,)),
        Synthesis(twos, 128, (0,)),
    ]
    whole = Synthesis.together(parts)
    assert whole is not None
    assert (whole.scale, whole.samples) == (128, (0,))
    assert np.array_equal(whole.amplitudes, np.concatenate([ones, 0 * ones, 0 * ones, twos]))
    assert Synthesis.together([None, None]) is None
    with pytest.raises(ValueError):
        Synthesis.together([parts[0], Synthesis(np.zeros((5, 16), np.int16), 128, (0,))])


def test_the_scale_is_half_a_unit() -> None:
    assert [scale_of(unit) for unit in (1.0, 1 / 0.587, 2.5)] == [128, 218, 320]
