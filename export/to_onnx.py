"""Export networks:  python -m export.to_onnx --profile robust --model-version 3 [--train .work/train] [--data FOLDER]

Writes onnx_models/PROFILE-vN-hide.onnx and -reveal.onnx with one JSON card for both, after it has checked on real cells
that PyTorch and ONNX Runtime agree. With `--relayout-from NAME` only a card is written: it gives the networks of
another card the present layout. A released name is never written again, because format versions live for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export import distort
from export.data import COLLECTION, Item, data_hash, load_cells, split, training_items
from export.model import BITS, FREQUENCIES, PIXELS, QUANTA, build, synthesis
from export.train import GREY_LEVELS, LEAST_DEVIATION, MARGIN, PLACES, WRITER_MARGIN, usable
from gateway.seal.codec.onnx import onnxruntime

OPSET = 17
SEED = 7  # of the measurements of this module
MOST = 2000  # cells of an image that are measured
GROUPS = [list(range(first, first + PLACES)) for first in range(0, BITS, PLACES)]
# What the gateway has to know to run the networks of a profile; see gateway/seal/codec/CODEC.md.
LAYOUT = {
    "fidelity": {
        "plane": "green",
        "groups": GROUPS,
        "unit_rule": "absolute",
        "margin": 0.0,
        "writer_margin": 0.0,
        "least_deviation": 0.0,
        "output": "change",
    },
    "robust": {
        "plane": "luma",
        "groups": GROUPS,
        "unit_rule": "eight-bit",
        "margin": MARGIN,
        "writer_margin": WRITER_MARGIN,
        "least_deviation": LEAST_DEVIATION,
        "output": "amplitudes",
        "steps": [2.0 * quantum for quantum in QUANTA],
        "patterns": "dct",
        "frequencies": [list(pair) for pair in FREQUENCIES],
    },
}

Distortion = Callable[[Tensor, torch.Generator], Tensor]


def _jpeg(cells: Tensor, _: torch.Generator, *, quality: int) -> Tensor:
    return distort.jpeg(cells, quality)


def _noise(cells: Tensor, generator: torch.Generator, *, sigma: float) -> Tensor:
    return distort.noise(cells, torch.tensor(sigma), generator)


def _near_lossless(cells: Tensor, generator: torch.Generator, *, near: int) -> Tensor:
    return distort.near_lossless(cells, near, generator)


DISTORTIONS: dict[str, Distortion] = {
    "none": lambda cells, _: cells,
    **{f"JPEG Q{quality}": partial(_jpeg, quality=quality) for quality in (90, 75, 60, 50)},
    **{f"noise {sigma}": partial(_noise, sigma=float(sigma)) for sigma in (1, 2)},
    "near 2": partial(_near_lossless, near=2),
}


@dataclass(frozen=True)
class Sample:
    """Cells of 8-bit images that trained no network; (N, 64) float32 each.

    cells: stored values.
    up: room above the value, up to the largest value of the image.
    down: room below the value, down to the smallest value of the image.
    """

    cells: Tensor
    up: Tensor
    down: Tensor

    @classmethod
    def of(cls, items: list[Item], profile: str) -> Sample:
        """The cells of `items`. Raises SystemExit when no item is an image of 8 bits."""
        sample = 1 if profile == "fidelity" else None
        images = [
            cells for cells in load_cells(items, sample=sample, most=MOST, seed=SEED) if cells.unit == 1.0
        ]
        if not images:
            raise SystemExit("no image of 8 bits is held out to measure the networks with")
        values = (
            np.concatenate([cells.values for cells in images]),
            np.concatenate([cells.high - cells.values for cells in images]),
            np.concatenate([cells.values - cells.low for cells in images]),
        )
        return cls(*(torch.from_numpy(array.astype(np.float32)) for array in values))

    def where(self, chosen: Tensor) -> Sample:
        """The cells at which `chosen`, (N,) bool, is true."""
        return Sample(self.cells[chosen], self.up[chosen], self.down[chosen])


class ExportedPair:
    """A hider and its revealer, run by ONNX Runtime as in the gateway."""

    def __init__(self, hide: Path, reveal: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._hide, self._reveal = (
            onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            for model in (hide, reveal)
        )
        self._unit = np.ones(1, np.float32)

    def hide(self, sample: Sample, secret: Tensor) -> Tensor:
        """(N, 64) changes or (N, 16) amplitudes at unit 1."""
        feeds = {"cells": sample.cells, "secret": secret, "up": sample.up, "down": sample.down}
        arrays: dict[str, NDArray[np.float32]] = {name: tensor.numpy() for name, tensor in feeds.items()}
        return torch.from_numpy(self._hide.run(None, {**arrays, "unit": self._unit})[0])

    def reveal(self, cells: Tensor) -> Tensor:
        """(N, 16) logits at unit 1."""
        feeds = {"cells": (cells - cells[:, :1]).numpy(), "unit": self._unit}
        return torch.from_numpy(self._reveal.run(None, feeds)[0])


def export(profile: str, version: int, train: Path, data: Path, out: Path) -> dict[str, Any]:
    """Write both networks and their card; nothing is written when a check fails.

    train: folder of the checkpoint.
    data: data folder with the images that trained the networks.
    out: folder of the networks and cards.

    Returns the card.
    Raises SystemExit when PyTorch and ONNX Runtime disagree.
    """
    hider, revealer = build(profile)
    state = torch.load(train / f"{profile}.pt", weights_only=True)
    nn.ModuleDict({"hider": hider, "revealer": revealer}).load_state_dict(state["networks"])
    items, held_out = split(training_items(data))
    sample = Sample.of(held_out, profile)
    name = f"{profile}-v{version}"
    with tempfile.TemporaryDirectory(dir=out, prefix=".new-") as fresh:
        hide, reveal = Path(fresh) / f"{name}-hide.onnx", Path(fresh) / f"{name}-reveal.onnx"
        output = LAYOUT[profile]["output"]
        write_onnx(hider.eval(), revealer.eval(), hide, reveal, str(output))
        pair = ExportedPair(hide, reveal)
        measured = parity(hider, revealer, pair, sample, profile)
        if profile == "robust":
            measured |= error_rates(pair, sample)
        card = {
            "codec_id": name,
            "profile": profile,
            "hide": {"file": hide.name, "sha256": sha256(hide)},
            "reveal": {"file": reveal.name, "sha256": sha256(reveal)},
            "shapes": {
                "cells": ["N", PIXELS],
                "secret": ["N", BITS],
                output: ["N", BITS if output == "amplitudes" else PIXELS],
                "logits": ["N", BITS],
            },
            "layout": LAYOUT[profile],
            "training": {
                "steps": state["step"],
                "seed": state["plan"]["seed"],
                "images": len(items),
                "images_held_out": len(held_out),
                "data_sha256": data_hash(items),
                "attribution": attribution(items),
            },
            "measured": measured,
        }
        publish(card, [hide, reveal], Path(fresh), out)
    return card


def relayout(profile: str, version: int, source: str, out: Path) -> dict[str, Any]:
    """Write a card that gives the networks of another card the present layout.

    source: codec id of the other card.
    out: folder of both cards and of the networks.

    Returns the card.
    Raises SystemExit when the card is of another profile, or when a network differs from its card.
    """
    card: dict[str, Any] = json.loads((out / f"{source}.json").read_text())
    if card["profile"] != profile:
        raise SystemExit(f"{source} is a pair of the profile {card['profile']}")
    for part in ("hide", "reveal"):
        if sha256(out / card[part]["file"]) != card[part]["sha256"]:
            raise SystemExit(f"{card[part]['file']} differs from its card")
    card["codec_id"] = f"{profile}-v{version}"
    card["note"] = (
        f"The networks of {source} in a new layout; training and measured, its evaluation too, are those of {source}."
    )
    card["layout"] = LAYOUT[profile]
    with tempfile.TemporaryDirectory(dir=out, prefix=".new-") as fresh:
        publish(card, [], Path(fresh), out)
    return card


def publish(card: dict[str, Any], models: list[Path], fresh: Path, out: Path) -> None:
    """Write the card, then rename networks and card into place, one right after the other.

    models: the networks, complete, in `fresh`.
    fresh: a folder on the file system of `out`.
    """
    new_card = fresh / f"{card['codec_id']}.json"
    new_card.write_text(json.dumps(card, indent=2) + "\n")
    for path in (*models, new_card):
        path.replace(out / path.name)


def write_onnx(hider: nn.Module, revealer: nn.Module, hide: Path, reveal: Path, output: str) -> None:
    """Write the pair as ONNX files.

    hide: file of the hider.
    reveal: file of the revealer.
    output: name of the hider's output, `change` or `amplitudes`.
    """
    cells, secret = torch.zeros(4, PIXELS), torch.ones(4, BITS)
    unit = torch.ones(1)
    rows = {0: "cells"}
    torch.onnx.export(
        hider, (cells, secret, cells, cells, unit), hide, opset_version=OPSET, dynamo=False,
        input_names=["cells", "secret", "up", "down", "unit"], output_names=[output],
        dynamic_axes=dict.fromkeys(("cells", "secret", "up", "down", output), rows),
    )  # fmt: skip
    torch.onnx.export(
        revealer, (cells, unit), reveal, opset_version=OPSET, dynamo=False,
        input_names=["cells", "unit"], output_names=["logits"], dynamic_axes=dict.fromkeys(("cells", "logits"), rows),
    )  # fmt: skip


def parity(
    hider: nn.Module, revealer: nn.Module, pair: ExportedPair, sample: Sample, profile: str
) -> dict[str, float]:
    """Compare PyTorch with ONNX Runtime: pixels may differ at ties of rounding only, logits by 1e-2.

    Returns the figures of the comparison and of the pair, for the card.
    Raises SystemExit when the two disagree.
    """
    secret = random_secret(len(sample.cells), used=2 / 3)
    unit = torch.ones(1)
    hidden = pair.hide(sample, secret)
    with torch.no_grad():
        expected = hider(sample.cells, secret, sample.up, sample.down, unit)
        if profile == "robust":
            hidden, expected = (
                synthesis(amplitudes, unit, sample.up, sample.down) for amplitudes in (hidden, expected)
            )
        logits = pair.reveal(sample.cells + hidden)
        expected_logits = revealer(sample.cells + hidden, unit)
    unlike = (hidden != expected).float().mean().item()
    apart = (logits - expected_logits).abs().max().item()
    if unlike > 1e-3 or apart > 1e-2:
        raise SystemExit(
            f"PyTorch and ONNX Runtime disagree: {unlike:.2e} of the pixels, logits by {apart:.2e}"
        )
    used = secret != 0
    return {
        "parity_pixels_unlike": unlike,
        "parity_logits_max_difference": apart,
        "raw_bit_error_rate_lossless": error_rate(logits, secret, used),
        "energy_per_bit": (hidden.square().sum() / used.sum()).item(),
        "unused_certainty": (logits[~used] / 2).tanh().abs().mean().item(),
    }


def error_rates(pair: ExportedPair, sample: Sample) -> dict[str, Any]:
    """Measure the bit errors after each distortion of `DISTORTIONS`.

    The first group of every writable cell is written, as for a sparse payload. It is read where a reader believes the
    cell.

    Returns the figures for the card.
    """
    unit = torch.ones(1)
    writable = usable(sample.cells, unit, 0.0, GREY_LEVELS, margin=WRITER_MARGIN, deviation=0.0)
    sample = sample.where(writable)
    secret = random_secret(len(sample.cells), used=1.0)
    secret[:, PLACES:] = 0
    change = synthesis(pair.hide(sample, secret), unit, sample.up, sample.down)
    rng = torch.Generator().manual_seed(SEED)
    rates, believed = {}, {}
    for name, distortion in DISTORTIONS.items():
        arrived = distortion(sample.cells + change, rng)
        readable = usable(arrived, unit, 0.0, GREY_LEVELS, margin=MARGIN, deviation=LEAST_DEVIATION)
        counted = (secret != 0) & readable[:, None]
        rates[name] = error_rate(pair.reveal(arrived), secret, counted)
        believed[name] = readable.float().mean().item()
    return {
        "raw_bit_error_rate_lossless": rates["none"],
        "energy_per_bit": (change.square().sum() / (secret != 0).sum()).item(),
        "raw_bit_error_rate": rates,
        "share_of_written_cells_believed": believed,
        "cells_measured": len(sample.cells),
    }


def random_secret(count: int, *, used: float) -> Tensor:
    """Draw secrets, (count, 16) of -1, +1, and 0 where a place is unused.

    used: probability that a place is used, 0 .. 1.
    """
    rng = torch.Generator().manual_seed(SEED)
    bits = torch.randint(0, 2, (count, BITS), generator=rng) * 2.0 - 1
    return bits * (torch.rand((count, BITS), generator=rng) < used)


def error_rate(logits: Tensor, secret: Tensor, counted: Tensor) -> float:
    """Share of wrong bits, 0 .. 1, among those at which `counted`, (N, 16) bool, is true."""
    rate: float = ((logits < 0) != (secret < 0))[counted].float().mean().item()
    return rate


def attribution(items: list[Item]) -> list[dict[str, str]]:
    """The collections of the items and their licences, each once."""
    sources = sorted({(item.source, item.licence) for item in items})
    return [{"source": source, "licence": licence} for source, licence in sources]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=tuple(LAYOUT), required=True)
    parser.add_argument("--model-version", type=int, required=True)
    parser.add_argument("--relayout-from", metavar="NAME", help="codec id whose networks to use")
    parser.add_argument("--replace", action="store_true", help="write over networks not released yet")
    parser.add_argument("--train", type=Path, default=Path(".work/train"))
    parser.add_argument("--data", type=Path, default=COLLECTION)
    parser.add_argument("--out", type=Path, default=Path("onnx_models"))
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True, parents=True)
    name = f"{arguments.profile}-v{arguments.model_version}"
    if (arguments.out / f"{name}.json").exists() and not arguments.replace:
        parser.error(f"{name} exists already; a released name is never written again")
    torch.set_num_threads(1)
    if arguments.relayout_from:
        card = relayout(arguments.profile, arguments.model_version, arguments.relayout_from, arguments.out)
    else:
        card = export(
            arguments.profile, arguments.model_version, arguments.train, arguments.data, arguments.out
        )
    print(
        json.dumps({key: value for key, value in card["measured"].items() if key != "evaluation"}, indent=2)
    )


if __name__ == "__main__":
    main()
