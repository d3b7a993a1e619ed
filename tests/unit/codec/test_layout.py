"""Places, rungs and the message frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.seal.codec import layout, ldpc

FIDELITY = (tuple(range(16)),)
ROBUST = (tuple(range(6)), tuple(range(6, 16)))


@given(st.binary(min_size=1, max_size=layout.PAYLOAD_MAX))
def test_a_framed_payload_comes_back(payload):
    rung = layout.rungs_for(len(payload))[0]
    assert layout.unframe(layout.frame(payload, rung.lift)) == payload


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_flipped_message_bit_is_noticed(payload, data):
    lift = layout.rungs_for(len(payload))[0].lift
    message = layout.frame(payload, lift)
    message[data.draw(st.integers(0, len(message) - 1))] ^= 1
    assert layout.unframe(message) is None


@given(st.integers(1, 5000), st.integers(0, 2**63))
def test_the_permutation_is_one(size, key):
    assert np.array_equal(np.sort(layout.permuted(np.arange(size), size, key)), np.arange(size))


@pytest.mark.parametrize("groups", [FIDELITY, ROBUST])
@pytest.mark.parametrize("cells", [1, 16, 700, 4096])
def test_places_are_distinct_and_the_reference_stays_unwritten(cells, groups):
    places = layout.places(cells, groups)
    assert len(np.unique(places.written)) == len(places.written)
    assert not np.isin(places.reference, places.written).any()
    assert places.written.max(initial=0) < cells * layout.BITS


def test_the_first_group_is_filled_first():
    places = layout.places(64, ROBUST).written
    assert (places[: 64 * 6 - 48] % 16 < 6).all()


@given(st.sampled_from(layout.RUNGS[::7]), st.integers(0, 2**32 - 1))
def test_repeats_of_a_bit_add_up(rung, seed):
    codeword = np.random.default_rng(seed).integers(0, 2, ldpc.code_bits(rung.lift)).astype(np.uint8)
    places = layout.spread(codeword, rung)
    llr = layout.gather((1.0 - 2.0 * places).astype(np.float32), rung)
    known = llr != 0
    assert known.sum() == min(rung.length, len(codeword))
    assert np.array_equal((llr < 0)[known], codeword[known] == 1)
    assert np.abs(llr).sum() == rung.length


@given(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40))
def test_cells_go_back_where_they_came_from(frames, rows, columns):
    planes = np.arange(frames * rows * columns).reshape(frames, rows, columns)
    back = layout.from_cells(layout.to_cells(planes), planes.shape)
    assert np.array_equal(
        back[:, : rows // 8 * 8, : columns // 8 * 8], planes[:, : rows // 8 * 8, : columns // 8 * 8]
    )


def test_frame_counts_double_and_end_with_all():
    assert list(layout.frame_counts(11)) == [1, 2, 4, 8, 11]
    assert list(layout.frame_counts(1)) == [1]
