"""The encoded amplitudes: exact, compact, and refused when damaged."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gateway.seal
from gateway.seal.codec.layout import PERMUTATION_KEY, permuted
from gateway.seal.codec.synthesis import PATTERNS, synthesised
from gateway.seal.undo.amplitudes import decode, encode
from gateway.seal.undo.bitcoding import CodedWriter, ResidualDamaged


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Amplitudes, number of frames, and number of cells in each frame."""
    frames, cells = draw(st.integers(0, 3)), draw(st.integers(0, 40))
    largest = draw(st.sampled_from([1, 24, 127]))
    values = st.integers(-largest, largest)
    amplitudes = draw(hnp.arrays(np.int16, (frames * cells, 16), elements=values, fill=st.just(0)))
    return amplitudes, frames, cells


def typical(cells: int = 4096, touched: int = 730) -> np.ndarray:
    """A map as the codec fills it: the first cells of the permutation, four patterns in each, sizes up to 24."""
    amplitudes = np.zeros((cells, 16), np.int16)
    order = permuted(np.arange(touched), cells, PERMUTATION_KEY)
    amplitudes[order, :4] = np.random.default_rng(7).integers(-24, 25, (touched, 4))
    return amplitudes


@given(maps())
def test_any_map_comes_back(case: tuple[np.ndarray, int, int]) -> None:
    amplitudes, frames, cells = case
    assert np.array_equal(decode(encode(amplitudes, frames), frames, cells), amplitudes)


def test_a_typical_map_takes_hardly_more_than_its_entropy() -> None:
    amplitudes = typical()
    written = amplitudes[amplitudes.any(axis=1), :4]
    _, counts = np.unique(written, return_counts=True)
    entropy = -float((counts * np.log2(counts / counts.sum())).sum())
    assert 8 * len(encode(amplitudes, 1)) <= 1.04 * entropy


def test_frames_written_one_by_one_cost_no_more_than_a_single_one_each() -> None:
    single = typical(1024, 200)
    assert len(encode(np.tile(single, (8, 1)), 8)) <= 8 * len(encode(single, 1))


@given(maps(), st.data())
def test_damaged_bytes_are_refused_or_give_the_right_shape(
    case: tuple[np.ndarray, int, int], data: st.DataObject
) -> None:
    amplitudes, frames, cells = case
    encoded = bytearray(encode(amplitudes, frames))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(bytes(encoded), frames, cells)
    except ResidualDamaged:
        return
    assert decoded.shape == amplitudes.shape
    assert not decoded.size or np.abs(decoded).max() <= 127


@given(st.binary(max_size=80))
def test_other_bytes_are_refused_or_give_the_right_shape(data: bytes) -> None:
    try:
        assert decode(data, 1, 16).shape == (16, 16)
    except ResidualDamaged:
        return


@given(maps(), st.data())
def test_a_map_cut_short_or_followed_by_bytes_is_refused(
    case: tuple[np.ndarray, int, int], data: st.DataObject
) -> None:
    amplitudes, frames, cells = case
    encoded = encode(amplitudes, frames)
    for other in (encoded[: data.draw(st.integers(0, len(encoded) - 1))], encoded + b"\0"):
        with pytest.raises(ResidualDamaged):
            decode(other, frames, cells)


@pytest.mark.parametrize("position", range(4))
def test_huge_numbers_are_refused_without_much_memory(position: int) -> None:
    out = CodedWriter()
    for _ in range(position):
        out.number(1)
    out.number(1 << 62)
    tracemalloc.start()
    with pytest.raises(ResidualDamaged):
        decode(bytes(out.out), 1, 64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 17


def test_the_worked_example_is_on_the_page() -> None:
    amplitudes = np.zeros((4, 16), np.int16)
    amplitudes[2, :4] = 20, -13, 0, 7
    amplitudes[0, 0] = -8
    page = (Path(gateway.seal.__file__).parent / "FORMAT.md").read_text("utf-8")
    section = page.split("## Restoring element")[1].split("\n## ")[0]
    row = " ".join(str(value) for value in synthesised(amplitudes, 218)[2, :8])
    assert f"amplitudes: `{encode(amplitudes, 1).hex()}`" in section
    assert f"first row of cell 2: `{row}`" in section
    assert hashlib.sha256(PATTERNS.astype("<i4").tobytes()).hexdigest() in section
