"""The exported networks of the present versions, run as the gateway runs them; no training library needed."""

import hashlib
import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from gateway.seal.codec.layout import BITS, PIXELS
from gateway.seal.codec.onnx import onnxruntime
from gateway.seal.codec.synthesis import (
    AMPLITUDE_MAX,
    FREQUENCIES,
    PATTERNS,
    scale_of,
    synthesised,
)

Array = NDArray[np.floating[Any]]

MODELS = files("onnx_models")
CARD = json.loads((MODELS / "robust-v2.json").read_text())
STEPS = np.array(CARD["layout"]["steps"])
UNITS = [0.25, 1.0, 2.0, 16.0]


def run(part: str, **feeds: ArrayLike) -> Array:
    session = onnxruntime.InferenceSession((MODELS / CARD[part]["file"]).read_bytes())
    output: Array = session.run(None, {name: np.asarray(value, np.float32) for name, value in feeds.items()})[
        0
    ]
    return output


def reveal(cells: Array, unit: float) -> Array:
    return run("reveal", cells=cells - cells[:, :1], unit=[unit])


def hide(cells: Array, secret: NDArray[np.int64], unit: float) -> Array:
    room = np.full_like(cells, 100 * unit)
    return run("hide", cells=cells - cells[:, :1], secret=secret, up=room, down=room, unit=[unit])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def random_cells(rng: np.random.Generator, unit: float, count: int = 500) -> Array:
    """Sums of all the patterns and some noise, integers."""
    coefficients = rng.normal(0, 40, (count, BITS)) * unit
    noise = rng.normal(0, unit, (count, PIXELS))
    return np.rint(128 * unit + coefficients @ PATTERNS / 2**12 + noise)


def random_secret(rng: np.random.Generator, count: int = 500) -> NDArray[np.int64]:
    return rng.integers(-1, 2, (count, BITS))


@pytest.mark.parametrize("unit", UNITS)
def test_amplitudes_are_integers_of_a_signed_byte(rng: np.random.Generator, unit: float) -> None:
    amplitudes = hide(random_cells(rng, unit), random_secret(rng), unit)
    assert amplitudes.shape == (500, BITS)
    assert (amplitudes == np.rint(amplitudes)).all()
    assert 0 < np.abs(amplitudes).max() <= AMPLITUDE_MAX


@pytest.mark.parametrize("unit", UNITS)
def test_amplitudes_are_zero_where_nothing_is_written(rng: np.random.Generator, unit: float) -> None:
    secret = random_secret(rng)
    assert not hide(random_cells(rng, unit), secret, unit)[secret == 0].any()


def test_no_coefficient_moves_farther_than_to_its_lattice_point(rng: np.random.Generator) -> None:
    amplitudes = hide(random_cells(rng, 1.0), random_secret(rng), 1.0)
    assert (np.abs(amplitudes) / 2 <= STEPS / 2).all()


@pytest.mark.parametrize("unit", [1.0, 2.0, 16.0])
def test_written_bits_come_back_without_an_error(rng: np.random.Generator, unit: float) -> None:
    cells, secret = random_cells(rng, unit), random_secret(rng)
    amplitudes = hide(cells, secret, unit).astype(np.int32)
    logits = reveal(cells + synthesised(amplitudes, scale_of(unit)), unit)
    written = secret != 0
    assert (np.sign(logits) == secret)[written].all()


def lattice_cells(rng: np.random.Generator, secret: NDArray[np.int64]) -> Array:
    """Cells whose coefficients are exactly the points of the secret bits: even or odd multiples of half a step."""
    multiples = 2 * rng.integers(-3, 4, secret.shape) + (secret < 0)
    cells: Array = multiples * STEPS / 2 @ PATTERNS / 2**12
    return cells


def test_points_of_the_lattice_read_as_their_bits(rng: np.random.Generator) -> None:
    secret = rng.choice([-1, 1], (500, BITS))
    assert (np.sign(reveal(lattice_cells(rng, secret), 1.0)) == secret).all()


def test_nothing_moves_that_is_at_its_point_already(rng: np.random.Generator) -> None:
    secret = rng.choice([-1, 1], (500, BITS))
    assert not hide(lattice_cells(rng, secret), secret, 1.0).any()


def test_an_offset_of_the_cell_changes_nothing(rng: np.random.Generator) -> None:
    cells = random_cells(rng, 1.0)
    session = onnxruntime.InferenceSession((MODELS / CARD["reveal"]["file"]).read_bytes())
    unit = np.ones(1, np.float32)
    plain, lifted = (
        session.run(None, {"cells": (cells + k).astype(np.float32), "unit": unit})[0] for k in (0, 1000)
    )
    assert np.allclose(plain, lifted, atol=1e-2)


def test_the_card_and_the_gateway_name_the_same_patterns() -> None:
    assert [tuple(pair) for pair in CARD["layout"]["frequencies"]] == list(FREQUENCIES)


def test_fidelity_v2_is_fidelity_v1_in_another_layout() -> None:
    old, new = (json.loads((MODELS / f"fidelity-v{version}.json").read_text()) for version in (1, 2))
    assert (new["hide"], new["reveal"]) == (old["hide"], old["reveal"])
    assert new["training"] == old["training"]
    assert "fidelity-v1" in new["note"]


@pytest.mark.parametrize("name", ["robust-v2", "fidelity-v2"])
def test_groups_share_out_all_patterns_in_fours(name: str) -> None:
    groups = json.loads((MODELS / f"{name}.json").read_text())["layout"]["groups"]
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert [pattern for group in groups for pattern in group] == list(range(BITS))


@pytest.mark.parametrize("name", ["robust-v2", "fidelity-v2"])
@pytest.mark.parametrize("part", ["hide", "reveal"])
def test_the_networks_are_the_files_that_the_card_names(name: str, part: str) -> None:
    entry = json.loads((MODELS / f"{name}.json").read_text())[part]
    assert hashlib.sha256((MODELS / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
