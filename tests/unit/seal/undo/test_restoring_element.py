"""The restoring element: what it holds undoes the change exactly, with a synthesis or without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.image import HighBits
from gateway.errors import SealBroken
from gateway.seal.codec.synthesis import Synthesis, cells_of
from gateway.seal.undo import residual, restoring_element
from gateway.seal.undo.restoring_element import (
    Facts,
    change_of,
    close,
    open_element,
    undo,
)

KEY = bytes(range(16))
FACTS = Facts(original_digest=bytes(32), high_bits=HighBits.ZERO, transfer_syntax="1.2.840.10008.1.2.1")
ROOT = Path(__file__).parents[4]

# Imports the modules as if their packages were empty: the `__init__` of the packages load the codec with its networks.
ALONE = """
import sys, types
from pathlib import Path
import gateway
sys.modules["onnxruntime"] = None  # importing it raises ImportError
for name in ("gateway.seal", "gateway.seal.codec"):
    package = types.ModuleType(name)
    package.__path__ = [str(Path(gateway.__file__).parent.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = package
import numpy as np
from gateway.seal.undo import restoring_element
from gateway.seal.codec import synthesis
folder = Path(sys.argv[1])
container = np.load(folder / "container.npy")
element = (folder / "element").read_bytes()
facts, change = restoring_element.open_element(element, bytes(range(16)), container.shape)
np.save(folder / sys.argv[2], restoring_element.undo(container, change, facts).samples)
loaded = [name for name, module in sys.modules.items() if module and name.startswith("onnxruntime")]
assert not loaded, loaded
"""


def case(
    seed: int, *, frames: int = 2, covered: int = 1, samples: tuple[int, ...] = (0,), dtype: Any = np.uint16
) -> tuple[np.ndarray, np.ndarray, Synthesis]:
    """A cover, the container that the synthesis and the limits of the cover make of it, and the synthesis."""
    rng = np.random.default_rng(seed)
    shape = (frames, int(rng.integers(8, 40)), int(rng.integers(8, 40)), 3 if max(samples) else 1)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    cover = rng.integers(low, high, shape, endpoint=True).astype(dtype)
    # The change is cut off here.
    cover[:, ::3] = high
    cells = cells_of(covered, *shape[1:3])
    amplitudes = np.zeros((cells, 16), np.int16)
    touched = rng.random(cells) < 0.5
    amplitudes[touched, :4] = rng.integers(-24, 25, (int(touched.sum()), 4))
    synthesis = Synthesis(amplitudes, 218, samples)
    changed = cover.astype(np.int64)
    changed[:covered] += synthesis.change(shape)
    return cover, np.clip(changed, low, high).astype(dtype), synthesis


def sealed_with(content: dict[int, Any]) -> bytes:
    """An element of this content, as anybody can make it who chooses the restore key."""
    cipher: ChaCha20Poly1305 = restoring_element._cipher(KEY)
    return cipher.encrypt(bytes(12), cbor2.dumps(content, canonical=True), b"sealgate restoring v1")


def content(change: np.ndarray, synthesis: Synthesis | None = None) -> dict[int, Any]:
    facts = {1: bytes(32), 2: "zero", 3: "1.2.840.10008.1.2.1", 4: [], 5: {}, 6: ""}
    return facts | restoring_element.coded(change, synthesis)


@given(
    st.integers(0, 1000),
    st.sampled_from([(0,), (1,), (0, 1, 2)]),
    st.sampled_from([np.uint8, np.int16, np.uint16]),
    st.integers(1, 3),
)
def test_a_synthesised_change_is_undone_exactly(
    seed: int, samples: tuple[int, ...], dtype: Any, covered: int
) -> None:
    cover, container, synthesis = case(seed, frames=3, covered=covered, samples=samples, dtype=dtype)
    element = close(FACTS, change_of(cover, container), KEY, synthesis)
    facts, change = open_element(element, KEY, cover.shape)
    assert facts == FACTS
    assert np.array_equal(undo(container, change, facts).samples, cover)


def test_frames_that_the_synthesis_does_not_reach_are_undone_too() -> None:
    cover, container, synthesis = case(5, frames=3)
    container[2, 0, 0, 0] ^= 1
    _, change = open_element(close(FACTS, change_of(cover, container), KEY, synthesis), KEY, cover.shape)
    assert np.array_equal(undo(container, change, FACTS).samples, cover)


def test_a_synthesis_that_came_to_nothing_is_undone_too() -> None:
    cover, _, synthesis = case(6)
    _, change = open_element(close(FACTS, change_of(cover, cover), KEY, synthesis), KEY, cover.shape)
    assert np.array_equal(undo(cover, change, FACTS).samples, cover)


def test_an_element_without_synthesis_reads_as_before() -> None:
    cover, container, _ = case(7)
    change = change_of(cover, container)
    held = content(change)
    assert set(held) == {1, 2, 3, 4, 5, 6, 7, 8}
    assert close(FACTS, change, KEY) == sealed_with(held)
    assert np.array_equal(open_element(sealed_with(held), KEY, cover.shape)[1], change)


def test_the_synthesis_explains_all_but_what_was_cut_off() -> None:
    rng = np.random.default_rng(8)
    cover = rng.integers(100, 150, (1, 256, 256, 1)).astype(np.uint8)
    amplitudes = np.zeros((1024, 16), np.int16)
    amplitudes[:200, :4] = rng.integers(-24, 25, (200, 4))
    synthesis = Synthesis(amplitudes, 128, (0,))
    container = (cover + synthesis.change(cover.shape)).astype(np.uint8)
    held = restoring_element.coded(change_of(cover, container), synthesis)
    assert held[8] == residual.encode(np.zeros(cover.shape, np.int32))
    assert len(held[8]) + len(held[9]) < 0.15 * len(residual.encode(change_of(cover, container)))


@pytest.mark.parametrize(
    "wrong",
    [
        {7: 3},
        {7: 1},
        {7: True},
        {9: b""},
        {9: "text"},
        {9: [0]},
        {9: b"\xff\xff\xff\xff\x7f"},
        {10: 0},
        {10: 1 << 24},
        {10: 1.0},
        {10: True},
        {11: []},
        {11: [1]},
        {11: [False]},
        {11: [1 << 70]},
        {11: 0},
        {9: None},
        {10: None},
        {11: None},
    ],
)
def test_an_element_that_contradicts_itself_is_refused(wrong: dict[int, Any]) -> None:
    cover, container, synthesis = case(9, covered=2)
    held = content(change_of(cover, container), synthesis)
    for key, value in wrong.items():
        if value is None:
            del held[key]
        else:
            held[key] = value
    with pytest.raises(SealBroken, match="malformed"):
        open_element(sealed_with(held), KEY, cover.shape)


def test_an_element_that_is_no_map_is_refused() -> None:
    with pytest.raises(SealBroken, match="malformed"):
        open_element(sealed_with([1]), KEY, (1, 8, 8, 1))  # type: ignore[arg-type]  # that is the point


@given(st.data())
def test_a_damaged_map_of_amplitudes_is_refused_or_undoes_something_else(data: st.DataObject) -> None:
    cover, container, synthesis = case(10)
    held = content(change_of(cover, container), synthesis)
    damaged = bytearray(held[9])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        _, change = open_element(sealed_with(held | {9: bytes(damaged)}), KEY, cover.shape)
    except SealBroken:
        return
    assert change.shape == (1, *cover.shape[1:])


@pytest.mark.parametrize("threads", [1, 4])
def test_undoing_needs_no_network_and_does_not_depend_on_threads(tmp_path: Path, threads: int) -> None:
    cover, container, synthesis = case(11, samples=(0, 1, 2))
    np.save(tmp_path / "container.npy", container)
    (tmp_path / "element").write_bytes(close(FACTS, change_of(cover, container), KEY, synthesis))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", ALONE, tmp_path, "restored.npy"], env=environment, check=True)
    assert np.array_equal(np.load(tmp_path / "restored.npy"), cover)
