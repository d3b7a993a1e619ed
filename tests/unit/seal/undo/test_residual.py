"""The change of the pixels: exact, compact, and refused when damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.seal.undo.residual import ResidualDamaged, decode, encode

SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=20)


@given(hnp.arrays(np.int32, SHAPES, elements=st.integers(-3, 3)))
def test_small_changes_come_back(change: np.ndarray) -> None:
    assert np.array_equal(decode(encode(change), change.shape), change)


@given(hnp.arrays(np.int32, SHAPES, elements=st.integers(-65535, 65535), fill=st.just(0)))
def test_any_change_of_16_bit_samples_comes_back(change: np.ndarray) -> None:
    assert np.array_equal(decode(encode(change), change.shape), change)


@pytest.mark.parametrize(("share", "largest", "limit"), [(0.01, 1, 0.007), (0.05, 1, 0.025), (0.2, 2, 0.08)])
def test_sparse_changes_take_little_room(share: float, largest: int, limit: float) -> None:
    rng = np.random.default_rng(5)
    touched = rng.random((1, 512, 512, 1)) < share
    change = touched * rng.integers(1, largest + 1, touched.shape) * rng.choice([-1, 1], touched.shape)
    assert len(encode(change)) <= limit * change.size * 2


@given(hnp.arrays(np.int32, SHAPES, elements=st.integers(-3, 3)), st.data())
def test_damaged_bytes_are_refused_or_give_the_right_shape(change: np.ndarray, data: st.DataObject) -> None:
    encoded = bytearray(encode(change))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert decode(bytes(encoded), change.shape).shape == change.shape
    except ResidualDamaged:
        return


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_give_the_right_shape(data: bytes) -> None:
    try:
        assert decode(data, (1, 16, 16, 1)).shape == (1, 16, 16, 1)
    except ResidualDamaged:
        return
