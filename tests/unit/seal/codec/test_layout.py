"""Places, rungs, the header and the message frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.seal.codec import (
    header,
    layout,
    ldpc,
    order,
)
from gateway.seal.codec.v1.places import places as places_v1

FIDELITY = (tuple(range(16)),)
ROBUST = (tuple(range(6)), tuple(range(6, 16)))


@given(st.binary(min_size=1, max_size=layout.PAYLOAD_MAX))
def test_a_framed_payload_comes_back(payload: bytes) -> None:
    rung = layout.rungs_for(len(payload))[0]
    assert layout.unframe(layout.frame(payload, rung.lift)) == payload


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_flipped_message_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    lift = layout.rungs_for(len(payload))[0].lift
    message = layout.frame(payload, lift)
    message[data.draw(st.integers(0, len(message) - 1))] ^= 1
    assert layout.unframe(message) is None


@given(st.integers(1, 5000), st.integers(0, 2**63))
def test_the_permutation_is_one(size: int, key: int) -> None:
    assert np.array_equal(np.sort(layout.permuted(np.arange(size), size, key)), np.arange(size))


@pytest.mark.parametrize("groups", [FIDELITY, ROBUST])
@pytest.mark.parametrize("cells", [1, 16, 700, 4096])
def test_places_of_version_1_are_distinct_and_the_reference_stays_unwritten(
    cells: int, groups: tuple[tuple[int, ...], ...]
) -> None:
    places = places_v1(cells, groups)
    assert len(np.unique(places.written)) == len(places.written)
    assert not np.isin(places.reference, places.written).any()
    assert places.written.max(initial=0) < cells * layout.BITS


def test_version_1_fills_the_first_group_first() -> None:
    places = places_v1(64, ROBUST).written
    assert (places[: 64 * 6 - 48] % 16 < 6).all()


@pytest.mark.parametrize("cells", [1, 16, 700, 4096])
def test_places_are_distinct_whatever_part_of_them_is_asked_for(cells: int) -> None:
    every = order.places(0, cells * layout.BITS, cells)
    assert np.array_equal(np.sort(every), np.arange(cells * layout.BITS))
    for start, stop in ((0, 7), (3, 4 * cells), (4 * cells - 2, 4 * cells + 3), (9, 16 * cells)):
        assert np.array_equal(order.places(start, stop, cells), every[start:stop])


def test_a_touched_cell_carries_four_bits_before_the_next_is_touched() -> None:
    assert (order.places(0, 4 * 300, 1000) // layout.BITS).reshape(-1, 4).std(axis=1).max() == 0
    assert (order.places(0, 4000, 1000) % layout.BITS < 4).all()


@given(st.integers(1, 300), st.data())
def test_arriving_places_are_counted(cells: int, data: st.DataObject) -> None:
    usable = np.array(data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells)))
    stop = 4 * data.draw(st.integers(0, 4 * cells))
    in_order = usable[order.cells(0, cells, cells)]
    expected = usable[order.places(0, stop, cells) // layout.BITS].sum()
    assert order.UsablePlaces(in_order).until(stop) == expected


def test_bits_that_share_a_cell_are_far_apart_in_the_code() -> None:
    codeword = np.arange(ldpc.code_bits(112)) % 251
    rung = layout.Rung(3 * 112 * 16, 112, 16)
    cell = order.spread(codeword.astype(np.uint8), rung)[:4]
    assert np.array_equal(cell, codeword[[0, 672, 1344, 2016]])


@given(st.sampled_from(layout.RUNGS), st.sampled_from([256, 1024]))
def test_a_header_tells_its_rung(rung: layout.Rung, width: int) -> None:
    llr = 1.0 - 2.0 * header.word(rung, width)
    stands_out, decoded = header.strongest(llr[None].astype(np.float32))
    assert decoded == [rung]
    assert stands_out[0] == pytest.approx(width**0.5, rel=1e-3)


def test_a_header_is_read_at_a_quarter_of_wrong_bits_and_nothing_stands_out_in_noise() -> None:
    rng = np.random.default_rng(4)
    rungs = [layout.RUNGS[i] for i in rng.integers(0, len(layout.RUNGS), 400)]
    sent = np.stack([1.0 - 2.0 * header.word(rung, 256) for rung in rungs])
    wrong = rng.random(sent.shape) < 0.25
    _, decoded = header.strongest(np.where(wrong, -sent, sent).astype(np.float32))
    assert decoded == rungs
    stands_out, _ = header.strongest(rng.standard_normal((2000, 256)).astype(np.float32))
    assert (stands_out > 4.5).mean() < 0.02


@given(st.sampled_from(layout.RUNGS[::7]), st.integers(0, 2**32 - 1))
def test_repeats_of_a_bit_add_up(rung: layout.Rung, seed: int) -> None:
    codeword = np.random.default_rng(seed).integers(0, 2, ldpc.code_bits(rung.lift)).astype(np.uint8)
    places = order.spread(codeword, rung)
    llr = order.gather((1.0 - 2.0 * places).astype(np.float32), rung)
    known = llr != 0
    assert known.sum() == min(rung.length, len(codeword))
    assert np.array_equal((llr < 0)[known], codeword[known] == 1)
    assert np.abs(llr).sum() == rung.length


@given(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40))
def test_cells_go_back_where_they_came_from(frames: int, rows: int, columns: int) -> None:
    planes = np.arange(frames * rows * columns).reshape(frames, rows, columns)
    back = layout.from_cells(layout.to_cells(planes), planes.shape)
    assert np.array_equal(
        back[:, : rows // 8 * 8, : columns // 8 * 8], planes[:, : rows // 8 * 8, : columns // 8 * 8]
    )


def test_frame_counts_double_and_end_with_all() -> None:
    assert list(layout.frame_counts(11)) == [1, 2, 4, 8, 11]
    assert list(layout.frame_counts(1)) == [1]
