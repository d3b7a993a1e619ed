"""The ONNX networks of a profile, loaded with their card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gateway.errors import ResourceError
from gateway.seal.codec.layout import BITS, PIXELS

CELLS_AT_ONCE = 1 << 15
"""Bounds the memory of one run: a cell needs about 2 kB on its way."""

SPREAD = 1.5
"""Standard deviations that a cell is taken to reach to both sides of its mean."""

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


class ModelFileError(ResourceError):
    """A network or its card is missing, or is not the file that the card names."""

    code = "model-file"
    retry = False
    hint = "Install the package again; the models are part of it."


@dataclass(frozen=True)
class Card:
    """What the rest of the codec must know about a pair of networks; from the JSON card beside them.

    groups: patterns in the order in which they are filled. units: strengths, in stored values of one step unit.
    range_unit: the first unit follows the range of the image instead of being the smallest.
    luma: colour is marked in luma instead of green.
    energy_per_bit: mean squared change that a written place costs, in squared units.
    margin: units by which usable cells keep away from the extremes of the image: what lossy compression does there
    is cut off by the range of the samples.
    """

    codec_id: str
    groups: tuple[tuple[int, ...], ...]
    units: tuple[float, ...]
    range_unit: bool
    luma: bool
    energy_per_bit: float
    margin: float

    def usable(self, cells: NDArray[np.float32], unit: float, low: float, high: float) -> NDArray[np.bool_]:
        """Which of the cells, (N, 64), may carry bits: not flat, and away from both extremes of the image.

        Writer and reader decide by the same rule; where distortion makes them disagree, error correction helps.
        """
        usable: NDArray[np.bool_] = np.ptp(cells, axis=1) > 0
        if self.margin:
            mean, reach = cells.mean(axis=1), SPREAD * cells.std(axis=1)
            usable &= np.minimum(mean - reach - low, high - mean - reach) >= self.margin * unit
        return usable


class Networks:
    """Hide and reveal sessions; used from one thread at a time."""

    def __init__(self, folder: Traversable | Path, name: str, *, threads: int) -> None:
        try:
            card = json.loads((folder / f"{name}.json").read_text())
            layout = card["layout"]
            self.card = Card(
                codec_id=card["codec_id"],
                groups=tuple(tuple(group) for group in layout["groups"]),
                units=tuple(layout["units"]),
                range_unit=layout["unit_rule"] == "range",
                luma=layout["plane"] == "luma",
                energy_per_bit=card["measured"]["energy_per_bit"],
                margin=layout["margin"],
            )
            self._hide = _session(folder, card["hide"], threads)
            self._reveal = _session(folder, card["reveal"], threads)
        except (OSError, KeyError, ValueError) as error:
            raise ModelFileError(f"model {name}: {error}") from error
        self.provider: str = self._reveal.get_providers()[0]

    def hide(
        self,
        cells: NDArray[np.float32],
        secret: NDArray[np.float32],
        up: NDArray[np.float32],
        down: NDArray[np.float32],
        unit: float,
    ) -> NDArray[np.int32]:
        """(N, 64) integer changes of stored values.

        cells: (N, 64) stored values; secret: (N, 16) of +1 (bit 0), -1 (bit 1), 0 (unwritten); up, down: (N, 64) how
        far each pixel may move; unit: strength, in stored values.
        """
        runs = [
            self._hide.run(
                None,
                {
                    "cells": _levelled(cells[part]),
                    "secret": secret[part],
                    "up": up[part],
                    "down": down[part],
                    "unit": np.array([unit], np.float32),
                },
            )[0]
            for part in _parts(len(cells))
        ]
        change: NDArray[np.int32] = np.rint(np.concatenate([np.empty((0, PIXELS)), *runs])).astype(np.int32)
        return change

    def reveal(self, cells: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
        """(N, 64) stored values -> (N, 16) logits, positive for bit 0."""
        runs = [
            self._reveal.run(None, {"cells": _levelled(cells[part]), "unit": np.array([unit], np.float32)})[0]
            for part in _parts(len(cells))
        ]
        logits: NDArray[np.float32] = np.concatenate([np.empty((0, BITS), np.float32), *runs])
        return logits


def _levelled(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cells less their first pixel: patterns have no mean, and small numbers keep 16-bit data exact in float32."""
    return cells - cells[:, :1]


def _parts(count: int) -> list[slice]:
    return [slice(start, start + CELLS_AT_ONCE) for start in range(0, count, CELLS_AT_ONCE)]


def _session(folder: Traversable | Path, entry: dict[str, str], threads: int) -> onnxruntime.InferenceSession:
    model = (folder / entry["file"]).read_bytes()
    if hashlib.sha256(model).hexdigest() != entry["sha256"]:
        raise ModelFileError(f"{entry['file']} differs from its card")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=_providers())


def _providers() -> list[str]:
    """CUDA only where a GPU is: asking for it in vain makes ONNX Runtime complain on every start."""
    gpu = CUDA in onnxruntime.get_available_providers() and Path("/dev/nvidiactl").exists()
    return [CUDA, CPU] if gpu else [CPU]


def shipped() -> Traversable:
    return files("onnx_models")
